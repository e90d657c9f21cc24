"""Movies (.mp4, .avi, .mov): number and size of frames, then how far these are apart; sound is not read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from neurocaas.comparison.reading import Source
from neurocaas.comparison.verdict import SAME_NUMBERS, Comparison, Sameness, different, equal

# Two encodings of one picture by one codec, but on other processors, differ far less than by 40 dB, which the eye
# can't tell apart; a frame that shows something else falls far below.
TOLERATED_DB = 40.0
LARGEST_FRAME_PIXELS = 64 * 1024**2
# The format is named, so that a playlist in a movie's clothes is not followed to other files.
FORMATS = {".mp4": "mov", ".mov": "mov", ".avi": "avi"}
# Compared as they are stored; others by their colours.
PLAIN_FORMATS = frozenset({"gray", "gray16le", "rgb24", "bgr24", "yuv420p", "yuvj420p", "yuv444p", "yuvj444p"})


def compare_movies(expected: Source, found: Source) -> Comparison:
    errors: list[float] = []  # mean squared error per frame, as a share of the largest value squared
    largest, counts = 0.0, [0, 0]
    for one, other in itertools.zip_longest(_frames(expected), _frames(found)):
        counts[0] += one is not None
        counts[1] += other is not None
        if one is None or other is None:
            continue
        if (one.width, one.height) != (other.width, other.height):
            return different(
                f"frames of {one.width} x {one.height} pixels were expected, {other.width} x {other.height} found"
            )
        error, apart = _apart(one, other)
        errors.append(error)
        largest = max(largest, apart)
    if counts[0] != counts[1]:
        return different(f"{counts[0]:,} frames were expected, {counts[1]:,} found")
    return _judged(errors, largest)


def psnr_db(error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, which is a share of the largest value squared."""
    return -10 * math.log10(error) if error else math.inf


def _judged(errors: list[float], largest: float) -> Comparison:
    if not any(errors):
        return equal(SAME_NUMBERS.replace("numbers", "frames"))
    worst = max(range(len(errors)), key=errors.__getitem__)
    mean, least = psnr_db(sum(errors) / len(errors)), psnr_db(errors[worst])
    verdict = Sameness.WITHIN_TOLERANCE if least >= TOLERATED_DB else Sameness.DIFFERENT
    differing = sum(1 for error in errors if error)
    detail = (
        f"{differing:,} of {len(errors):,} frames {'differs' if differing == 1 else 'differ'}: PSNR {mean:.1f} dB over"
        f" all, {least:.1f} dB in frame {worst} (at least {TOLERATED_DB:.0f} dB is tolerated)"
    )
    return Comparison(verdict=verdict, detail=detail, largest=largest)


def _frames(source: Source) -> Iterator[Any]:
    # Read through an open file, so that nothing in the movie can name another one.
    with (
        source.reading(),
        source.path.open("rb") as file,
        av.open(file, mode="r", format=FORMATS[source.kind]) as container,
    ):
        if not container.streams.video:
            raise source.unreadable("it holds no pictures")
        stream = container.streams.video[0]
        stream.codec_context.options = {"max_pixels": str(LARGEST_FRAME_PIXELS)}
        yield from container.decode(stream)


def _apart(expected: Any, found: Any) -> tuple[float, float]:
    """Mean squared error as a share of the largest value squared, and the largest difference in grey levels."""
    name = _common_format(expected, found)
    one, other = expected.to_ndarray(format=name), found.to_ndarray(format=name)
    if np.array_equal(one, other):
        return 0.0, 0.0
    apart = np.abs(one.astype(np.float32) - other.astype(np.float32))
    peak = np.iinfo(one.dtype).max
    return float(np.mean(np.square(apart, dtype=np.float64))) / peak**2, float(apart.max())


def _common_format(expected: Any, found: Any) -> str:
    name = str(expected.format.name)
    even = expected.width % 2 == 0 and expected.height % 2 == 0
    if name == found.format.name and name in PLAIN_FORMATS and even:
        return name
    deep = any(part.bits > 8 for frame in (expected, found) for part in frame.format.components)
    return "rgb48le" if deep else "rgb24"
