"""What is taken off a recording before its components are sought: mean, trend and scale of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from job import Failure
from recording import Array, Recording

ROUNDING = 1e-12  # of a larger variance: what is smaller than that is rounding noise

Progress = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """(x - mean - slope * centred time) * scale is what gets analysed, in double precision."""

    mean: Array  # (pixels,)
    slope: Array | None  # (pixels,), per frame
    scale: Array | None  # (pixels,)
    times: Array  # (frames,), frame numbers with mean 0
    total_variance: float  # of what gets analysed, summed over pixels

    def remove(self, values: Array, frames: slice = slice(None), pixels: slice = slice(None)) -> Array:
        """values: (frames, pixels) as read. Returns a new array of the same shape."""
        left = values.astype(np.float64)
        left -= self.mean[pixels]
        if self.slope is not None:
            left -= np.outer(self.times[frames], self.slope[pixels])
        if self.scale is not None:
            left *= self.scale[pixels]
        return left


def measure(
    recording: Recording, *, frames_per_block: int, detrend: bool, standardize: bool, progress: Progress
) -> Baseline:
    """One pass over the recording. Raises a Failure for values that are not finite, or that never change.

    Sums are taken of the distance d from the first frame, so that a large offset costs no digits.
    """
    frames = recording.frames
    times = np.arange(frames) - (frames - 1) / 2
    first = np.zeros(recording.values_per_frame)
    d_sum, dt_sum, dd_sum = np.zeros((3, recording.values_per_frame))
    for start, block in recording.blocks(frames_per_block):
        d = block.reshape(len(block), -1).astype(np.float64)
        _check_finite(recording, start, d)
        if start == 0:
            first[:] = d[0]
        d -= first
        d_sum += d.sum(axis=0)
        dt_sum += times[start : start + len(d)] @ d
        dd_sum += np.einsum("tp,tp->p", d, d)
        progress((start + len(d)) / frames, "measuring mean and variance")

    slope = dt_sum / (times @ times)
    squares = dd_sum - d_sum**2 / frames - (slope * dt_sum if detrend else 0)
    squares[squares <= ROUNDING * dd_sum] = 0
    if not squares.any():
        raise Failure(f"{recording.name} has nothing to analyse: no value changes from frame to frame.")
    variance = squares / (frames - 1)
    scale = np.divide(1, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)
    return Baseline(
        mean=first + d_sum / frames,
        slope=slope if detrend else None,
        scale=scale if standardize else None,
        times=times,
        total_variance=float(np.count_nonzero(variance) if standardize else variance.sum()),
    )


def _check_finite(recording: Recording, start: int, values: Array) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        frame = start + int(np.argmin(finite))
        raise Failure(
            f"{recording.name} holds values that are not finite numbers (NaN, infinity), first in frame {frame}."
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recording less its baseline, as the (frames, pixels) matrix to decompose."""

    recording: Recording
    baseline: Baseline
    frames_per_block: int

    @property
    def frames(self) -> int:
        return self.recording.frames

    @property
    def pixels(self) -> int:
        return self.recording.values_per_frame

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """All pixels of some frames after others: one pass over the file."""
        for start, block in self.recording.blocks(self.frames_per_block):
            frames = slice(start, start + len(block))
            yield frames, self.baseline.remove(block.reshape(len(block), -1), frames=frames)

    def strips(self) -> Iterator[tuple[slice, Array]]:
        """All frames of some pixels after others; only for a recording that is held in memory."""
        (data,) = self.recording.read(self.frames)
        data = data.reshape(self.frames, self.pixels)
        width = max(1, self.frames_per_block * self.pixels // self.frames)
        for start in range(0, self.pixels, width):
            pixels = slice(start, min(start + width, self.pixels))
            yield pixels, self.baseline.remove(data[:, pixels], pixels=pixels)
