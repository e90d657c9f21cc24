"""A widefield recording through the website: from landmarks to the exploration of a 3 x 3 sweep."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, FrameLocator, Page, expect

from support.browsing import Person, drop, person
from support.mail import Mailbox, mailbox
from support.page_host import DRAWN
from support.served import served
from support.sites import make_site, until
from support.widefield_recording import HEIGHT, QUICK, TIMES, WIDTH, small_recording

ROOT = Path(__file__).resolve().parents[2]
SWEPT = {"preprocess.pmd.max_components": "4, 8, 12", "locanmf.loc_thresh": "60, 75, 90"}
FOLDER = "widefield"
RUN_MS = 600_000


@dataclass
class Place:
    """Where it happens. landmarks: x and y in pixels, as planted in the recording."""

    url: str
    mail: Mailbox
    recording: Path
    landmarks: dict[str, tuple[float, float]]


@pytest.fixture
def place(shared_environments: Path) -> Iterator[Place]:
    """A new site, served, with the bundled analyses, and a recording."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-widefield-"))
    folder.chmod(0o755)
    made = small_recording(folder / "recording")
    site = make_site(folder, shared_environments, bundled=True)
    try:
        with mailbox() as mail, served(site, NEUROCAAS_MAIL_URL=mail.url) as server:
            server.wait_for_all()
            landmarks = {one["name"]: (one["x"], one["y"]) for one in made.landmarks}
            yield Place(url=server.url, mail=mail, recording=made.path, landmarks=landmarks)
            assert server.end() == 0
    finally:
        site.end()
        shutil.rmtree(folder, ignore_errors=True)


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator(".framed iframe")


def test_from_landmarks_to_components_and_a_sweep_of_both_steps(browser: Browser, place: Place) -> None:
    with person(browser, place.url) as ada:
        ada.sign_up("ada", "ada@example.org", group="lovelace-lab")
        ada.page.get_by_label("Code").fill(place.mail.code_for("ada@example.org"))
        ada.page.get_by_role("button", name="Confirm").click()
        align(ada, place)
        sweep(ada)
        explore(ada)
        compare(ada)
        assert ada.faults == []


def align(ada: Person, place: Place) -> None:
    """Upload, see the mean image, put the landmarks on the brain."""
    page = ada.page
    ada.open("/analyses/widefield/new")
    drop(page, ".uppy-Dashboard-AddFiles", [place.recording])
    expect(page.get_by_role("checkbox", name=place.recording.name)).to_be_checked(timeout=RUN_MS)
    page.get_by_role("button", name="Set up").click()
    frame = frame_of(page)
    frame.locator("#verdict").wait_for(timeout=RUN_MS)
    expect(frame.locator("#schematic")).to_be_visible()
    _drag_towards(page, frame, "OB left", place.landmarks["OB_left"])
    for row, (x, y) in enumerate(place.landmarks.values()):
        first, second = frame.locator("#marks tr").nth(row).locator("input").all()
        first.fill(f"{x:.1f}")
        second.fill(f"{y:.1f}")
        second.press("Enter")
    expect(frame.locator("#verdict")).to_have_text("The landmarks fit the atlas.")
    frame.get_by_role("button", name="Use this alignment").click()
    field = page.locator("[name='p.locanmf.landmarks']")
    until(
        lambda: (
            _placed(field.input_value())
            == {name: (round(x, 1), round(y, 1)) for name, (x, y) in place.landmarks.items()}
        )
    )
    ada.settle()
    _shot(ada, "site-1-set-up")


