"""From the parts of all blocks to one pair of factors of low rank.

Overlapping blocks find the same signals up to four times. The sum over the blocks is U V, U sparse (pixels x parts);
its singular value decomposition is found from U^T U and V V^T (parts x parts), without ever forming the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recording import Array
from scipy.linalg import eigh
from scipy.sparse import csr_array

FRAMES_AT_ONCE = 500
ROUNDING = 1e-12  # of the largest eigenvalue: below it is nothing but rounding


class Courses:
    """Time courses (count, frames), float32, in a file: those of all blocks take as much as a row of blocks."""

    def __init__(self, path: Path, frames: int) -> None:
        self.path, self.frames, self.count = path, frames, 0
        path.touch()

    def append(self, courses: Array) -> None:
        """(any number, frames)"""
        with self.path.open("ab") as file:
            np.ascontiguousarray(courses, np.float32).tofile(file)
        self.count += len(courses)

    def pieces(self) -> Iterator[tuple[slice, Array]]:
        """(frames, all courses over them in double precision), one piece of time after the other."""
        for start in range(0, self.frames, FRAMES_AT_ONCE):
            frames = slice(start, min(start + FRAMES_AT_ONCE, self.frames))
            # Mapped anew for each piece, so that what was read is let go.
            whole = np.memmap(self.path, np.float32, "r", shape=(self.count, self.frames))
            yield frames, whole[:, frames].astype(float)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """parts @ mixing @ temporal. mixing: (parts, rank). temporal: (rank, frames), its rows orthogonal."""

    mixing: Array  # parts @ mixing has orthonormal columns
    temporal: Array


def merge(parts: csr_array, courses: Courses, *, loss: float) -> Merged:
    """The smallest rank that loses at most `loss`, a sum of squares, of parts (pixels, K) @ courses (K, frames)."""
    if not courses.count:
        return Merged(mixing=np.zeros((0, 0), np.float32), temporal=np.zeros((0, courses.frames), np.float32))
    gram = np.zeros((courses.count, courses.count))
    for _, piece in courses.pieces():
        gram += piece @ piece.T
    values, lengths = _decomposed(gram)
    real = slice(int(np.searchsorted(values, ROUNDING * values[-1], "right")), None)
    values, lengths = values[real], lengths[:, real]
    lengths *= np.sqrt(values)
    squares, rotation = _decomposed(lengths.T @ ((parts.T @ parts).astype(float) @ lengths))
    squares, rotation = np.maximum(squares[::-1], 0), rotation[:, ::-1]
    left = np.append(np.cumsum(squares[::-1])[::-1], 0.0)  # what the first 0, 1, 2 ... would lose
    rank = min(int(np.argmax(left <= loss)), int(np.count_nonzero(squares > ROUNDING * squares[0])))
    singular, rotation = np.sqrt(squares[:rank]), rotation[:, :rank]
    weights = (lengths @ (singular * rotation / values[:, None])).T
    temporal = np.empty((rank, courses.frames), np.float32)
    for frames, piece in courses.pieces():
        temporal[:, frames] = weights @ piece
    signs = np.sign(temporal[np.arange(rank), np.abs(temporal).argmax(axis=1)])
    mixing = lengths @ (rotation / singular) * signs
    return Merged(mixing=mixing.astype(np.float32), temporal=temporal * signs[:, None])


def _decomposed(symmetric: Array) -> tuple[Array, Array]:
    """Eigenvalues, the smallest first, and eigenvectors. The matrix is used up, which spares a copy of it."""
    return eigh(symmetric.T, overwrite_a=True)  # type: ignore[no-any-return]
