"""widefield-overview: mean images, atlases that are given, and the schematic one: a map without gaps or overlaps."""

from __future__ import annotations

import itertools
import json
import subprocess
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import workflows
from support.workflows import Array, Workflow

HERE = Path(__file__).parent
LANDMARKS = {"OB_left": (-1.95, -3.45), "OB_center": (0, -3.45), "OB_right": (1.95, -3.45), "RSP_base": (0, 3.2)}


class Outcome(workflows.Outcome):
    @property
    def mean(self) -> Array:
        return self.load("mean.npy")


class Overview(Workflow[Outcome]):
    def __call__(self, recording: Path, *, inputs: dict[str, Path] | None = None, **config: Any) -> Outcome:
        return self.run({"recording": recording} | (inputs or {}), config)


@pytest.fixture
def overview(analysis_python: Path, tmp_path: Path) -> Overview:
    return Overview(analysis_python, HERE, tmp_path, Outcome)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).integers(100, 4000, (50, 2, 24, 30)).astype("<u2")
    path = tmp_path / "mouse_2_24_30_uint16.dat"
    path.write_bytes(frames.tobytes())
    return path


def frames_of(recording: Path) -> Array:
    return np.fromfile(recording, "<u2").reshape(-1, 2, 24, 30)


@pytest.fixture(scope="module")
def schematic() -> dict[str, Any]:
    atlas: dict[str, Any] = json.loads((HERE / "schematic.json").read_text())
    return atlas


def test_all_frames_of_a_short_recording_are_averaged(overview: Overview, recording: Path) -> None:
    outcome = overview(recording)
    assert outcome.mean.dtype == np.float32
    np.testing.assert_allclose(outcome.mean, frames_of(recording).mean(axis=0), rtol=1e-6)
    facts = outcome.document("overview.json")
    assert {key: facts[key] for key in ("channels", "frames", "frames_averaged", "height", "width")} == {
        "channels": 2,
        "frames": 50,
        "frames_averaged": 50,
        "height": 24,
        "width": 30,
    }
    assert sorted(path.name for path in outcome.results.iterdir()) == [
        "atlas.json",
        "mean.npy",
        "mean.png",
        "overview.json",
    ]


def test_of_a_long_recording_some_are_averaged_and_that_is_said(overview: Overview, recording: Path) -> None:
    outcome = overview(recording, frames=8)
    np.testing.assert_allclose(outcome.mean, frames_of(recording)[::7].mean(axis=0), rtol=1e-6)
    assert outcome.document("overview.json")["frames_averaged"] == 8


def test_blue_comes_first_whichever_came_first(overview: Overview, recording: Path) -> None:
    outcome = overview(recording, blue_channel=2)
    np.testing.assert_allclose(outcome.mean, frames_of(recording).mean(axis=0)[::-1], rtol=1e-6)


def test_without_an_atlas_the_schematic_one_is_handed_on(
    overview: Overview, recording: Path, schematic: dict[str, Any]
) -> None:
    outcome = overview(recording)
    assert outcome.document("atlas.json") == schematic
    assert schematic["schematic"] is True
    assert "chematic" in schematic["name"]
    assert {one["name"]: (one["x"], one["y"]) for one in schematic["landmarks"]} == LANDMARKS


def test_the_schematic_has_both_sides_of_the_areas_seen_from_above(schematic: dict[str, Any]) -> None:
    sides: dict[str, dict[str, Any]] = defaultdict(dict)
    for region in schematic["regions"]:
        sides[region["acronym"]][region["side"]] = region
    expected = (
        "MOB FRP MOs MOp SSp-m SSp-n SSp-ul SSp-ll SSp-tr SSp-bfd SSp-un SSs AUDp VISp VISl VISal VISam VISpm VISrl"
    )
    assert set(sides) >= {*expected.split(), "VISa", "RSPagl", "RSPd", "RSPv", "TEa", "ACAd"}
    labels = set()
    for acronym, pair in sides.items():
        left, right = pair["left"], pair["right"]
        assert left["x"] == [-x for x in right["x"]], acronym
        assert left["y"] == right["y"], acronym
        assert (left["x"][0], left["y"][0]) == (left["x"][-1], left["y"][-1]), acronym
        assert left["label"] == right["label"]
        labels.add(left["label"])
    assert labels == set(range(1, len(sides) + 1))


