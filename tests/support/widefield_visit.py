"""Somebody's way through the website with a widefield recording: align, sweep over both steps, explore, compare.

The test walks it with a small recording. As a module it takes the tutorial's pictures from a larger one, in about
ten minutes on two cores: `PYTHONPATH=tests .venv/bin/python -m support.widefield_visit docs/images/widefield`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageOps
from playwright.sync_api import FrameLocator, Locator, expect

from support.browsing import ARTEFACTS, Person, chromium, person
from support.browsing import drop as drop_files
from support.mail import Mailbox, mailbox
from support.page_host import DRAWN
from support.served import served
from support.sites import make_site, until
from support.widefield_recording import Recording, recorded

SIZE = (250, 290, 400)  # of the recording in the tutorial
COMPONENTS, THRESHOLD = "preprocess.pmd.max_components", "locanmf.loc_thresh"  # a parameter of either step
RUN_MS = 900_000
PHONE = {"width": 390, "height": 844}
PICTURES = {
    "set-up": "1-set-up",
    "components": "5-components",
    "correlation": "7-correlation",
    "two-runs": "8-two-runs",
}


@contextmanager
def widefield_site(folder: Path, environments: Path) -> Iterator[tuple[str, Mailbox]]:
    """A new site with the bundled analyses, served: its address, and what is mailed by it."""
    site = make_site(folder, environments, bundled=True)
    try:
        with mailbox() as mail, served(site, NEUROCAAS_MAIL_URL=mail.url) as server:
            server.wait_for_all()
            yield server.url, mail
            assert server.end() == 0
    finally:
        site.end()


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What somebody does. config: parameters that they set. components, thresholds: what they sweep over."""

    who: Person
    recording: Recording
    config: Mapping[str, Any]
    components: Sequence[int] = (8, 12, 16)
    thresholds: Sequence[int] = (60, 75, 90)
    folder: Path = ARTEFACTS / "widefield"

    @property
    def frame(self) -> FrameLocator:
        """The analysis' own page."""
        return self.who.page.frame_locator(".framed iframe")

    @property
    def framed(self) -> Locator:
        return self.who.page.locator(".framed iframe")

    def align(self) -> None:
        """Upload, see the mean image, put the landmarks on the brain."""
        page, frame = self.who.page, self.frame
        self.who.open("/analyses/widefield/new")
        drop_files(page, ".uppy-Dashboard-AddFiles", [self.recording.path])
        expect(page.get_by_role("checkbox", name=self.recording.path.name)).to_be_checked(timeout=RUN_MS)
        page.get_by_role("button", name="Set up").click()
        frame.locator("#verdict").wait_for(timeout=RUN_MS)
        expect(frame.locator("#schematic")).to_be_visible()
        self._drag_the_first_landmark()
        places = {one["name"]: (round(one["x"], 1), round(one["y"], 1)) for one in self.recording.landmarks}
        for row, place in enumerate(places.values()):
            for value, field in zip(place, frame.locator("#marks tr").nth(row).locator("input").all(), strict=True):
                field.fill(f"{value:.1f}")
                field.press("Enter")
        expect(frame.locator("#verdict")).to_have_text("The landmarks fit the atlas.")
        frame.get_by_role("button", name="Use this alignment").click()
        field = page.locator("[name='p.locanmf.landmarks']")
        until(lambda: _placed(field.input_value()) == places)
        self.who.settle()
        self.shot("1-set-up", self.framed)
        self.shot("1-set-up-phone", self.framed, phone=True)

    def sweep(self) -> None:
        """Several values of a parameter of both steps, and what that comes to."""
        page = self.who.page
        for name, value in self.config.items():
            field = page.locator(f"[name='p.{name}']")
            field.set_checked(value) if isinstance(value, bool) else field.fill(str(value))
        for name, values in ((COMPONENTS, self.components), (THRESHOLD, self.thresholds)):
            parameter = page.locator(f".parameter:has([name='p.{name}'])")
            parameter.get_by_text("Several values").click()
            parameter.locator(f"[name='s.{name}']").fill(", ".join(map(str, values)))
        quote = page.locator("#quote")
        # Overview and motion are done once, pmd and hemodynamics for each number of components, locanmf for each pair.
        stacks = 2 + len(self.components) * (2 + len(self.thresholds))
        expect(quote).to_contain_text(f"{stacks} stacks on 1 dataset")
        expect(quote).to_contain_text("1 answered from earlier results")
        self.who.settle()
        self.shot("2-quote")

    def submit(self) -> str:
        """Watch the job run and succeed. Returns where its page is."""
        page, status = self.who.page, self.who.page.locator(".job-head .status")
        page.locator("#submit").click()
        page.wait_for_url("**/jobs/*")
        expect(status).to_have_text("Running", timeout=RUN_MS)
        self.shot("3-running")
        expect(status).to_have_text("Succeeded", timeout=RUN_MS)
        expect(page.locator(".certificate")).to_contain_text("Valid")
        self.shot("4-succeeded")
        return self.who.path()

    def fetch(self, job: str, folder: Path) -> None:
        """All results into the folder."""
        page = self.who.page
        self.who.open(f"{job}/results")
        with page.expect_download() as coming:
            page.get_by_role("link", name="Download all").click()
        coming.value.save_as(folder / "all.zip")
        with zipfile.ZipFile(folder / "all.zip") as archive:
            archive.extractall(folder)

    def ask_again(self, job: str, threshold: float) -> None:
        """What one result more would take, with another threshold: only the last step."""
        page = self.who.page
        self.who.open(job)
        page.get_by_role("link", name="Run again").click()
        for name, value in ((COMPONENTS, self.components[-1]), (THRESHOLD, threshold)):
            page.locator(f"[name='s.{name}']").fill("")
            page.locator(f"[name='p.{name}']").fill(str(value))
        quote = page.locator("#quote")
        expect(quote).to_contain_text("5 stacks on 1 dataset")
        expect(quote).to_contain_text("4 answered from earlier results")

    def explore(self, job: str) -> None:
        """All components, one of them, and what one pixel goes with."""
        frame = self.frame
        height, width, times = self.recording.size
        self.who.open(job)
        self.who.page.get_by_role("link", name="Explore").click()
        frame.locator("#list tr").first.wait_for()
        expect(frame.locator("#about")).to_contain_text(f"{height} × {width} px · {times} frames at 30 Hz")
        self.shot("5-components", self.framed)
        self.shot("5-components-phone", phone=True)
        frame.locator("#list").get_by_role("button", name="VISp").first.click()
        expect(frame.locator("#list tr.chosen")).to_have_count(1)
        expect(frame.locator("#bar")).to_contain_text("weight")
        self.shot("6-component", self.framed)
        frame.get_by_role("button", name="Correlation of a pixel").click()
        box = frame.locator("#map").bounding_box()
        assert box is not None
        frame.locator("#map").click(position={"x": 0.3 * box["width"], "y": 0.75 * box["height"]})
        expect(frame.locator("#bar")).to_contain_text("correlation with the marked pixel")
        self.shot("7-correlation", self.framed)

    def compare(self) -> None:
        """The first point of the sweep with the last."""
        frame = self.frame
        frame.get_by_role("button", name="Components", exact=True).click()
        choice = frame.get_by_label("Compare with")
        others = len(self.components) * len(self.thresholds) - 1
        expect(choice.locator("option")).to_have_count(others + 1)  # and none
        choice.select_option(index=others)
        for name, values in ((COMPONENTS, self.components), (THRESHOLD, self.thresholds)):
            if len(values) > 1:
                said = f"{name} {values[0]} here, {values[-1]} there"
                expect(frame.locator("#difference")).to_contain_text(said)
        frame.locator("#pairs tr").first.wait_for()
        self.shot("8-two-runs", frame.locator("#comparison"))
        self.shot("8-two-runs-phone", phone=True)

    def shot(self, name: str, part: Locator | None = None, *, phone: bool = False) -> None:
        """Keep the page, or a part of it. Nothing may reach beyond the window's side, in the frame neither."""
        page = self.who.page
        before = page.viewport_size
        assert before is not None
        size = PHONE if phone else before
        for _ in range(2):  # the analysis' page may ask for another height in a window of another width
            page.set_viewport_size(size)
            height = page.evaluate("document.documentElement.scrollHeight")
            # Chromium paints a frame of another process where it is in the window, and nowhere else.
            page.set_viewport_size(size | {"height": height})
            for frame in page.frames[::-1]:
                frame.evaluate(DRAWN)
        for frame in page.frames:
            assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
        path = self.folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        (part or page).screenshot(path=path, animations="disabled", caret="initial")
        page.set_viewport_size(before)

    def _drag_the_first_landmark(self) -> None:
        """With the mouse, to its pixel of the image."""
        page, frame, wanted = self.who.page, self.frame, self.recording.landmarks[0]
        frame.locator("#picture").scroll_into_view_if_needed()
        picture, mark = (frame.locator(one).first.bounding_box() for one in ("#picture", ".mark"))
        assert picture is not None
        assert mark is not None
        zoom = picture["width"] / self.recording.size[1]
        page.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
        page.mouse.down()
        page.mouse.move(picture["x"] + (wanted["x"] + 0.5) * zoom, picture["y"] + (wanted["y"] + 0.5) * zoom, steps=4)
        page.mouse.up()
        there = [float(field.input_value()) for field in frame.locator("#marks input").all()[:2]]
        assert abs(there[0] - wanted["x"]) < 1, there
        assert abs(there[1] - wanted["y"]) < 1, there


