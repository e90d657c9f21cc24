"""The two interactive pages of `widefield` in a real Chromium, in a frame as the site gives them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from support import widefield_files
from support.page_host import Framed, framed
from support.sites import until
from support.widefield_files import HEIGHT, STEP, WIDTH, planted_landmarks, schematic

Array = np.ndarray[Any, Any]

PAGES = Path(__file__).resolve().parents[2] / "analyses" / "widefield" / "pages"
LANDMARKS = "locanmf.landmarks"
RATES = {"preprocess.motion.sampling_rate_hz": 30, "locanmf.sampling_rate_hz": 30}
RUNS = [
    {
        "id": run,
        "dataset": "mouse",
        "label": f"locanmf.loc_thresh={value}",
        "point": {"locanmf.loc_thresh": value},
        "config": {"locanmf.loc_thresh": value, "locanmf.max_rank": 10},
    }
    for run, value in (("0", 80), ("1", 60))
]
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
GRAVE = {"serious", "critical"}
COLOURS = f"""(canvas, places) => {{
    const {{data, width, height}} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const [right, down] = [width / {WIDTH}, height / {HEIGHT}];
    const at = ([x, y]) => 4 * (Math.round((y + 0.5) * down) * width + Math.round((x + 0.5) * right));
    return places.map(place => [...data.slice(at(place), at(place) + 3)]);
}}"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("widefield")
    widefield_files.write_overview(folder / "overview", schematic())
    for run, spread, less in (("0", 5, 0), ("1", 9, 2)):
        widefield_files.write_exploration(folder / run / "locanmf" / "explore", schematic(), spread=spread, less=less)
    return folder


def set_up(browser: Browser, files: Path, landmarks: Any = (), **options: Any) -> AbstractContextManager[Framed]:
    start = {"page": "setup", "config": {LANDMARKS: list(landmarks)} | RATES}
    return framed(browser, PAGES / "setup.html", {"": files / "overview"}, start, **options)


def explore(
    browser: Browser, files: Path, runs: list[str] | None = None, **options: Any
) -> AbstractContextManager[Framed]:
    known = [RUNS[int(one)] for one in runs or ["0", "1"]]
    start = {"page": "results", "run": "0", "runs": known, "config": RUNS[0]["config"]}
    folders = {run["id"]: files / run["id"] for run in known}
    return framed(browser, PAGES / "explore.html", folders, start, **options)  # type: ignore[arg-type]


@pytest.fixture
def setting(browser: Browser, files: Path) -> Iterator[Framed]:
    """The set-up page with the landmarks where they were planted."""
    with set_up(browser, files, planted_landmarks()) as page:
        expect(page.frame.locator("#verdict")).to_be_visible()
        page.drawn()
        yield page
        assert page.faults == []


@pytest.fixture
def exploring(browser: Browser, files: Path) -> Iterator[Framed]:
    with explore(browser, files) as page:
        expect(page.frame.locator("#list tr")).to_have_count(12)
        page.drawn()
        yield page
        assert page.faults == []


def mark(page: Framed, name: str) -> Locator:
    return page.frame.locator(".mark", has_text=name.replace("_", " "))


def landmarks_set(page: Framed, number: int = 1) -> dict[str, tuple[float, float]]:
    values = page.until_said("set", number)["values"][LANDMARKS]
    return {one["name"]: (one["x"], one["y"]) for one in values}


# ---------------------------------------------------------------- set-up


def test_the_outline_fits_landmarks_that_were_planted(setting: Framed) -> None:
    frame = setting.frame
    expect(frame.locator("#rms")).to_have_text("0.0 px (0.00 mm)")
    expect(frame.locator("#scale")).to_contain_text("17.5 px/mm; the image is 16.0 × 13.7 mm")
    expect(frame.locator("#verdict")).to_have_text("The landmarks fit the atlas.")
    expect(frame.locator("#schematic")).to_have_text("schematic atlas")
    inside = np.zeros((HEIGHT, WIDTH), bool)
    for outline in widefield_files.outlines(schematic()):
        inside |= widefield_files.within(outline, HEIGHT, WIDTH, 1)
    expect(frame.locator("#fraction")).to_contain_text(f"{100 * inside.mean():.0f} % of the image")
    setting.shot("setup")