def test_the_schematic_is_tiled_without_gaps_or_overlaps(schematic: dict[str, Any]) -> None:
    """Every line between two points belongs to two regions, or to one and the outline, which is a single loop each."""
    from matplotlib.path import Path as Polygon

    edges: dict[frozenset[tuple[float, float]], int] = defaultdict(int)
    random = np.random.default_rng(0)
    places = random.uniform((-5.3, -5.3), (5.3, 5.3), (40_000, 2))
    inside = np.zeros(len(places), int)
    for region in schematic["regions"]:
        corners = list(zip(region["x"], region["y"], strict=True))
        inside += Polygon(np.array(corners)).contains_points(places)
        for one, other in itertools.pairwise(corners):
            assert one != other, region["acronym"]
            edges[frozenset((one, other))] += 1
    assert inside.max() == 1
    assert set(edges.values()) == {1, 2}
    # The lines that belong to one region only are the outline: one closed loop, and what it encloses is all tiled.
    neighbours = defaultdict(list)
    for edge, count in edges.items():
        if count == 1:
            one, other = edge
            neighbours[one].append(other)
            neighbours[other].append(one)
    assert {len(others) for others in neighbours.values()} == {2}
    loop = [next(iter(neighbours))]
    while len(loop) == 1 or loop[-1] != loop[0]:
        loop.append(next(one for one in neighbours[loop[-1]] if len(loop) < 2 or one != loop[-2]))
    assert len(loop) == len(neighbours) + 1
    np.testing.assert_array_equal(Polygon(np.array(loop)).contains_points(places), inside == 1)


def test_the_schematic_is_what_its_script_draws(analysis_python: Path, tmp_path: Path) -> None:
    (tmp_path / "schematic.py").write_bytes((HERE / "schematic.py").read_bytes())
    subprocess.run([str(analysis_python), "-B", str(tmp_path / "schematic.py")], check=True)
    assert (tmp_path / "schematic.json").read_bytes() == (HERE / "schematic.json").read_bytes()


def square(acronym: str, x: float, label: int) -> dict[str, Any]:
    corners_x, corners_y = [x, x + 1, x + 1, x], [0.0, 0.0, 1.0, 1.0]
    return {
        "acronym": acronym,
        "name": f"Area {acronym}",
        "label": label,
        "right_x": corners_x,
        "right_y": corners_y,
        "left_x": [-one for one in corners_x],
        "left_y": corners_y,
    }


LABELS = [square("AA", 0.5, 3), square("BB", 1.5, 7)]
POINTS = {
    "landmarks": {
        "name": list(LANDMARKS),
        "x": [x + 0.01 for x, _ in LANDMARKS.values()],
        "y": [y for _, y in LANDMARKS.values()],
    },
    "resolution": 0.0194,
}


def zipped(path: Path, **documents: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, document in documents.items():
            archive.writestr(f"atlas/{name}.json", document if isinstance(document, str) else json.dumps(document))
    return path


def test_an_atlas_of_wfield_is_converted_from_a_zip_and_from_its_two_files(
    overview: Overview, recording: Path, tmp_path: Path
) -> None:
    archive = zipped(tmp_path / "mine.zip", dorsal_cortex_ccf_labels=LABELS, dorsal_cortex_landmarks=POINTS)
    (tmp_path / "dorsal_cortex_ccf_labels.json").write_text(json.dumps(LABELS))
    (tmp_path / "points.json").write_text(json.dumps(POINTS))
    by_zip = overview(recording, inputs={"atlas": archive}).document("atlas.json")
    files = {"atlas": tmp_path / "dorsal_cortex_ccf_labels.json", "atlas_landmarks": tmp_path / "points.json"}
    assert overview(recording, inputs=files).document("atlas.json") == by_zip
    assert (by_zip["schematic"], by_zip["units"], by_zip["name"]) == (False, "mm", "dorsal_cortex_ccf_labels")
    assert [(one["acronym"], one["side"], one["label"]) for one in by_zip["regions"]] == [
        ("AA", "left", 3),
        ("AA", "right", 3),
        ("BB", "left", 7),
        ("BB", "right", 7),
    ]
    right = by_zip["regions"][1]
    assert (right["x"], right["y"]) == ([0.5, 1.5, 1.5, 0.5, 0.5], [0, 0, 1, 1, 0])  # closed
    assert by_zip["landmarks"][0] == {"name": "OB_left", "x": -1.94, "y": -3.45}
    alone = overview(recording, inputs={"atlas": tmp_path / "dorsal_cortex_ccf_labels.json"}).document("atlas.json")
    assert {one["name"]: (one["x"], one["y"]) for one in alone["landmarks"]} == LANDMARKS


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ({"labels": LABELS}, "one file with landmarks"),
        ({"landmarks": POINTS}, "one list of regions"),
        ({}, "holds no .json file"),
        ({"labels": "{no json", "landmarks": POINTS}, "labels.json in the atlas is no JSON"),
        ({"labels": [], "landmarks": POINTS}, "lists no region"),
        ({"labels": [{"name": "x"}], "landmarks": POINTS}, "Region 1 in labels.json has no acronym"),
        ({"labels": [LABELS[0] | {"left_y": [0.0]}], "landmarks": POINTS}, "has 4 x and 1 y on its left"),
        ({"labels": [LABELS[0] | {"right_x": ["a", 1, 2]}], "landmarks": POINTS}, "needs right_x, a list of numbers"),
        ({"labels": [LABELS[0] | {"label": "three"}], "landmarks": POINTS}, "has the label 'three'"),
        ({"labels": LABELS, "landmarks": {"landmarks": {"name": ["RSP_base"], "x": [0], "y": [3]}}}, "lack OB_left"),
        ({"labels": LABELS, "landmarks": {"landmarks": {"name": ["RSP_base"], "x": [0]}}}, "need name, x and y"),
    ],
)
def test_a_bad_atlas_fails_by_name(
    overview: Overview, recording: Path, tmp_path: Path, documents: dict[str, object], said: str
) -> None:
    outcome = overview(recording, inputs={"atlas": zipped(tmp_path / "bad.zip", **documents)})
    assert said in outcome.failure
    assert outcome.failure.endswith(".")


