"""An upload whose page is closed in the middle goes on, in a new page, from where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, Request, Response, expect

from support.browsing import person
from support.populated import Populated
from support.recordings import MIB, large_movie
from support.sites import until

BYTES_PER_SECOND = 4 * MIB
FILE_MIB = 48


def test_an_upload_goes_on_after_its_tab_was_closed(
    browser: Browser, lab: Populated, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    movie = large_movie(tmp_path / "interrupted.npy", FILE_MIB)
    size = movie.stat().st_size
    with person(browser, lab.url) as ada:
        ada.sign_in("ada")
        slow(ada.page)
        begun = sends(ada.page)
        ada.open("/analyses/pca/new")
        choose(ada.page, movie)
        wait_for_bytes(ada.page, size // 8)
        ada.page.close()  # as a browser that is killed: nothing is asked, nothing is told to the server

        ada.page = ada.context.new_page()
        again = taken(ada.page)
        ada.open("/analyses/pca/new")
        expect(ada.page.get_by_text("Not finished earlier: interrupted.npy")).to_be_visible()
        choose(ada.page, movie)
        expect(ada.page.get_by_role("checkbox", name="interrupted.npy")).to_be_checked()
        items = ada.context.request.get(f"{lab.url}/api/v1/items?search=interrupted").json()["items"]
    assert begun == [0]
    assert len(again) == 1
    assert 0 < again[0] < size
    (item,) = items
    assert item["sha256"] == hashlib.sha256(movie.read_bytes()).hexdigest()
    assert item["size_bytes"] == size
    sent = (size - again[0]) / MIB
    record_property("figures", f"an upload of {FILE_MIB} MiB, its tab closed, went on with the last {sent:.0f} MiB")


def choose(page: Page, path: Path) -> None:
    page.locator("input.uppy-Dashboard-input[type=file]:not([webkitdirectory])").first.set_input_files(path)


def slow(page: Page) -> None:
    """A connection that takes a while, so that there is a middle."""
    session = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": BYTES_PER_SECOND}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", limits)


def sends(page: Page) -> list[int]:
    """From which byte on each request sends content, as they go."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return offsets


def taken(page: Page) -> list[int]:
    """The same of those that the server took: it refuses one while it reads an upload's earlier one."""
    offsets: list[int] = []

    def note(answer: Response) -> None:
        if answer.request.method == "PATCH" and answer.ok:
            offsets.append(int(answer.request.headers["upload-offset"]))

    page.on("response", note)
    return offsets


def wait_for_bytes(page: Page, count: int) -> None:
    """Until the server has so many of the upload that this browser has begun."""
    offset = """async () => {
        const [one] = Object.values(JSON.parse(localStorage.getItem("neurocaas-uploads") ?? "{}"));
        return one ? (await (await fetch(`/api/v1/uploads/${one.id}`)).json()).files[0].offset : 0;
    }"""
    until(lambda: page.evaluate(offset) > count, 60)
