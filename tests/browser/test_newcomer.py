"""A newcomer's first hour at the site, in a real browser: from signing up to the second job."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from support.browsing import Person, drop, person
from support.mail import Mailbox, mailbox
from support.recordings import large_movie, small_recordings
from support.served import served
from support.sites import make_site, until

FOLDER = "newcomer"
RUN_MS = 180_000


@dataclass
class Place:
    """Where it happens."""

    url: str
    mail: Mailbox
    folder: Path


@pytest.fixture
def place(shared_environments: Path) -> Iterator[Place]:
    """A new site, served, that nobody has an account at."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-newcomer-"))
    folder.chmod(0o755)
    site = make_site(folder, shared_environments, bundled=True)
    try:
        with mailbox() as mail, served(site, NEUROCAAS_MAIL_URL=mail.url) as server:
            server.wait_for_all()
            yield Place(url=server.url, mail=mail, folder=folder)
            assert server.end() == 0
    finally:
        site.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_newcomer_gets_from_signing_up_to_results_and_a_colleague_sees_them_but_no_stranger(
    browser: Browser, place: Place, record_property: Callable[[str, object], None]
) -> None:
    which, recordings = small_recordings(place.folder / "small")
    record_property("figures", f"a newcomer's job in the browser ran on a movie of 300 MiB and two {which}")
    recordings.append(large_movie(place.folder / "widefield-300MiB.npy"))
    with person(browser, place.url, accept_downloads=True) as ada:
        sign_up(ada, place, "ada", group="lovelace-lab")
        ask_for_pca(ada, recordings)
        job = watch_it_run(ada, large="widefield-300MiB")
        look_at_results(ada, job, place.folder)
        start_it_again(ada, job)
        code = invite(ada)
        assert ada.faults == []
    with person(browser, place.url) as bob:
        sign_up(bob, place, "bob", code=code)
        see_it(bob, job)
        assert bob.faults == []
    with person(browser, place.url) as eve:
        sign_up(eve, place, "eve", group="other-lab")
        see_nothing_of_it(eve, job)
        assert eve.faults == []


def sign_up(somebody: Person, place: Place, name: str, *, group: str = "", code: str = "") -> None:
    """From the first page on, until they are in their group."""
    page, address = somebody.page, f"{name}@example.org"
    somebody.open("/")
    somebody.shot(FOLDER, f"{name}-01-home")
    page.locator("main").get_by_role("link", name="Sign up").click()
    somebody.fill_in_sign_up(name, address, group=group, code=code)
    somebody.shot(FOLDER, f"{name}-02-sign-up")
    page.locator("main").get_by_role("button", name="Sign up").click()
    page.get_by_label("Code").fill(place.mail.code_for(address))
    somebody.shot(FOLDER, f"{name}-03-verify")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text(f"You work as a member of {group or 'lovelace-lab'}.")).to_be_visible()
    somebody.shot(FOLDER, f"{name}-04-signed-in")


def ask_for_pca(ada: Person, recordings: list[Path]) -> None:
    """Three recordings, one parameter, the quote, submit."""
    page = ada.page
    page.locator("main").get_by_role("link", name="New job").click()
    page.get_by_role("link", name="Principal components of a recording").click()
    ada.shot(FOLDER, "ada-05-analysis")
    page.get_by_role("link", name="New job").click()
    drop(page, ".uppy-Dashboard-AddFiles", recordings)
    page.locator(".uppy-Dashboard-Item").first.wait_for()
    ada.shot(FOLDER, "ada-06-uploading")
    for recording in recordings:
        expect(page.get_by_role("checkbox", name=recording.name)).to_be_checked(timeout=RUN_MS)
    page.get_by_label("Components", exact=True).fill("5")
    quote = page.locator("#quote")
    expect(quote).to_contain_text("3 stacks on 3 datasets")
    expect(quote).to_contain_text("Nothing")  # on the site's own machine
    ada.settle()
    ada.shot(FOLDER, "ada-07-quote")
    page.locator("#submit").click()


