"""Recordings without light or texture: frames stay where they are, and channels without light are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.refusals import Case, said_of

HERE = Path(__file__).parent
Array = np.ndarray[Any, Any]


@pytest.fixture
def frames() -> Array:
    """times x 2 channels x height x width, of bright blobs that stand still."""
    y, x = np.mgrid[:32, :40]
    random = np.random.default_rng(0)
    blobs = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 12) for cy, cx in random.uniform(0, 40, (25, 2)))
    return (1000 + 600 * blobs + 3 * random.standard_normal((6, 2, 32, 40))).astype(np.uint16)


def write(folder: Path, frames: Array) -> dict[str, Path]:
    folder.mkdir()
    np.save(folder / "recording.npy", frames)
    return {"recording": folder / "recording.npy"}


def test_frames_without_light_or_texture_stay_where_they_are(
    analysis_python: Path, tmp_path: Path, frames: Array
) -> None:
    frames[:, 1] = 500
    frames[3] = 0  # in the middle, where the first template is taken
    said = said_of(analysis_python, HERE, {"unlit": Case(inputs=write(tmp_path / "unlit", frames))}, tmp_path)
    assert said == {"unlit": "done"}
    shifts = np.load(tmp_path / "results-0" / "shifts.npy")
    assert not shifts[3].any()
    assert not shifts[:, 1].any()
    assert np.abs(shifts).max() < 0.1


def test_what_is_no_light_is_refused_in_one_sentence(analysis_python: Path, tmp_path: Path, frames: Array) -> None:
    dark = frames.copy()
    dark[:, 1] = 0
    cases = {
        "one channel dark": Case(inputs=write(tmp_path / "dark", dark)),
        "all below zero": Case(inputs=write(tmp_path / "below", -frames.astype(np.float32))),
        "too large": Case(inputs=write(tmp_path / "large", frames * 1e300)),
    }
    said = said_of(analysis_python, HERE, cases, tmp_path)
    assert said["one channel dark"].startswith("recording.npy has no light in its violet channel")
    assert said["all below zero"].startswith("recording.npy has no light in its blue channel")
    assert "not finite numbers (NaN, infinity, or too large for 32 bits)" in said["too large"]