def _placed(text: str) -> dict[str, tuple[float, float]]:
    """The landmarks that the form holds."""
    return {one["name"]: (one["x"], one["y"]) for one in yaml.safe_load(text) or []}


def join(ada: Person, mail: Mailbox) -> None:
    """An account, and a group of one's own."""
    ada.sign_up("ada", "ada@example.org", group="lovelace-lab")
    ada.page.get_by_label("Code").fill(mail.code_for("ada@example.org"))
    ada.page.get_by_role("button", name="Confirm").click()
    expect(ada.page.get_by_text("You work as a member of lovelace-lab.")).to_be_visible()


def take_pictures(folder: Path) -> None:
    """Into the folder, as the tutorial names them."""
    work = Path(tempfile.mkdtemp(prefix="neurocaas-widefield-"))
    work.chmod(0o755)
    (work / "environments").mkdir()
    try:
        made = recorded(work / "recording", SIZE)
        with (
            widefield_site(work, work / "environments") as (url, mail),
            chromium() as browser,
            person(browser, url, reduced_motion="reduce") as ada,
        ):
            join(ada, mail)
            visit = Visit(
                who=ada, recording=made, config={}, components=(50,), thresholds=(60, 90), folder=work / "pictures"
            )
            visit.align()
            visit.sweep()
            visit.explore(visit.submit())
            visit.compare()
        for name, source in PICTURES.items():
            picture = Image.open(visit.folder / f"{source}.png").convert("RGB")
            ImageOps.expand(picture, 12, "white").save(folder / f"{name}.jpg", quality=85)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
