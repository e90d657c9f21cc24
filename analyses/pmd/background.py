"""What the whole field of view does together, such as light that flickers, found before the blocks are cut."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from recording import Array
from rows import Rows

MOST_SQUARES = 2500  # that the field of view is averaged over


def background_courses(movie: Rows, rank: int) -> Array:
    """The first `rank` principal time courses (rank, frames) of the movie averaged over squares; orthonormal rows."""
    if not rank:
        return np.zeros((0, movie.frames), np.float32)
    side = max(1, ceil(sqrt(movie.height * movie.width / MOST_SQUARES)))
    height, width = movie.height // side or 1, movie.width // side or 1
    squares = np.empty((height, width, movie.frames), np.float32)
    strip = np.empty((min(side, movie.height), movie.width, movie.frames), np.float32)
    for row in range(height):
        movie.read(slice(row * side, row * side + len(strip)), strip)
        lines = strip.mean(axis=0)[: width * side]
        squares[row] = lines.reshape(width, -1, movie.frames).mean(axis=1) if width > 1 else lines.mean(axis=0)
    courses = squares.reshape(-1, movie.frames).astype(float)
    courses -= courses.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(courses @ courses.T)
    found, _ = np.linalg.qr(courses.T @ vectors[:, ::-1][:, :rank])
    return np.ascontiguousarray(found.T, np.float32)
