"""What locanmf refuses, and in which sentence: files, parameters, too little memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .testing import (
    Array,
    LocaNmf,
    Sample,
    run_workflow,
)

LANDMARK = {"name": "OB_left", "x": 10.0, "y": 10.0}
SQUARE = {"acronym": "Q", "side": "left", "label": 1, "x": [0, 1, 1], "y": [0, 0, 1]}
ELSEWHERE = np.arange(80 * 96).reshape(80, 96) < 10


def _holed(shape: tuple[int, ...], place: tuple[int, ...]) -> Array:
    array = np.ones(shape)
    array[place] = np.nan
    return array


def _regions(**changed: Any) -> dict[str, Any]:
    return {"regions": [SQUARE | changed]}


BAD_FILES: list[tuple[str, Any, str]] = [  # input, what is in the file, what is said
    ("spatial", np.ones((7680, 26)), "bad.npy has the shape (7680, 26); height x width x rank is right"),
    ("temporal", np.ones((2, 3, 4)), "bad.npy has the shape (2, 3, 4); rank x frames is right"),
    ("temporal", np.ones((900, 26)), "U.npy (80, 96, 26) and bad.npy (900, 26) do not belong together"),
    ("temporal", np.ones((26, 1)), "at least 2 are needed"),
    ("spatial", _holed((80, 96, 26), (50, 30, 2)), "in 1 pixel(s) of the brain, first at row 50, column 30"),
    ("temporal", _holed((26, 900), (3, 70)), "bad.npy holds a value that is no finite number, first in frame 70"),
    ("spatial", np.ones((80, 96, 26)) * 1j, "does not hold an array of real numbers"),
    ("spatial", np.zeros((80, 96, 26)), "is zero in every pixel"),
    ("spatial", "hello", "bad.npy cannot be read as a .npy file"),
    ("temporal", "", "bad.npy cannot be read as a .npy file"),
    ("mask", np.ones((96, 80)), "bad.npy has the shape (96, 80); the image's, (80, 96), is right"),
    ("mask", np.zeros((80, 96)), "holds no pixel that is not 0"),
    ("mask", ELSEWHERE, "No pixel is in both the atlas and bad.npy"),
    ("atlas", "{", "bad.json is not a JSON file"),
    ("atlas", {"a": 1}, "bad.json is no atlas"),
    ("atlas", [1, 2], "bad.json is no atlas that can be read"),
    ("atlas", 1, "bad.json is no atlas"),
    ("atlas", {"landmarks": {}}, "belongs to the input atlas_landmarks"),
    ("atlas", {"regions": []}, "holds no region"),
    ("atlas", {"regions": [{"side": "left"}]}, "'x' is missing"),
    ("atlas", _regions(side="up"), 'region Q: side: found \'up\'; "left" or "right" is right'),
    ("atlas", _regions(x=[0, 1]), "its outline has 2 x and 3 y values"),
    ("atlas", _regions() | {"units": "px"}, "units: found 'px'; \"mm\" is right"),
    ("atlas_landmarks", [1], "bad.json holds no landmarks"),
]


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES, ids=[says[:40] for _, _, says in BAD_FILES])
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    locanmf: LocaNmf, sample: Sample, tmp_path: Path, name: str, content: Any, says: str
) -> None:
    path = tmp_path / ("bad.json" if name.startswith("atlas") else "bad.npy")
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    failure = locanmf(sample.with_input(**{name: path}), **sample.config).failure
    assert says in failure
    assert str(tmp_path) not in failure
    assert failure.endswith(".")


def test_a_failure_reaches_the_platform_as_one_sentence(analysis_python: Path, sample: Sample, tmp_path: Path) -> None:
    outcome = run_workflow(analysis_python, tmp_path, sample.inputs, **sample.config | {"landmarks": [LANDMARK]})
    assert outcome.failure.startswith("landmarks: found 1;")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"landmarks": [LANDMARK]}, "landmarks: found 1; at least 2 are needed"),
        ({"landmarks": [LANDMARK, LANDMARK | {"name": "RSP_base"}]}, "all lie within one pixel"),
        ({"landmarks": [LANDMARK, LANDMARK | {"x": 50}]}, "OB_left is given 2 times"),
        ({"landmarks": [LANDMARK, LANDMARK | {"name": "nose"}]}, "no landmark nose; it has: OB_left, OB_center"),
        (
            {"landmarks": [LANDMARK | {"x": 5e4, "y": 5e4}, {"name": "OB_right", "x": 6e4, "y": 5e4}]},
            "lies outside of the image of 80 x 96 pixels",
        ),
        ({"min_rank": 5, "max_rank": 2}, "min_rank is 5 and max_rank 2"),
        ({"min_region_px": 5000}, "No region has 5000 pixels in the brain"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused_in_one_sentence(
    locanmf: LocaNmf, sample: Sample, config: dict[str, Any], says: str
) -> None:
    failure = locanmf(sample.inputs, **sample.config | config).failure
    assert says in failure


def test_what_needs_more_memory_than_granted_is_refused_at_once(locanmf: LocaNmf, sample: Sample) -> None:
    assert "MiB of memory" in locanmf(sample.inputs, memory_mib=200, **sample.config).failure
