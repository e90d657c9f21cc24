"""From the parts of all blocks to one pair of factors of low rank.

Overlapping blocks find the same signals up to four times. The sum over the blocks is U V, U sparse (pixels x parts);
its singular value decomposition is found from U^T U and V V^T (parts x parts), without ever forming the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from recording import Array
from scipy.linalg import eigh
from scipy.sparse import csr_array

ROUNDING = 1e-12  # of the largest eigenvalue: below it is nothing but rounding


@dataclass(frozen=True, kw_only=True)
class Merged:
    """parts @ mixing @ temporal. mixing: (parts, rank). temporal: (rank, frames), its rows orthogonal."""

    mixing: Array  # parts @ mixing has orthonormal columns
    temporal: Array


def merge(parts: csr_array, courses: Array, *, loss: float) -> Merged:
    """The smallest rank that loses at most `loss`, a sum of squares, of parts (pixels, K) @ courses (K, frames)."""
    frames = courses.shape[1]
    if not len(courses):
        return Merged(mixing=np.zeros((0, 0), np.float32), temporal=np.zeros((0, frames), np.float32))
    values, vectors = eigh(_gram(courses))
    keep = values > ROUNDING * values[-1]
    values, vectors = values[keep], vectors[:, keep]
    lengths = vectors * np.sqrt(values)
    squares, rotation = eigh(lengths.T @ (parts.T @ parts).astype(float).toarray() @ lengths)
    squares, rotation = np.maximum(squares[::-1], 0), rotation[:, ::-1]
    left = np.append(np.cumsum(squares[::-1])[::-1], 0.0)  # what the first 0, 1, 2 ... would lose
    real = int(np.count_nonzero(squares > ROUNDING * squares[0]))
    rank = min(int(np.argmax(left <= loss)), real)
    singular, rotation = np.sqrt(squares[:rank]), rotation[:, :rank]
    temporal = (singular * rotation / np.sqrt(values)[:, None]).T @ (vectors.T @ courses)
    signs = np.sign(temporal[np.arange(rank), np.abs(temporal).argmax(axis=1)])
    mixing = lengths @ (rotation / singular) * signs
    return Merged(mixing=mixing.astype(np.float32), temporal=(temporal * signs[:, None]).astype(np.float32))


def _gram(courses: Array) -> Array:
    """courses @ courses.T in double precision, in pieces of time so that no copy of all is made."""
    gram = np.zeros((len(courses), len(courses)))
    for start in range(0, courses.shape[1], 2000):
        piece = courses[:, start : start + 2000].astype(float)
        gram += piece @ piece.T
    return gram