def labelled() -> Array:
    """int (HEIGHT, WIDTH): 1 + the index of the region that has a pixel's centre, 0 for none."""
    found = np.zeros((HEIGHT, WIDTH), int)
    for index, outline in reversed(list(enumerate(widefield_files.outlines(schematic()), start=1))):
        found[widefield_files.within(outline, HEIGHT, WIDTH, 1)] = index
    return found


def test_a_mask_that_was_given_is_shaded_and_counted(browser: Browser, files: Path, tmp_path: Path) -> None:
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:, WIDTH // 2 :] = False
    widefield_files.write_overview(tmp_path / "overview", schematic(), mask)
    analysed = (labelled() > 0) & mask
    with set_up(browser, tmp_path, planted_landmarks()) as page:
        said = f"{100 * analysed.mean():.0f} % of the image, will be analysed: inside the outline and the mask"
        expect(page.frame.locator("#fraction")).to_contain_text(said)
        pixels = int(page.frame.locator("#fraction").inner_text().split()[0].replace(",", ""))
        assert pixels == pytest.approx(analysed.sum(), abs=20)  # outlines are rounded to a hundredth of a pixel here
        places = [[float(one) for one in widefield_files.to_pixels(x, 4.2)] for x in (-2.6, 2.6)]  # both in VISp
        page.drawn()
        left, right = page.frame.locator("#picture").evaluate(COLOURS, places)
        assert left[0] == left[2]  # grey
        assert right[0] < right[2] - 20  # shaded blue
        page.shot("setup-mask")
        assert page.faults == []


