"""What the denoised movie leaves over, measured against white noise: variance, correlation in space and time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recording import Array
from rows import Rows

MOST_FRAMES = 512  # in the middle of the movie
LAGS = 12  # frames and pixels
STRIP = 16  # rows looked at together


@dataclass(frozen=True, kw_only=True)
class LeftOver:
    """In units of each pixel's noise."""

    variance: Array  # (height, width): 1 everywhere for a residual that is nothing but noise
    in_time: Array  # correlation at lags of 0, 1, 2 ... frames, over all pixels
    in_space: Array  # at distances of 0, 1, 2 ... pixels, along both axes
    values: int  # that the correlations were measured on
    denoised: Array  # (height, width): the variance over time of the denoised movie

    @property
    def band(self) -> float:
        """95 % of the correlations of white noise lie within plus and minus this."""
        return float(1.96 / np.sqrt(self.values))

    def summary(self) -> dict[str, Any]:
        return {
            "variance_over_noise_variance": float(self.variance.mean()),
            "temporal_autocorrelation": [float(value) for value in self.in_time[1:6]],
            "spatial_autocorrelation": [float(value) for value in self.in_space[1:6]],
            "signal_variance_over_noise_variance": float(self.denoised.mean()),
        }


def window(movie: Rows, most: int = MOST_FRAMES) -> slice:
    """Up to `most` frames in the middle."""
    count = min(movie.frames, most)
    start = (movie.frames - count) // 2
    return slice(start, start + count)


def strips(movie: Rows, frames: slice, folder: Path, size: int = STRIP) -> Any:
    """(rows, raw, denoised), each (rows, width, frames), from the files in the results folder."""
    spatial, mean = np.load(folder / "spatial.npy", mmap_mode="r"), np.load(folder / "mean.npy")
    temporal = np.load(folder / "temporal.npy")[:, frames]
    for start in range(0, movie.height, size):
        rows = slice(start, min(start + size, movie.height))
        raw = np.empty((rows.stop - start, movie.width, temporal.shape[1]), np.float32)
        movie.read(rows, raw, frames)
        yield rows, raw, mean[rows, :, None] + np.array(spatial[rows]) @ temporal


def measure(movie: Rows, folder: Path) -> LeftOver:
    """Of the results in the folder."""
    frames = window(movie)
    noise = np.load(folder / "noise.npy")
    energies = np.sum(np.load(folder / "temporal.npy").astype(float) ** 2, axis=1) / movie.frames
    spatial = np.load(folder / "spatial.npy", mmap_mode="r")
    shape = (movie.height, movie.width)
    variance, denoised_variance = np.empty(shape), np.empty(shape)
    lags = min(LAGS, frames.stop - frames.start - 1) + 1
    in_time, in_space = np.zeros((lags, 2)), np.zeros((min(LAGS, *(side - 1 for side in shape)) + 1, 2))
    for rows, raw, denoised in strips(movie, frames, folder):
        left = (raw - denoised) / noise[rows, :, None]
        left -= left.mean(axis=2, keepdims=True)
        variance[rows] = left.var(axis=2, ddof=1)
        denoised_variance[rows] = np.array(spatial[rows]) ** 2 @ energies / noise[rows] ** 2
        left /= np.maximum(left.std(axis=2, keepdims=True), 1e-12)
        for lag in range(lags):
            in_time[lag] += _products(left[:, :, lag:], left[:, :, : left.shape[2] - lag])
        for lag in range(len(in_space)):
            in_space[lag] += _products(left[lag:], left[: max(len(left) - lag, 0)])
            in_space[lag] += _products(left[:, lag:], left[:, : left.shape[1] - lag])
    return LeftOver(
        variance=variance,
        in_time=in_time[:, 0] / in_time[:, 1],
        in_space=in_space[:, 0] / in_space[:, 1],
        values=int(variance.size * (frames.stop - frames.start)),
        denoised=denoised_variance,
    )


def _products(a: Array, b: Array) -> tuple[float, int]:
    """Sum of a * b, and of how many."""
    return float(np.einsum("ijk,ijk->", a, b, dtype=float)), a.size