def sweep(ada: Person) -> None:
    """Three values of a parameter of both steps, submitted, watched."""
    page = ada.page
    page.get_by_role("checkbox", name="Overlapping blocks").uncheck()
    for name, value in QUICK.items():
        if value is not False:
            page.locator(f"[name='p.{name}']").fill(str(value))
    for name, values in SWEPT.items():
        field = page.locator(f".parameter:has([name='p.{name}'])")
        field.get_by_text("Several values").click()
        field.locator(f"[name='s.{name}']").fill(values)
    quote = page.locator("#quote")
    expect(quote).to_contain_text("17 stacks on 1 dataset")  # overview, motion, 3 pmd, 3 hemodynamics, 9 locanmf
    expect(quote).to_contain_text("1 answered from earlier results")
    ada.settle()
    _shot(ada, "site-2-quote")
    page.locator("#submit").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator(".job-head .status")).to_have_text("Running", timeout=RUN_MS)
    _shot(ada, "site-3-running")
    expect(page.locator(".job-head .status")).to_have_text("Succeeded", timeout=RUN_MS)
    expect(page.locator(".certificate")).to_contain_text("Valid")
    _shot(ada, "site-4-succeeded")


def explore(ada: Person) -> None:
    """A component, then what one pixel goes with."""
    page = ada.page
    page.get_by_role("link", name="Explore").click()
    frame = frame_of(page)
    frame.locator("#list tr").first.wait_for()
    expect(frame.locator("#about")).to_contain_text(f"{HEIGHT} × {WIDTH} px · {TIMES} frames at 30 Hz")
    _shot(ada, "site-5-components")
    frame.locator("#list").get_by_role("button", name="VISp").first.click()
    expect(frame.locator("#list tr.chosen")).to_have_count(1)
    expect(frame.locator("#bar")).to_contain_text("weight")
    _shot(ada, "site-6-component")
    frame.get_by_role("button", name="Correlation of a pixel").click()
    box = frame.locator("#map").bounding_box()
    assert box is not None
    frame.locator("#map").click(position={"x": 0.3 * box["width"], "y": 0.75 * box["height"]})
    expect(frame.locator("#bar")).to_contain_text("correlation with the marked pixel")
    _shot(ada, "site-7-correlation")


def compare(ada: Person) -> None:
    """Two points of the sweep."""
    frame = frame_of(ada.page)
    frame.get_by_role("button", name="Components", exact=True).click()
    choice = frame.get_by_label("Compare with")
    expect(choice.locator("option")).to_have_count(9)  # eight others, and none
    choice.select_option(index=8)
    expect(frame.locator("#difference")).to_contain_text("Different parameters: ")
    expect(frame.locator("#difference")).to_contain_text("locanmf.loc_thresh 60 here, 90 there")
    frame.locator("#pairs tr").first.wait_for()
    _shot(ada, "site-8-two-runs")


def _shot(somebody: Person, name: str) -> None:
    """Keep the whole page. Chromium paints a frame of another process where it is in the window, and nowhere else."""
    page = somebody.page
    before, height = page.viewport_size, page.evaluate("document.documentElement.scrollHeight")
    assert before is not None
    page.set_viewport_size({"width": before["width"], "height": height})
    for frame in page.frames:
        frame.evaluate(DRAWN)
    somebody.shot(FOLDER, name, full=False)
    page.set_viewport_size(before)


def _placed(text: str) -> dict[str, tuple[float, float]]:
    """The landmarks that the form holds."""
    return {one["name"]: (one["x"], one["y"]) for one in yaml.safe_load(text) or []}


def _drag_towards(page: Page, frame: FrameLocator, name: str, place: tuple[float, float]) -> None:
    """Drag a landmark to a pixel of the image with the mouse."""
    frame.locator("#picture").scroll_into_view_if_needed()
    canvas, box = frame.locator("#picture").bounding_box(), frame.locator(".mark", has_text=name).bounding_box()
    assert canvas is not None
    assert box is not None
    zoom = canvas["width"] / WIDTH
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(canvas["x"] + (place[0] + 0.5) * zoom, canvas["y"] + (place[1] + 0.5) * zoom, steps=4)
    page.mouse.up()
    x = float(frame.locator("#marks input").first.input_value())
    assert x == pytest.approx(place[0], abs=1)