def test_a_mask_beside_the_outline_leaves_nothing_and_that_is_said(browser: Browser, tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[0, 0] = True
    widefield_files.write_overview(tmp_path / "overview", schematic(), mask)
    with set_up(browser, tmp_path, planted_landmarks()) as page:
        expect(page.frame.locator("#verdict")).to_contain_text("No pixel is left to be analysed")
        assert page.faults == []


def test_regions_that_are_too_small_for_components_are_named(setting: Framed) -> None:
    small = setting.frame.locator("#small")
    expect(small).to_be_hidden()
    setting.tell(type="config", config={"locanmf.min_region_px": 300} | RATES)
    sizes = np.bincount(labelled().ravel(), minlength=17)[1:]
    too_small = {one["acronym"]: size for one, size in zip(schematic()["regions"], sizes, strict=True) if size < 300}
    assert list(too_small) == ["SSp-ul", "SSp-tr"]
    expect(small).to_contain_text("Regions of fewer than 300 px get no components: SSp-ul (left ")
    expect(small).to_contain_text("Lower locanmf.min_region_px to have them too.")
    setting.tell(type="config", config={"locanmf.min_region_px": 100} | RATES)
    expect(small).to_be_hidden()


def test_nothing_is_set_until_somebody_moves_or_accepts(setting: Framed) -> None:
    assert setting.said("set") == []
    setting.frame.get_by_role("button", name="Use this alignment").click()
    planted = {one["name"]: (one["x"], one["y"]) for one in planted_landmarks()}
    assert landmarks_set(setting) == planted
    expect(setting.frame.locator("#used")).to_have_text("The landmarks are in the form.")


def test_arrow_keys_move_a_landmark(setting: Framed) -> None:
    before = {one["name"]: (one["x"], one["y"]) for one in planted_landmarks()}["RSP_base"]
    mark(setting, "RSP_base").press("ArrowRight")
    mark(setting, "RSP_base").press("Shift+ArrowUp")
    until(lambda: landmarks_set(setting)["RSP_base"] == pytest.approx((before[0] + 1, before[1] - 10), abs=0.11))
    expect(setting.frame.locator("#spoken")).to_contain_text("Retrosplenial base")


def test_a_mouse_drags_a_landmark_and_the_outline_follows(setting: Framed) -> None:
    _drag(setting, "OB_left", (-12, -9))
    _until_dragged(setting, "OB_left", (-12, -9))
    expect(setting.frame.locator("#rms")).not_to_have_text("0.0 px (0.00 mm)")


def test_what_comes_back_from_the_form_does_not_move_a_landmark_that_has_moved_on(setting: Framed) -> None:
    _drag(setting, "OB_left", (-12, -9))
    _until_dragged(setting, "OB_left", (-12, -9))
    said = setting.said("set")
    first = said[-1]["values"]
    mark(setting, "OB_left").press("Shift+ArrowLeft")
    setting.tell(type="config", config=first)  # late
    moved = landmarks_set(setting, len(said) + 1)
    assert moved["OB_left"][0] == pytest.approx(first[LANDMARKS][0]["x"] - 10, abs=0.11)


def test_landmarks_typed_into_the_form_are_taken_over(setting: Framed) -> None:
    typed = [one | {"x": one["x"] + 20} for one in planted_landmarks()]
    setting.tell(type="config", config={LANDMARKS: typed})
    expect(setting.frame.get_by_label("Retrosplenial base, x in pixels")).to_have_value(f"{typed[3]['x']:.1f}")
    assert setting.said("set") == []


def test_the_rate_that_several_steps_ask_for_is_set_once(setting: Framed) -> None:
    rate = setting.frame.get_by_label("Sampling rate of one channel, Hz")
    expect(rate).to_have_value("30")
    rate.fill("15")
    rate.press("Enter")
    assert setting.until_said("set")["values"] == dict.fromkeys(RATES, 15)
    setting.tell(type="config", config=RATES | {"locanmf.sampling_rate_hz": 20})
    expect(setting.frame.locator("#rate-says")).to_contain_text(
        "different rates: preprocess.motion.sampling_rate_hz 30"
    )


def test_steps_that_contradict_each_other_about_the_channels_are_told(setting: Framed) -> None:
    said = setting.frame.locator("#order-says")
    overview, motion = "overview.blue_channel", "preprocess.motion.blue_channel"
    delay = "preprocess.hemodynamics.violet_delay"
    expect(said).to_have_text("")
    setting.tell(type="config", config=RATES | {overview: 2, motion: 1, delay: 0.5})
    expect(said).to_have_text(f"The steps have different blue channels: {overview} 2, {motion} 1.")
    setting.tell(type="config", config=RATES | {overview: 2, motion: 2, delay: 0.5})
    expect(said).to_contain_text(f"Violet comes first (blue_channel 2), but {delay} 0.5 says that it does not: -0.5")
    for channel, right in ((2, -0.5), (1, 0.5), (1, 0)):
        setting.tell(type="config", config=RATES | {overview: channel, motion: channel, delay: right})
        expect(said).to_have_text("")


def test_a_mirrored_image_is_understood(setting: Framed) -> None:
    setting.frame.get_by_role("button", name="Mirror").click()
    expect(setting.frame.locator("#verdict")).to_contain_text("mirrored image")
    expect(setting.frame.locator("#rms")).to_contain_text("0.0 px")


def test_rotating_four_times_changes_nothing(setting: Framed) -> None:
    for _ in range(4):
        setting.frame.get_by_role("button", name="Rotate 90°").click()
    planted = {one["name"]: (one["x"], one["y"]) for one in planted_landmarks()}
    # A message may come after each turn.
    until(lambda: all(place == pytest.approx(planted[name], abs=0.2) for name, place in landmarks_set(setting).items()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, y: (140 + 0.2 * (x - 140), 100 + 0.2 * (y - 100)), "much larger than a mouse's brain"),
        (lambda x, y: (140 + 4 * (x - 140), 100 + 4 * (y - 100)), "less than half of a dorsal cortex"),
        (lambda x, y: (x + 120, y), "of the outline lies in the image"),
    ],
)
def test_an_implausible_alignment_is_said_to_be_one(browser: Browser, files: Path, change: Any, says: str) -> None:
    placed = [
        dict(zip(("x", "y"), change(one["x"], one["y"]), strict=True)) | {"name": one["name"]}
        for one in planted_landmarks()
    ]
    with set_up(browser, files, placed) as page:
        expect(page.frame.locator("#verdict")).to_contain_text(says)
        assert page.faults == []


