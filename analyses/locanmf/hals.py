"""Hierarchical alternating least squares for the localized semi-NMF of a movie Y = U V (Saxena et al. 2020).

    minimize  ||Y - A C||^2 + sum_k lambda_k <d_k, a_k>   over A >= 0 and rows of C of length 1

d_k is each pixel's distance to component k's region. Only the product of a map and its time course is determined, so
one of the two needs a fixed length, or shrinking a map and stretching its time course would make the penalty as small
as one likes. The paper sets the maximum of each map to 1 after its update, which can raise the objective; here the time
courses have length 1 while fitting, for which both updates are exact minimizations over their block. The objective
therefore never increases while lambda stays. Results are handed out with maps of maximum 1, as in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from movie import Movie

Array = np.ndarray[Any, Any]

BLOCK_PIXELS = 512  # so that the maps of a block stay in a core's cache while all components are updated


@dataclass(frozen=True, kw_only=True)
class Factors:
    """K components. maps: (K, P) >= 0. courses: (K, r), rows of length 1, in the movie's basis."""

    maps: Array
    courses: Array
    regions: Array  # (K,) int, which region each belongs to

    def __len__(self) -> int:
        return len(self.maps)

    def keep(self, chosen: Array) -> Factors:
        return Factors(maps=self.maps[chosen], courses=self.courses[chosen], regions=self.regions[chosen])


@dataclass(frozen=True, kw_only=True)
class Fit:
    factors: Factors
    lambdas: Array  # (K,)
    objective: tuple[float, ...]  # after each sweep


class Sweeps:
    """Runs sweeps over a movie's pixels on `cores` threads. distances: (regions, P), in pixels.

    The sums over blocks are added in the order of the blocks, so that results do not depend on the threads.
    """

    def __init__(self, movie: Movie, distances: Array, pool: ThreadPoolExecutor) -> None:
        self.movie, self.distances, self.pool = movie, distances, pool
        self.energy = movie.energy()

    def fit(self, factors: Factors, lambdas: Array, *, sweeps: int, tolerance: float) -> Fit:
        """Until the objective falls by less than `tolerance` of the movie's energy in a sweep, at most `sweeps` times.

        Components whose map becomes zero everywhere are taken out, which changes no objective. Changes factors' arrays.
        """
        history: list[float] = []
        for _ in range(sweeps):
            penalties, cross, overlap = self._update_maps(factors, lambdas)
            alive = np.diagonal(overlap) > 0
            if not alive.all():
                factors, lambdas = factors.keep(alive), lambdas[alive]
                penalties, cross, overlap = penalties[alive], cross[alive], overlap[np.ix_(alive, alive)]
            if not len(factors):
                break
            _update_courses(factors.courses, cross, overlap)
            history.append(self._objective(factors.courses, penalties, cross, overlap))
            if len(history) > 1 and history[-2] - history[-1] < tolerance * self.energy:
                break
        return Fit(factors=factors, lambdas=lambdas, objective=tuple(history))

    def _update_maps(self, factors: Factors, lambdas: Array) -> tuple[Array, Array, Array]:
        """Each map in turn to its minimum. Returns lambda_k <d_k, a_k> (K,), A'Y (K, r) and A'A (K, K)."""
        gram = factors.courses @ factors.courses.T
        half = lambdas[:, None] / 2

        def update(block: slice) -> tuple[Array, Array, Array]:
            points = self.movie.points[:, block]
            distance = self.distances[factors.regions, block]
            maps = factors.maps[:, block].copy()
            target = factors.courses @ points - half * distance
            for k, row in enumerate(maps):
                row += target[k] - gram[k] @ maps  # gram[k, k] is 1
                np.maximum(row, 0, out=row)
            factors.maps[:, block] = maps
            return np.einsum("kp,kp->k", maps, distance) * lambdas, maps @ points.T, maps @ maps.T

        penalties, cross, overlap = 0.0, 0.0, 0.0
        for one in self.pool.map(update, blocks(self.movie.pixels)):
            penalties, cross, overlap = penalties + one[0], cross + one[1], overlap + one[2]
        return np.asarray(penalties), np.asarray(cross), np.asarray(overlap)

    def _objective(self, courses: Array, penalties: Array, cross: Array, overlap: Array) -> float:
        fitted = np.vdot(overlap, courses @ courses.T) - 2 * np.vdot(cross, courses)
        return float(self.energy + fitted + penalties.sum())

    def residuals(self, factors: Factors) -> Array:
        """(P,) sum over time of squared residuals of each pixel."""

        def measure(block: slice) -> Array:
            left = self.movie.points[:, block] - factors.courses.T @ factors.maps[:, block]
            return np.einsum("rp,rp->p", left, left)

        return np.concatenate(list(self.pool.map(measure, blocks(self.movie.pixels))))


def blocks(pixels: int) -> Iterator[slice]:
    for start in range(0, pixels, BLOCK_PIXELS):
        yield slice(start, min(start + BLOCK_PIXELS, pixels))


def _update_courses(courses: Array, cross: Array, overlap: Array) -> None:
    """Each time course in turn to the best of length 1: what the others leave over, weighted by its map."""
    for k in range(len(courses)):
        direction = cross[k] - overlap[k] @ courses + overlap[k, k] * courses[k]
        length = np.linalg.norm(direction)
        if length > 0:
            courses[k] = direction / length


def joined(parts: list[Factors], pixels: int, members: Array) -> Factors:
    """Components of single regions (maps on the region's own pixels) as one set over all pixels.

    members: (P,) region of each pixel, -1 for none. Part i belongs to region i.
    """
    count = sum(len(part) for part in parts)
    maps = np.zeros((count, pixels))
    regions = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    start = 0
    for region, part in enumerate(parts):
        maps[start : start + len(part), members == region] = part.maps
        start += len(part)
    return Factors(maps=maps, courses=np.concatenate([part.courses for part in parts]), regions=regions)


def copied(factors: Factors) -> Factors:
    return replace(factors, maps=factors.maps.copy(), courses=factors.courses.copy())