def watch_it_run(ada: Person, large: str) -> str:
    """Progress on the job's page and lines in a stack's log, while they come. Returns the job's id."""
    page = ada.page
    page.wait_for_url("**/jobs/*")
    job = ada.path().rsplit("/", 1)[-1]
    expect(page.locator(".job-head .status")).to_have_text("Running", timeout=RUN_MS)
    page.locator("#stacks").get_by_role("link", name=large).click()
    log = page.locator("pre.console")
    before = log.inner_text()
    until(lambda: len(log.inner_text()) > len(before), RUN_MS / 1000)
    expect(log).to_contain_text("2,400 frames")  # what pca says that it has before it
    ada.shot(FOLDER, "ada-09-live-log")
    page.locator("main").get_by_role("link", name=job).first.click()
    expect(page.locator(".job-head .status")).to_have_text("Succeeded", timeout=RUN_MS)
    expect(page.locator(".certificate")).to_contain_text("Valid")
    ada.shot(FOLDER, "ada-10-succeeded")
    return job


def look_at_results(ada: Person, job: str, folder: Path) -> None:
    """The figure in the page, and all files as a zip."""
    page = ada.page
    page.locator(".deeds").get_by_role("link", name="Results").click()
    page.locator("#files").get_by_role("link", name="figure.png").first.click()
    page.locator("#viewer").get_by_role("heading", name="figure.png").wait_for()
    until(lambda: page.evaluate("(document.querySelector('#viewer img')?.naturalWidth ?? 0) > 500"))
    ada.shot(FOLDER, "ada-11-figure")
    with page.expect_download() as coming:
        page.get_by_role("link", name="Download all").click()
    path = folder / "results.zip"
    coming.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [Path(name) for name in archive.namelist()]
        figures = [archive.read(str(name)) for name in names if name.name == "figure.png"]
    assert len(figures) == 3
    assert all(figure.startswith(b"\x89PNG") for figure in figures)
    assert {"components.npy", "time_courses.npy", "summary.json", "certificate.json"} <= {name.name for name in names}
    assert job in coming.value.suggested_filename


def start_it_again(ada: Person, job: str) -> None:
    """From the history, as it was; what is answered already costs no time."""
    page = ada.page
    page.get_by_role("navigation", name="Site").get_by_role("link", name="Jobs").click()
    expect(page.locator("main")).to_contain_text(job)
    ada.settle()
    ada.shot(FOLDER, "ada-12-history")
    page.locator("main").get_by_role("link", name=job).click()
    page.get_by_role("link", name="Run again").click()
    expect(page.get_by_label("Components", exact=True)).to_have_value("5")
    expect(page.locator("#quote")).to_contain_text("3 answered from earlier results")
    ada.shot(FOLDER, "ada-13-again")
    page.locator("#submit").click()
    page.wait_for_url(lambda url: "/jobs/" in url and job not in url)
    expect(page.locator(".job-head .status")).to_have_text("Succeeded", timeout=RUN_MS)
    ada.shot(FOLDER, "ada-14-second-job")


def invite(ada: Person) -> str:
    page = ada.page
    page.get_by_role("navigation", name="Site").get_by_role("link", name="Group").click()
    page.get_by_role("button", name="Make a code").click()
    code = page.locator("[id^=code-]").first
    code.wait_for()
    ada.shot(FOLDER, "ada-15-code")
    return code.inner_text().strip()


def see_it(bob: Person, job: str) -> None:
    page = bob.page
    page.get_by_role("navigation", name="Site").get_by_role("link", name="Jobs").click()
    page.locator("main").get_by_role("link", name=job).click()
    expect(page.locator(".job-head .status")).to_have_text("Succeeded")
    page.locator(".deeds").get_by_role("link", name="Results").click()
    page.locator("#files").get_by_role("link", name="figure.png").first.wait_for()
    bob.shot(FOLDER, "bob-05-sees-it")


def see_nothing_of_it(eve: Person, job: str) -> None:
    """Neither by its address nor in a list, nor whose it is."""
    for path in ("/", "/jobs", "/data"):
        answer = eve.open(path)
        assert answer.ok
        text = eve.page.locator("main").inner_text()
        assert job not in text
        assert "lovelace" not in text
        assert "300MiB" not in text
    eve.shot(FOLDER, "eve-05-sees-nothing")
    for path in (f"/jobs/{job}", f"/jobs/{job}/results", f"/analyses/pca/new?from={job}"):
        assert eve.open(path).status == 404
    eve.shot(FOLDER, "eve-06-not-found")
    api = eve.context.request.get(f"{eve.url}/api/v1/jobs/{job}")
    assert api.status == 404
