"""The movies that pmd reads: every kind alike, a real one, and in one sentence what it cannot use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .testing import HERE, Array, Pmd


def test_every_kind_of_movie_is_read_alike(pmd: Pmd, encoded: Path) -> None:
    config = {"block_height": 30, "block_width": 30, "max_components": 3}
    plain = pmd(encoded / "plain.npy", **config)
    for name in ("fortran.npy", "imagej.tif", "pages.tif"):
        other = pmd(encoded / name, **config)
        assert (other.results / "spatial.npy").read_bytes() == (plain.results / "spatial.npy").read_bytes(), name
        if name == "imagej.tif":
            assert other.summary["frame_rate_hz"] == pytest.approx(10)
    colour = pmd(encoded / "colour.npy", **config)
    assert np.corrcoef(colour.denoised.ravel(), plain.denoised.ravel())[0, 1] > 0.98


NOISE = np.random.default_rng(8).normal(size=(40, 12, 10))
HOLED = np.where(np.arange(40)[:, None, None] == 13, np.nan, NOISE)


@pytest.mark.parametrize(
    ("name", "content", "config", "says"),
    [
        ("noise.npy", NOISE, {}, "nothing smoother than white noise"),
        ("holed.npy", HOLED, {}, "first in frame 13 of row 0"),
        ("short.npy", NOISE[:12], {}, "has 12 frames; at least 16"),
        ("narrow.npy", NOISE[:, :4], {}, "frames of 4 x 10 pixels; at least 5"),
        ("background.npy", NOISE[:20], {"background_rank": 20}, "too few for a background_rank of 20"),
        ("matrix.npy", NOISE[:, 0], {}, "has the shape (40, 10)"),
        ("complex.npy", NOISE * 1j, {}, "complex128"),
        ("empty.npy", b"", {}, "cannot be read as a .npy file"),
        ("text.mp4", b"hello", {}, "cannot be read as a .mp4 file"),
        ("text.tif", b"hello", {}, "cannot be read as a .tif file"),
        ("notes.docx", b"PK", {}, "is not a recording"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_one_sentence(
    pmd: Pmd, tmp_path: Path, name: str, content: Array | bytes, config: dict[str, Any], says: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content)
    outcome = pmd(tmp_path / name, cores=1, **config)
    assert outcome.failure.startswith(name)
    assert says in outcome.failure
    assert str(tmp_path) not in outcome.failure


@pytest.mark.parametrize("name", ["pages.tif", "clip.mp4", "plain.npy", "imagej.tif"])
def test_a_file_cut_short_fails_by_name(pmd: Pmd, encoded: Path, tmp_path: Path, name: str) -> None:
    whole = (encoded / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    outcome = pmd(tmp_path / name, cores=1)
    assert outcome.failure.startswith(f"{name} ")
    assert not list(outcome.results.iterdir())


def test_volumes_are_not_taken_for_frames(pmd: Pmd, encoded: Path) -> None:
    assert "axes TZYX" in pmd(encoded / "volumes.tif").failure


CUT = """
import av, numpy as np, sys
with av.open(sys.argv[1]) as container:
    frames = [frame.to_ndarray(format="gray") for frame, _ in zip(container.decode(video=0), range(300))]
np.save(sys.argv[2], np.stack(frames)[:, 120:280, 120:280])
"""


def test_frames_of_a_real_movie_pass_without_failure(
    pmd: Pmd, encoded: Path, analysis_python: Path, tmp_path: Path, record_property: Any
) -> None:
    """Of a mouse on a wheel: 300 frames of 160 x 160 pixels; where the shared data are not there, the clip above."""
    shared = Path(os.environ.get("NEUROCAAS_REAL_DATA", HERE.parents[2] / "shared" / "data"))
    mouse = shared / "mirror-mouse/videos/test_vid.mp4"
    which, movie = ("the real movie", mouse) if mouse.exists() else ("a stand-in", encoded / "clip.mp4")
    if mouse.exists():
        movie = tmp_path / "frames.npy"
        subprocess.run([analysis_python, "-B", "-c", CUT, mouse, movie], check=True)
    outcome = pmd(movie, overlapping=False, max_components=8, max_iters_main=3)
    left = outcome.summary["residual"]
    figures = (
        f"{which}: rank {outcome.summary['rank']}, compression {outcome.summary['compression_ratio']:.1f}, "
        f"residual variance over noise variance {left['variance_over_noise_variance']:.2f}, autocorrelation at lag 1 "
        f"{left['temporal_autocorrelation'][0]:.2f} in time, {left['spatial_autocorrelation'][0]:.2f} in space"
    )
    record_property("figures", figures)
    print(figures)
    assert outcome.results.joinpath("residual.png").read_bytes().startswith(b"\x89PNG")
