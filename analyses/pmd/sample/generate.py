"""A calcium movie with planted truth: python generate.py FOLDER [--truth] [--paper]. The same bytes every time.

calcium.npy             uint16, 1,200 frames of 80 x 100 pixels: cells over a background that drifts and flickers, with
                        noise that is stronger where it is brighter. With --paper, 9,000 frames of 500 x 600 pixels.
clean.npy               with --truth: float32, the same without noise

Cells are Gaussian footprints whose activity is a first-order autoregression driven by sparse events. Everything is
written frame by frame, so that the size does not matter.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """clean(t) = still + background_maps . background(t) + the cells' footprints . activity(t), in camera counts."""

    still: Array  # (height, width)
    background_maps: Array  # (2, height, width)
    background: Array  # (frames, 2)
    footprints: list[tuple[slice, slice, Array]]  # of each cell: where, and what
    activity: Array  # (frames, cells)
    noise: Array  # (height, width), standard deviation

    def clean(self, start: int, stop: int) -> Array:
        """float32 (frames, height, width)"""
        light = np.tensordot(self.background[start:stop], self.background_maps, axes=1) + self.still
        for cell, (rows, columns, footprint) in enumerate(self.footprints):
            light[:, rows, columns] += self.activity[start:stop, cell, None, None] * footprint
        return light.astype(np.float32)


def plant(frames: int, height: int, width: int, random: np.random.Generator) -> Planted:
    """One cell on about 120 pixels; a typical event is as bright as a pixel's noise, a large one three times that."""
    y, x = np.mgrid[:height, :width]
    centre = np.exp(-(((y / height - 0.5) / 0.7) ** 2) - ((x / width - 0.5) / 0.7) ** 2)
    still = 300 + 500 * centre
    noise = np.sqrt(still) * 0.8
    cells = height * width // 120
    events = (random.random((frames, cells)) < 0.012) * random.uniform(0.5, 1.5, (frames, cells))
    activity = np.zeros((frames, cells))
    for t in range(1, frames):
        activity[t] = 0.94 * activity[t - 1] + events[t]
    footprints = []
    for _ in range(cells):
        cy, cx, size = random.uniform(0, height), random.uniform(0, width), random.uniform(2, 3.5)
        rows = slice(max(0, int(cy - 4 * size)), int(cy + 4 * size) + 2)
        columns = slice(max(0, int(cx - 4 * size)), int(cx + 4 * size) + 2)
        squared = (y[rows, columns] - cy) ** 2 + (x[rows, columns] - cx) ** 2
        footprint = random.uniform(15, 60) * np.exp(-squared / (2 * size**2))
        footprints.append((rows, columns, footprint.astype(np.float32)))
    times = np.arange(frames)
    background = np.stack([np.sin(times / 90) + 0.5 * np.sin(times / 37), np.exp(-times / frames) - 0.6], axis=1)
    maps = np.stack([10 * centre * np.cos(x / width * 3), 25 * centre])
    return Planted(
        still=still,
        background_maps=maps,
        background=background,
        footprints=footprints,
        activity=activity,
        noise=noise,
    )


def write(folder: Path, frames: int, height: int, width: int, seed: int = 20261128, *, truth: bool) -> None:
    """calcium.npy and, if the truth is wanted, clean.npy, 100 frames at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    planted = plant(frames, height, width, random)
    shape = (frames, height, width)
    with (
        (folder / "calcium.npy").open("wb") as movie,
        (folder / "clean.npy").open("wb") if truth else nullcontext() as clean,
    ):
        _header(movie, np.dtype(np.uint16), shape)
        if clean:
            _header(clean, np.dtype(np.float32), shape)
        for start in range(0, frames, 100):
            light = planted.clean(start, min(start + 100, frames))
            if clean:
                clean.write(light.tobytes())
            noisy = light + planted.noise * random.standard_normal(light.shape, dtype=np.float32)
            movie.write(np.clip(np.rint(noisy), 0, 65535).astype(np.uint16).tobytes())


def _header(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})


def main() -> None:
    parser = argparse.ArgumentParser(description="A calcium movie with planted truth.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--paper", action="store_true", help="9,000 frames of 500 x 600 pixels (5.4 GB, truth 10.8 GB)")
    parser.add_argument("--truth", action="store_true", help="also write the movie without noise")
    options = parser.parse_args()
    write(options.folder, *((9000, 500, 600) if options.paper else (1200, 80, 100)), truth=options.truth)


if __name__ == "__main__":
    main()
