"""Pictures of every page, for the documentation: `make screenshots` writes them into docs/images/web."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from support.browsing import Person, chromium, person
from support.populated import Populated, populated

WIDTHS = {1280: 1500, 390: 1500}  # of the window: the most of a long page's height that is shown
FIRST_HEIGHT = 900
PAUSE_MS = 800
COLOURS = 96
NOTHING_WAITS = """() => ![...document.querySelectorAll(".spinner:not(.htmx-indicator)")].some(
    one => one.checkVisibility() && one.getBoundingClientRect().top < innerHeight
)"""
NOBODY = ""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A page, as who sees it. dark: once more, in the dark."""

    name: str
    path: str
    who: str = "ada"
    dark: bool = False


def pages(site: Populated) -> Iterator[Shown]:
    jobs, items = site.jobs, site.items
    chosen = "&".join(f"data={items[name]}" for name in ("two-photon.tif", "behaviour.mp4", "widefield.npy"))
    yield Shown(name="welcome", path="/", who=NOBODY)
    yield Shown(name="sign-up", path="/accounts/signup/", who=NOBODY)
    yield Shown(name="sign-in", path="/accounts/login/", who=NOBODY)
    yield Shown(name="home", path="/")
    yield Shown(name="analyses", path="/analyses")
    yield Shown(name="analysis", path="/analyses/pca")
    yield Shown(name="new-job", path=f"/analyses/pca/new?{chosen}", dark=True)
    yield Shown(name="job-running", path=f"/jobs/{jobs['endless']}")
    yield Shown(name="job-failed", path=f"/jobs/{jobs['failed']}")
    yield Shown(name="job", path=f"/jobs/{jobs['succeeded']}")
    yield Shown(name="stack", path=f"/jobs/{jobs['endless']}/stacks/0")
    yield Shown(name="results", path=f"/jobs/{jobs['succeeded']}/results", dark=True)
    yield Shown(name="explore", path=f"/jobs/{jobs['succeeded']}/explore", dark=True)
    yield Shown(name="jobs", path="/jobs")
    yield Shown(name="compare", path=f"/jobs/compare?a={jobs['succeeded']}&b={jobs['sweep']}")
    yield Shown(name="data", path="/data")
    yield Shown(name="data-item", path=f"/data/{items['two-photon.tif']}")
    yield Shown(name="group", path="/group")
    yield Shown(name="profile", path="/profile")
    yield Shown(name="tokens", path="/tokens")
    yield Shown(name="account", path="/accounts/email/")
    yield Shown(name="help", path="/help")
    for name in ("", "jobs", "groups", "users", "audit"):
        yield Shown(name=f"operator-{name}".rstrip("-"), path=f"/operator/{name}".rstrip("/"), who="olga")


def take(browser: Browser, site: Populated, folder: Path) -> None:
    for who in (NOBODY, "ada", "olga"):
        for width, height in WIDTHS.items():
            with person(browser, site.url, viewport={"width": width, "height": FIRST_HEIGHT}) as somebody:
                if who:
                    somebody.sign_in(who)
                for one in pages(site):
                    if one.who == who:
                        _take(somebody, one, folder / f"{one.name}-{width}.png", height)
        with person(browser, site.url, color_scheme="dark") as somebody:
            if who:
                somebody.sign_in(who)
            for one in pages(site):
                if one.who == who and one.dark:
                    _take(somebody, one, folder / f"{one.name}-dark-1280.png", WIDTHS[1280])


def _take(somebody: Person, one: Shown, path: Path, most_height: int) -> None:
    page, width = somebody.page, somebody.page.viewport_size["width"]  # type: ignore[index]
    page.set_viewport_size({"width": width, "height": FIRST_HEIGHT})
    answer = somebody.open(one.path)
    assert answer.ok, f"{one.path} answered {answer.status}"
    somebody.settle()
    # What is loaded once it is seen has to be seen.
    height = min(most_height, page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(PAUSE_MS)
    page.wait_for_function(NOTHING_WAITS)
    somebody.settle()
    picture = page.screenshot(animations="disabled", caret="initial")
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="neurocaas-screenshots-"))
    work.chmod(0o755)
    (work / "environments").mkdir()
    try:
        with chromium() as browser, populated(work, work / "environments") as site:
            take(browser, site, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    pictures = sorted(folder.glob("*.png"))
    print(f"{len(pictures)} pictures, {sum(one.stat().st_size for one in pictures) / 1e6:.1f} MB, in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
