"""What widefield-hemodynamics can't correct is refused in one sentence, and nothing is made of rounding."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.refusals import Case, said_of

HERE = Path(__file__).parent
TIMES = 120
Array = np.ndarray[Any, Any]


def write(folder: Path, temporal: Array, spatial: Array | None = None) -> dict[str, Path]:
    folder.mkdir()
    maps = np.random.default_rng(0).standard_normal((6, 7, 3)) if spatial is None else spatial
    np.save(folder / "spatial.npy", maps.astype(np.float32))
    np.save(folder / "temporal.npy", temporal)
    return {"spatial": folder / "spatial.npy", "temporal": folder / "temporal.npy"}


@pytest.fixture
def courses() -> Array:
    """Of blue, then of violet, which has half of what blue has."""
    random = np.random.default_rng(1)
    blue = random.standard_normal((3, TIMES))
    return np.concatenate([blue, 0.5 * blue + random.standard_normal((3, TIMES))], axis=1).astype(np.float32)


def test_what_cannot_be_corrected_is_refused_in_one_sentence(
    analysis_python: Path, tmp_path: Path, courses: Array
) -> None:
    still = courses.copy()
    still[:, :TIMES] = 7
    good = write(tmp_path / "good", courses)
    pickled = write(tmp_path / "pickled", courses)
    pickled["temporal"].write_bytes(pickle.dumps({"not": "an array"}))
    cases = {
        "cutoffs crossed": Case(inputs=good, config={"highpass_hz": 10, "lowpass_hz": 0.5}),
        "highpass of nothing": Case(inputs=good, config={"highpass_hz": 1e-9}),
        "lowpass of nothing": Case(inputs=good, config={"highpass_hz": 0, "lowpass_hz": 1e-9}),
        "blue stands still": Case(inputs=write(tmp_path / "still", still)),
        "no maps": Case(inputs=write(tmp_path / "dark", courses, np.zeros((6, 7, 3)))),
        "too large": Case(inputs=write(tmp_path / "large", courses.astype(float) * 1e200)),
        "a pickle": Case(inputs=pickled),
    }
    said = said_of(analysis_python, HERE, cases, tmp_path)
    assert said["cutoffs crossed"].startswith("highpass_hz is 10 and lowpass_hz 0.5, which leaves nothing of violet")
    assert said["highpass of nothing"].startswith("highpass_hz is 1e-09; 0, or at least 1.5e-05")
    assert said["lowpass of nothing"].startswith("lowpass_hz is 1e-09; 0, or at least 1.5e-05")
    assert "never changes" in said["blue stands still"]
    assert said["no maps"].startswith("spatial.npy is zero in every pixel")
    assert said["too large"].startswith("temporal.npy holds values that are not finite numbers, or too large")
    assert said["a pickle"].endswith("it may be cut short: This file contains pickled (object) data.")


def test_a_violet_channel_that_stands_still_explains_nothing(
    analysis_python: Path, tmp_path: Path, courses: Array
) -> None:
    courses[:, TIMES:] = [[3.1], [0.7], [-2.3]]
    said = said_of(analysis_python, HERE, {"still": Case(inputs=write(tmp_path / "still", courses))}, tmp_path)
    assert said == {"still": "done"}
    assert not np.load(tmp_path / "results-0" / "rcoeffs.npy").any()
