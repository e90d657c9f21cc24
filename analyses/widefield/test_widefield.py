"""That the composite fits its parts and hands on what it is given; its pages are tested in tests/browser."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocaas.blueprint import Family, read_version

ANALYSES = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH, PIXELS_PER_MM, BREGMA_PX = 90, 84, 8.0, (41.0, 44.0)
MARKS = {"OB_left": (-1.95, -3.45), "OB_center": (0.0, -3.45), "OB_right": (1.95, -3.45), "RSP_base": (0.0, 3.2)}
RIGHT = {"MOp": (0.2, -3.0), "SSp-bfd": (1.9, -0.9), "VISp": (1.0, 1.4), "VISpl": (3.2, 1.4)}  # corner at the front, mm
SIDES_MM = {"VISpl": 0.8}  # of squares; the others' are 1.6


def _family(name: str) -> Family:
    version = read_version(ANALYSES / name)
    children = {step: _family(pin.partition("@")[0]) for step, pin in version.blueprint.pins.items()}
    return Family(version=version, children=children)


@pytest.fixture(scope="module")
def family() -> Family:
    return _family("widefield")


def test_it_is_pinned_to_the_analyses_as_they_are(family: Family) -> None:
    """After an edit of one of them: make pins."""
    for name, pin in family.version.blueprint.pins.items():
        child = family.children[name].version
        assert pin == f"{child.name}@{child.digest}"
    family.check()


def test_every_recording_can_be_analysed_with_the_defaults(family: Family) -> None:
    config = family.complete({})
    assert config["locanmf.landmarks"] == []
    rates = {value for name, value in config.items() if name.endswith("sampling_rate_hz")}
    assert rates == {30}


def test_the_set_up_page_sets_a_parameter_that_there_is(family: Family) -> None:
    page = (ANALYSES / "widefield" / "pages" / "setup.html").read_text()
    assert "locanmf.landmarks" in page
    landmark = {"name": "OB_left", "x": 1.5, "y": 2}
    assert family.complete({"locanmf.landmarks": [landmark]})["locanmf.landmarks"] == [landmark]


def _square(acronym: str, label: int) -> dict[str, Any]:
    """A region as wfield's file has it, on both sides."""
    (x, y), side = RIGHT[acronym], SIDES_MM.get(acronym, 1.6)
    across, down = [x, x + side, x + side, x, x], [y, y, y + side, y + side, y]
    right, left = {"right_x": across, "right_y": down}, {"left_x": [-one for one in across], "left_y": down}
    return {"acronym": acronym, "name": f"Area {acronym}", "label": label, "allen_id": 900 + label, **left, **right}


def _write_inputs(folder: Path) -> None:
    """A stand-in atlas in wfield's format, a recording, a decomposition with activity in each region, and a mask."""
    labels = [_square(acronym, label) for label, acronym in enumerate(RIGHT, start=1)]
    marks = {"name": list(MARKS), "x": [x for x, _ in MARKS.values()], "y": [y for _, y in MARKS.values()]}
    with zipfile.ZipFile(folder / "atlas.zip", "w") as archive:
        archive.writestr("dorsal_cortex_ccf_labels.json", json.dumps(labels))
        archive.writestr("dorsal_cortex_landmarks.json", json.dumps({"landmarks": marks, "bregma_offset": [320, 270]}))
    random = np.random.default_rng(0)
    np.save(folder / "mouse.npy", random.integers(100, 4000, (4, 2, HEIGHT, WIDTH)).astype(np.uint16))
    y, x = (np.mgrid[:HEIGHT, :WIDTH] - np.array(BREGMA_PX[::-1])[:, None, None]) / PIXELS_PER_MM
    maps = [
        (abs(side * x - corner_x - 0.8) < 0.7) & (abs(y - corner_y - 0.8) < 0.7)
        for corner_x, corner_y in RIGHT.values()
        for side in (-1, 1)
    ]
    np.save(folder / "U.npy", np.stack(maps, axis=2) + random.normal(0, 0.01, (HEIGHT, WIDTH, len(maps))))
    np.save(folder / "V.npy", random.normal(0, 1, (len(maps), 300)))
    np.save(folder / "mask.npy", x > -1)  # the right side, and of the left one what is near the midline


