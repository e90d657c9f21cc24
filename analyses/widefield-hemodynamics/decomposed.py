"""A two-channel recording in low-rank form, spatial x temporal, as `pmd` leaves it. The maps are read in strips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job import Failure

Array = np.ndarray[Any, Any]

FEWEST_TIMES = 32  # fewer cannot be filtered
LARGEST = np.finfo(np.float32).max  # what is written is in single precision, and squares have to fit in double
STRIP_VALUES = 2**24  # of the maps at once: 128 MiB in double precision


@dataclass(frozen=True, kw_only=True)
class Decomposed:
    """The movie of pixel (y, x) is spatial[y, x] @ temporal."""

    path: Path
    shape: tuple[int, int, int]  # height, width, rank
    blue: Array  # (rank, times) float64
    violet: Array  # (rank, times) float64

    @property
    def pixels(self) -> int:
        return self.shape[0] * self.shape[1]

    def strips(self) -> Iterator[tuple[slice, Array]]:
        """(rows, (rows x width, rank) float64) from top to bottom."""
        height, width, rank = self.shape
        rows = max(1, STRIP_VALUES // max(1, width * rank))
        for start in range(0, height, rows):
            # Mapped anew for every strip: pages of a mapping that stays open count as this process' memory.
            strip = np.load(self.path, mmap_mode="r")[start : start + rows].astype(np.float64)
            _check_numbers(strip, self.path)
            yield slice(start, start + len(strip)), strip.reshape(-1, rank)


def open_decomposed(spatial: Path, temporal: Path) -> Decomposed:
    """Raises a Failure that names the file and what would be right."""
    maps, courses = _array(spatial), _array(temporal)
    if maps.ndim != 3:
        raise Failure(f"{spatial.name} has the shape {maps.shape}; height x width x rank is needed.")
    if courses.ndim != 2:
        raise Failure(f"{temporal.name} has the shape {courses.shape}; rank x frames of both channels is needed.")
    if maps.shape[2] != courses.shape[0]:
        raise Failure(
            f"{spatial.name} holds {maps.shape[2]} components and {temporal.name} {courses.shape[0]}; the same number, "
            "of one decomposition, is needed."
        )
    frames = courses.shape[1]
    if frames % 2 or frames < 2 * FEWEST_TIMES:
        raise Failure(
            f"{temporal.name} has {frames} columns; all frames of the blue channel and then as many of the violet one, "
            f"at least {FEWEST_TIMES} of each, are needed."
        )
    values = courses.astype(np.float64)
    _check_numbers(values, temporal)
    height, width, rank = maps.shape
    return Decomposed(
        path=spatial, shape=(height, width, rank), blue=values[:, : frames // 2], violet=values[:, frames // 2 :]
    )


def _check_numbers(values: Array, path: Path) -> None:
    if not (np.abs(values) <= LARGEST).all():  # no comparison holds for NaN
        raise Failure(
            f"{path.name} holds values that are not finite numbers, or too large for 32 bits; numbers are needed "
            "everywhere."
        )


def _array(path: Path) -> Array:
    if path.suffix.lower() != ".npy":
        raise Failure(f"{path.name} is no .npy file, as numpy.save writes it.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        said = str(getattr(error, "strerror", None) or error) or type(error).__name__
        first = said.splitlines()[0].partition(". ")[0].rstrip(".")
        raise Failure(f"{path.name} cannot be read as a .npy file, it may be cut short: {first}.") from error
    if not isinstance(array, np.memmap):
        raise Failure(f"{path.name} is an archive of arrays (.npz); one array saved with numpy.save is needed.")
    if array.dtype.kind not in "uif" or not array.size:
        raise Failure(f"{path.name} holds {array.size} values of type {array.dtype}; real numbers are needed.")
    return array
