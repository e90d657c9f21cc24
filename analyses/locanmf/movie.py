"""The movie U V in coordinates: an orthonormal basis of time courses, and each brain pixel as a point in it.

V' = Q R with orthonormal Q (T, r), so the movie is (U R') Q' and all norms and inner products of pixels are those of
the rows of U R'. Nothing after this needs the length of the recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job import Failure

Array = np.ndarray[Any, Any]

LARGEST = np.finfo(np.float32).max  # results are in single precision, and squares have to fit in double


@dataclass(frozen=True, kw_only=True)
class Movie:
    """points: (r, P), a pixel a column. basis: (T, r) orthonormal. offset @ points: (P,), the pixels' means."""

    points: Array
    basis: Array
    offset: Array
    inside: Array  # (H, W) bool: the pixels, in the order of the columns

    @property
    def pixels(self) -> int:
        return int(self.points.shape[1])

    @property
    def frames(self) -> int:
        return len(self.basis)

    def energy(self) -> float:
        """The sum of all squared values of the movie."""
        return float(np.vdot(self.points, self.points))

    def variation(self) -> Array:
        """(P,) sum over time of squared deviations from the pixel's mean."""
        total = np.einsum("rp,rp->p", self.points, self.points)
        return np.maximum(total - self.frames * (self.offset @ self.points) ** 2, 0.0)

    def part(self, chosen: Array) -> Movie:
        """The movie of some of the pixels. chosen: (P,) bool."""
        inside = np.zeros_like(self.inside)
        inside[self.inside] = chosen
        return Movie(points=self.points[:, chosen], basis=self.basis, offset=self.offset, inside=inside)


def read_components(spatial: Path, temporal: Path) -> tuple[Array, Array]:
    """U (H, W, r) as it lies in its file, and V (r, T) float64."""
    U, V = _array(spatial), _array(temporal)
    if U.ndim != 3:
        raise Failure(f"{spatial.name} has the shape {U.shape}; height x width x rank is right.")
    if V.ndim != 2:
        raise Failure(f"{temporal.name} has the shape {V.shape}; rank x frames is right.")
    if U.shape[2] != V.shape[0]:
        raise Failure(
            f"{spatial.name} {U.shape} and {temporal.name} {V.shape} do not belong together: the last number of the "
            f"first is {U.shape[2]} and the first of the second {V.shape[0]}, which must be the same rank."
        )
    if V.shape[1] < 2:
        raise Failure(f"{temporal.name} holds {V.shape[1]} frame(s); at least 2 are needed.")
    V = V.astype(np.float64)
    if not (np.abs(V) <= LARGEST).all():
        raise Failure(f"{temporal.name} holds a value that is no finite number, first in frame {_first_bad(V)}.")
    return U, V


def read_mask(path: Path, height: int, width: int) -> Array:
    """(H, W) bool."""
    mask = _array(path)
    if mask.shape != (height, width):
        raise Failure(f"{path.name} has the shape {mask.shape}; the image's, {(height, width)}, is right.")
    chosen: Array = np.nan_to_num(mask) != 0
    if not chosen.any():
        raise Failure(f"{path.name} holds no pixel that is not 0; pixels of the brain are 1 or true.")
    return chosen


def project(U: Array, V: Array, inside: Array, name: str) -> Movie:
    """The movie of the pixels `inside` (H, W). name: of U's file, for what cannot be used."""
    chosen = U[inside].astype(np.float64)
    bad = ~(np.abs(chosen) <= LARGEST).all(axis=1)  # no comparison holds for NaN
    if bad.any():
        row, column = np.argwhere(inside)[np.flatnonzero(bad)[0]]
        raise Failure(
            f"{name} holds values that are no finite numbers in {int(bad.sum()):,} pixel(s) of the brain, first at row "
            f"{row}, column {column}; mask these pixels or repair them."
        )
    basis, triangle = np.linalg.qr(V.T)
    points = np.ascontiguousarray((chosen @ triangle.T).T)
    # Pixels outside the recording's own mask are zero: they belong to no brain and would only count as badly fitted.
    alive = np.einsum("rp,rp->p", points, points) > 0
    brain = inside.copy()
    brain[inside] = alive
    if not alive.any():
        raise Failure(f"{name} is zero in every pixel inside the atlas and the mask; there is nothing to analyse.")
    return Movie(points=points[:, alive], basis=basis, offset=basis.mean(axis=0), inside=brain)


def _array(path: Path) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Failure(f"{path.name} cannot be read as a .npy file.") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise Failure(f"{path.name} does not hold an array of real numbers.")
    return array


def _first_bad(V: Array) -> int:
    return int(np.flatnonzero(~(np.abs(V) <= LARGEST).all(axis=0))[0])