def test_a_mask_is_handed_on_as_noughts_and_ones(overview: Overview, recording: Path, tmp_path: Path) -> None:
    height, width = frames_of(recording).shape[2:]
    mask = np.zeros((height, width))
    mask[2:5, 3:9], mask[0, 0], mask[1, 1] = 7.5, -1, np.nan
    np.save(tmp_path / "brain.npy", mask)
    outcome = overview(recording, inputs={"mask": tmp_path / "brain.npy"})
    handed_on = np.load(outcome.results / "mask.npy")
    assert handed_on.dtype == np.uint8
    np.testing.assert_array_equal(handed_on, np.nan_to_num(mask) != 0)
    about = outcome.document("overview.json")
    assert (about["mask"], about["mask_pixels"]) == ("brain.npy", 19)
    without = overview(recording)
    assert not (without.results / "mask.npy").exists()
    assert without.document("overview.json")["mask"] is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.ones((30, 24)), "The mask brain.npy has the shape 30 x 24; the recording's frames are 24 x 30"),
        (np.ones((2, 24, 30)), "has the shape 2 x 24 x 30"),
        (np.zeros((24, 30)), "is 0 everywhere"),
        (np.ones((24, 30)) * 1j, "holds no array of real numbers"),
        (None, "can't be read as a .npy file"),
    ],
)
def test_a_bad_mask_fails_by_name(
    overview: Overview, recording: Path, tmp_path: Path, content: Array | None, said: str
) -> None:
    path = tmp_path / "brain.npy"
    if content is None:
        path.write_text("a picture")
    else:
        np.save(path, content)
    failure = overview(recording, inputs={"mask": path}).failure
    assert said in failure
    assert failure.endswith(".")


def test_other_bad_input_fails_by_name(overview: Overview, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "not.zip").write_text("no archive")
    assert "not.zip is no .zip file" in overview(recording, inputs={"atlas": tmp_path / "not.zip"}).failure
    (tmp_path / "points.json").write_text(json.dumps(POINTS))
    alone = overview(recording, inputs={"atlas_landmarks": tmp_path / "points.json"})
    assert "given without an atlas" in alone.failure
    (tmp_path / "movie_2_24_31_uint16.dat").write_bytes(recording.read_bytes())
    assert "no whole number of time points" in overview(tmp_path / "movie_2_24_31_uint16.dat").failure


def test_the_blueprint_lists_every_module_the_workflow_needs() -> None:
    listed = set(json.loads((HERE / "blueprint.json").read_text())["workflow"]["files"])
    needed = {path.name for path in HERE.glob("*.py") if not path.name.startswith("test_")} - {"schematic.py"}
    assert listed == needed | {"schematic.json"}