def test_exchanged_landmarks_are_found_by_the_one_that_is_farthest_off(setting: Framed) -> None:
    planted = {one["name"]: one for one in planted_landmarks()}
    planted["OB_center"]["x"], planted["OB_left"]["x"] = planted["OB_left"]["x"], planted["OB_center"]["x"]
    setting.tell(type="config", config={LANDMARKS: list(planted.values())})
    expect(setting.frame.locator("#verdict")).to_contain_text("most of all “Olfactory bulb")


def test_a_finger_drags_a_landmark_on_a_phone(browser: Browser, files: Path) -> None:
    with set_up(browser, files, planted_landmarks(), **PHONE) as page:
        expect(page.frame.locator("#verdict")).to_be_visible()
        page.drawn()
        box = mark(page, "OB_right").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = page.page.context.new_cdp_session(page.page)
        for kind, far in (("touchStart", 0), ("touchMove", 10), ("touchMove", 20), ("touchEnd", None)):
            points = [] if far is None else [{"x": x + far, "y": y}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        before = {one["name"]: one["x"] for one in planted_landmarks()}["OB_right"]
        until(lambda: landmarks_set(page)["OB_right"][0] > before + 5)
        page.shot("setup-phone")
        assert page.faults == []


def test_a_region_is_named_below_the_pointer(setting: Framed) -> None:
    _point(setting.frame.locator("#picture"), widefield_files.to_pixels(2.6, 3.6))
    expect(setting.frame.locator("#caption")).to_have_text("VISp (right): Area VISp")


def test_the_other_channel_and_the_contrast_change_the_picture(setting: Framed) -> None:
    look = "canvas => canvas.toDataURL()"
    seen = [setting.frame.locator("#picture").evaluate(look)]
    setting.frame.get_by_label("Channel", exact=True).select_option(label="2")
    until(lambda: setting.frame.locator("#picture").evaluate(look) != seen[-1])
    seen.append(setting.frame.locator("#picture").evaluate(look))
    setting.frame.get_by_label("Brightest").fill("60")
    until(lambda: setting.frame.locator("#picture").evaluate(look) not in seen)


def test_a_preview_without_its_files_is_said_to_lack_them(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "overview").mkdir()
    (tmp_path / "overview" / "log.txt").write_text("nothing")
    with set_up(browser, tmp_path) as page:
        expect(page.frame.locator("#notice")).to_contain_text("The preview has no mean.npy")
        assert page.faults == []


# ---------------------------------------------------------------- exploring


def test_the_list_has_all_components_sorts_and_filters(exploring: Framed, files: Path) -> None:
    about = json.loads((files / "0/locanmf/explore/explore.json").read_text())["components"]
    frame, first = exploring.frame, exploring.frame.locator("#list tr").first
    most = max(about, key=lambda one: one["explained_variance"])
    expect(first).to_contain_text(f"{100 * most['explained_variance']:.2f}")
    frame.get_by_role("button", name="Localized, %").click()
    expect(first).to_contain_text(f"{max(one['localization'] for one in about):.1f}")
    frame.get_by_label("Region").select_option("VISp")
    expect(frame.locator("#list tr")).to_have_count(2)
    exploring.shot("explore")


def test_regions_without_components_are_named_with_the_reason(exploring: Framed) -> None:
    expect(exploring.frame.locator("#left-out")).to_have_text(
        "Without components, as fewer than 300 of their pixels are in the mask: SSp-tr (left 231, right 231). "
        "A lower min_region_px gives them some."
    )


def test_a_press_on_a_region_shows_its_component_and_its_time_course(exploring: Framed, files: Path) -> None:
    folder = files / "0/locanmf/explore"
    about = json.loads((folder / "explore.json").read_text())["components"]
    wanted = next(one for one in about if one["region"] == "VISp" and one["side"] == "left")
    _point(exploring.frame.locator("#map"), wanted["peak"], press=True)
    expect(exploring.frame.locator("#list tr.chosen")).to_have_count(1)
    expect(exploring.frame.locator("#list tr.chosen")).to_contain_text("VISp")
    exploring.frame.get_by_role("button", name="Time courses as CSV").click()
    names, *rows = csv.reader(io.StringIO(exploring.frame.locator("#paper-text").input_value()))
    assert names == ["time_s", "VISp L"]
    course = np.load(folder / "C.npy")[wanted["index"]] * 255 * wanted["scale"]
    assert np.allclose([float(value) for _, value in rows], course, rtol=1e-4, atol=1e-8)
    assert float(rows[30][0]) == pytest.approx(1.0)
    exploring.shot("explore-component")


def test_a_pixels_correlation_map_is_that_of_the_low_rank_recording(exploring: Framed, files: Path) -> None:
    folder = files / "0/locanmf/explore"
    pixels = np.load(folder / "U.npy") @ np.load(folder / "V.npy")
    place, elsewhere = (widefield_files.to_pixels(*mm) for mm in ((-2.6, 3.6), (2.6, 3.6)))
    seed, other = ((round(float(y)) // STEP, round(float(x)) // STEP) for x, y in (place, elsewhere))
    exploring.frame.get_by_role("button", name="Correlation of a pixel").click()
    _point(exploring.frame.locator("#map"), [STEP * seed[1] + 0.5, STEP * seed[0] + 0.5], press=True)
    expect(exploring.frame.locator("#bar")).to_contain_text("correlation with the marked pixel")
    _point(exploring.frame.locator("#map"), [STEP * other[1] + 0.5, STEP * other[0] + 0.5])
    r = np.corrcoef(pixels[seed], pixels[other])[0, 1]
    expect(exploring.frame.locator("#caption")).to_contain_text(f"r = {r:.2f}")
    exploring.shot("explore-correlation")


def test_arrow_keys_move_the_pixel(exploring: Framed) -> None:
    exploring.frame.get_by_role("button", name="Correlation of a pixel").click()
    exploring.frame.locator("#map").press("Shift+ArrowDown")
    for _ in range(6):
        exploring.frame.locator("#map").press("ArrowLeft")
    expect(exploring.frame.locator("#caption")).to_contain_text(f"x {WIDTH // 2 - 11}, y {HEIGHT // 2 + 21}")
    expect(exploring.frame.locator("#bar")).to_contain_text("correlation with the marked pixel")


def test_several_components_are_seen_together(exploring: Framed) -> None:
    boxes = exploring.frame.locator("#list input")
    for k in (0, 3, 5):
        boxes.nth(k).check()
    expect(exploring.frame.locator("#legend span")).to_have_count(3)
    exploring.frame.get_by_role("button", name="Show all").click()
    expect(exploring.frame.locator("#list tr.chosen")).to_have_count(0)


def test_time_courses_zoom_by_keys_and_go_back(exploring: Framed) -> None:
    plot, look = exploring.frame.locator("#courses"), "canvas => canvas.toDataURL()"
    whole = plot.evaluate(look)
    plot.press("+")
    until(lambda: plot.evaluate(look) != whole)
    plot.press("0")
    until(lambda: plot.evaluate(look) == whole)


def test_two_runs_are_matched_and_their_parameters_compared(exploring: Framed, files: Path) -> None:
    exploring.frame.get_by_label("Compare with").select_option("1")
    expect(exploring.frame.locator("#difference")).to_have_text(
        "Different parameters: locanmf.loc_thresh 80 here, 60 there."
    )
    rows = exploring.frame.locator("#pairs tr")
    expect(rows).to_have_count(10)
    for row in rows.all():
        here, there = row.locator("th, td").all_inner_texts()[:2]
        assert here == there
    expect(exploring.frame.locator("#unmatched")).to_contain_text(
        "Without a partner here: RSPd L, RSPd R; there: none."
    )
    rows.nth(3).click()
    expect(exploring.frame.locator("#pair-says")).to_contain_text("time courses r =")
    exploring.shot("explore-two-runs")


def test_a_picture_is_shown_to_be_saved(exploring: Framed) -> None:
    exploring.frame.get_by_role("button", name="Picture as PNG").click()
    until(lambda: exploring.frame.locator("#paper-image").evaluate("one => one.naturalWidth") > 500)
    expect(exploring.frame.locator("#paper-says")).to_contain_text("may start no download")


def test_components_appear_when_they_land(browser: Browser, files: Path, tmp_path: Path) -> None:
    early = tmp_path / "0" / "overview"
    early.mkdir(parents=True)
    (early / "mean.npy").write_bytes((files / "overview" / "mean.npy").read_bytes())
    with explore(browser, tmp_path, ["0"]) as page:
        expect(page.frame.locator("#notice")).to_contain_text("The components are not there yet")
        assert page.faults == []


# ---------------------------------------------------------------- both


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [{}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("which", ["setup", "explore"])
def test_everybody_can_use_it(browser: Browser, files: Path, which: str, theme: Any, size: dict[str, Any]) -> None:
    shown = set_up if which == "setup" else explore
    with shown(browser, files, color_scheme=theme, **size) as page:  # type: ignore[operator]
        expect(page.frame.locator("main")).to_be_visible()
        if which == "explore":
            page.frame.get_by_label("Compare with").select_option("1")
            expect(page.frame.locator("#pairs tr").first).to_be_visible()
        frame = page.page.frames[1]
        assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth")
        frame.evaluate(Axe().axe_script)  # type: ignore[attr-defined]
        wrong = frame.evaluate("axe.run(document)")["violations"]
        assert [f"{one['id']}: {one['nodes'][0]['html']}" for one in wrong if one["impact"] in GRAVE] == []
        assert page.faults == []


def _point(canvas: Locator, place: Any, *, press: bool = False) -> None:
    """Put the pointer over a pixel of the image."""
    box = canvas.bounding_box()
    assert box is not None
    at = {"x": (float(place[0]) + 0.5) * box["width"] / WIDTH, "y": (float(place[1]) + 0.5) * box["height"] / HEIGHT}
    canvas.hover(position=at)  # type: ignore[arg-type]
    if press:
        canvas.click(position=at)  # type: ignore[arg-type]


def _until_dragged(page: Framed, name: str, by: tuple[float, float]) -> None:
    """Until the form was told where it is now; it may have been told of a place on the way, too."""
    x, y = widefield_files.to_pixels(*widefield_files.LANDMARKS[name])
    until(lambda: landmarks_set(page)[name] == pytest.approx((x + by[0], y + by[1]), abs=0.6))


def _drag(page: Framed, name: str, by: tuple[float, float]) -> None:
    """Drag a landmark by so many pixels of the image."""
    canvas, box = page.frame.locator("#picture").bounding_box(), mark(page, name).bounding_box()
    assert canvas is not None
    assert box is not None
    zoom, x, y = canvas["width"] / WIDTH, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + by[0] * zoom / 2, y + by[1] * zoom / 2)
    page.page.mouse.move(x + by[0] * zoom, y + by[1] * zoom)
    page.page.mouse.up()
