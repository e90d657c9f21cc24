"""Movies: .mp4, .avi, .mov."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from neurocaas.comparison import Sameness
from neurocaas.comparison.movies import psnr_db
from unit.comparison.conftest import Compared

RANDOM = np.random.default_rng(5)
FRAMES = RANDOM.integers(40, 200, (8, 48, 64), np.uint8)


def _movie(
    frames: Any, *, codec: str = "ffv1", pixels: str = "gray", title: str = "", **options: str
) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            container.metadata["title"] = title
            stream: Any = container.add_stream(codec, rate=10, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pixels
            for frame in frames:
                name = "rgb24" if frame.ndim == 3 else "gray16le" if frame.dtype == np.uint16 else "gray"
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=name)))
            container.mux(stream.encode())

    return write


def test_the_same_frames_in_other_bytes_are_equal(compared: Compared) -> None:
    answer = compared("a.avi", _movie(FRAMES), _movie(FRAMES, title="today"))
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same frames in other bytes")


def test_a_difference_below_the_eye_is_within_tolerance(compared: Compared) -> None:
    other = FRAMES + RANDOM.integers(0, 2, FRAMES.shape, np.uint8)
    answer = compared("a.avi", _movie(FRAMES), _movie(other))
    assert answer.verdict is Sameness.WITHIN_TOLERANCE
    assert answer.detail.startswith("8 of 8 frames differ: PSNR 51.")
    assert answer.largest == 1.0


def test_one_wrong_frame_among_many_is_named(compared: Compared) -> None:
    other = FRAMES.copy()
    other[5] = 255 - other[5]
    answer = compared("a.avi", _movie(FRAMES), _movie(other))
    assert answer.verdict is Sameness.DIFFERENT
    assert answer.detail.startswith("1 of 8 frames differs: PSNR ")
    assert "dB in frame 5 (at least 40 dB is tolerated)" in answer.detail


def test_the_worst_frame_decides_and_not_their_mean(compared: Compared) -> None:
    other = FRAMES.copy()
    other[2] += 3
    answer = compared("a.avi", _movie(FRAMES), _movie(other))
    assert answer.verdict is Sameness.DIFFERENT
    assert "PSNR 47.6 dB over all, 38.6 dB in frame 2" in answer.detail


def test_deep_frames_are_compared_in_full_depth(compared: Compared) -> None:
    deep = FRAMES.astype(np.uint16) * 256
    answer = compared("a.avi", _movie(deep, pixels="gray16le"), _movie(deep + 3, pixels="gray16le"))
    assert (answer.verdict, answer.largest) == (Sameness.WITHIN_TOLERANCE, 3.0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.avi"])
def test_encodings_of_one_movie_by_one_codec(compared: Compared, name: str) -> None:
    smooth = np.broadcast_to(np.linspace(0, 200, 64, dtype=np.uint8)[None, None, :, None], (6, 48, 64, 3))
    lossy = {"codec": "mpeg4", "pixels": "yuv420p"}
    assert compared(name, _movie(smooth, **lossy), _movie(smooth, title="x", **lossy)).verdict is Sameness.EQUAL
    assert compared(name, _movie(smooth, **lossy), _movie(smooth[:, ::-1, ::-1], **lossy)).verdict is Sameness.DIFFERENT


def test_frames_of_odd_size_and_other_pixel_formats_are_compared_by_colour(compared: Compared) -> None:
    odd = FRAMES[:, :47, :63]
    assert compared("a.avi", _movie(odd), _movie(odd, title="x")).verdict is Sameness.EQUAL
    answer = compared("a.avi", _movie(FRAMES), _movie(FRAMES, pixels="gray16le"))
    assert answer.verdict is not Sameness.DIFFERENT


def test_number_and_size_of_frames_are_exact(compared: Compared) -> None:
    assert compared("a.avi", _movie(FRAMES), _movie(FRAMES[:7])).detail == "8 frames were expected, 7 found"
    assert compared("a.avi", _movie(FRAMES[:6]), _movie(FRAMES)).detail == "6 frames were expected, 8 found"
    assert compared("a.avi", _movie(FRAMES), _movie(FRAMES[:, :, :32])).detail == (
        "frames of 64 x 48 pixels were expected, 32 x 48 found"
    )


def test_a_movie_without_pictures_or_cut_short_is_a_sentence(compared: Compared) -> None:
    def cut(path: Path) -> None:
        _movie(FRAMES, codec="mpeg4", pixels="yuv420p")(path)
        path.write_bytes(path.read_bytes()[:2000])

    answer = compared("a.mp4", _movie(FRAMES, codec="mpeg4", pixels="yuv420p"), cut)
    assert answer.detail.startswith("the found file can't be read as .mp4: ")

    def sound(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("pcm_s16le", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))

    assert compared("a.avi", _movie(FRAMES), sound).detail == (
        "the found file can't be read as .avi: it holds no pictures"
    )


def test_a_playlist_in_a_movies_clothes_is_not_followed(compared: Compared, tmp_path: Path) -> None:
    _movie(FRAMES)(tmp_path / "secret.avi")
    playlist = f"ffconcat version 1.0\nfile '{tmp_path / 'secret.avi'}'\n"
    answer = compared("a.avi", _movie(FRAMES), lambda path: path.write_text(playlist))
    assert answer.detail.startswith("the found file can't be read as .avi: ")


def test_frames_that_claim_millions_of_pixels_are_not_decoded(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurocaas.comparison.movies.LARGEST_FRAME_PIXELS", 64 * 40)
    answer = compared("a.avi", _movie(FRAMES), _movie(FRAMES, title="x"))
    assert answer.detail.startswith("the expected file can't be read as .avi: ")


def test_psnr_is_that_of_the_mean_squared_error() -> None:
    assert psnr_db((1 / 255) ** 2) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_db(0) == float("inf")