def _run(python: Path, name: str, config: dict[str, Any], folder: Path, **inputs: str) -> Path:
    results = folder / name
    results.mkdir()
    (folder / f"{name}.json").write_text(json.dumps(config))
    variables = {f"NEUROCAAS_INPUT_{key.upper()}": str(folder / path) for key, path in inputs.items()}
    variables |= {"NEUROCAAS_CONFIG": str(folder / f"{name}.json"), "NEUROCAAS_RESULTS": str(results)}
    variables |= {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    command = [str(python), "-B", str(ANALYSES / name / "workflow.py")]
    done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return results


def test_an_atlas_and_a_mask_of_ones_own_are_in_the_preview_and_in_the_components(
    family: Family, python_of: Callable[[str], Path], tmp_path: Path
) -> None:
    assert set(family.version.blueprint.inputs) == {"recording", "atlas", "mask"}
    for step, name in (("overview", "atlas"), ("overview", "mask"), ("locanmf", "mask")):
        wire = family.wires[step][name]
        assert (wire.step, wire.name) == ("", name)
    _write_inputs(tmp_path)
    places = {
        name: (BREGMA_PX[0] + PIXELS_PER_MM * x, BREGMA_PX[1] + PIXELS_PER_MM * y) for name, (x, y) in MARKS.items()
    }
    landmarks = [{"name": name, "x": x, "y": y} for name, (x, y) in places.items()]
    config = family.complete({"locanmf.landmarks": landmarks})

    inputs = {"recording": "mouse.npy", "atlas": "atlas.zip", "mask": "mask.npy"}
    python = python_of("widefield-overview")
    overview = _run(python, "widefield-overview", family.config_of("overview", config), tmp_path, **inputs)
    atlas = json.loads((overview / "atlas.json").read_text())
    assert (atlas["schematic"], atlas["name"]) == (False, "dorsal_cortex_ccf_labels")
    assert {one["acronym"] for one in atlas["regions"]} == set(RIGHT)
    mask = np.load(tmp_path / "mask.npy")
    np.testing.assert_array_equal(np.load(overview / "mask.npy"), mask)

    inputs = {"spatial": "U.npy", "temporal": "V.npy", "atlas": "widefield-overview/atlas.json", "mask": "mask.npy"}
    found = _run(python_of("locanmf"), "locanmf", family.config_of("locanmf", config), tmp_path, **inputs)
    assert not np.load(found / "A.npy")[~mask].any()
    about = json.loads((found / "explore" / "explore.json").read_text())
    assert (about["schematic"], about["atlas"], about["placement"]) == (False, atlas["name"], "landmarks")
    named = {(one["region"], one["side"]) for one in about["components"]}
    assert named == {(acronym, "right") for acronym in ("MOp", "SSp-bfd", "VISp")}
    left_out = {(one["acronym"], one["side"]): one["pixels"] for one in about["left_out"]}
    assert left_out.keys() == {*((acronym, "left") for acronym in RIGHT), ("VISpl", "right")}
    assert left_out["SSp-bfd", "left"] == 0
    assert left_out["VISpl", "right"] == pytest.approx((SIDES_MM["VISpl"] * PIXELS_PER_MM) ** 2, abs=16)


@pytest.mark.parametrize("name", ["setup.html", "explore.html"])
def test_a_page_asks_for_nothing_from_elsewhere(name: str) -> None:
    page = (ANALYSES / "widefield" / "pages" / name).read_text()
    for word in ("http:", "https:", "import(", "fetch(", "XMLHttpRequest", "eval(", "src="):
        assert word not in page
