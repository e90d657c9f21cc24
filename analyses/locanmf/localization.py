"""The searches around the fit: a penalty for each component, and a number of components for each region.

As in Saxena et al. 2020: every region starts from components of its own pixels alone; the penalties of components that
leave too much of their energy outside their region are raised step by step; regions whose activity is not explained
well enough get one component more, and all starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hals import Factors, Sweeps, copied, joined
from movie import Movie

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What the person who submits decides."""

    loc_thresh: float  # percent of a component's energy inside its region
    r2_thresh: float
    min_rank: int
    max_rank: int
    lambda_init: (
        float  # times the movie's root mean square over pixels of the norm of a time course, per pixel distance
    )
    lambda_step: float
    maxiter_rank: int
    maxiter_lambda: int
    maxiter_hals: int
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Sweeps with the penalties unchanged."""

    round: int  # of the search for the number of components, from 1
    step: int  # of the search for the penalties, from 1
    components: int
    objective: tuple[float, ...]
    below: int  # components that were not localized at its end


@dataclass(frozen=True, kw_only=True)
class Localized:
    factors: Factors
    lambdas: Array  # (K,) in units of the movie, for time courses of length 1
    localization: Array  # (K,) percent
    r2: Array  # (regions,)
    rank_reached: Array  # (regions,) components asked for
    phases: tuple[Phase, ...]
    residual: Array  # (P,)


def localize(sweeps: Sweeps, members: Array, search: Search, progress: Callable[[float, str], None]) -> Localized:
    """members: (P,) index of the region that a pixel belongs to, -1 for none."""
    movie, count = sweeps.movie, len(sweeps.distances)
    unit = np.sqrt(sweeps.energy / movie.pixels)
    variation = np.array([movie.variation()[members == region].sum() for region in range(count)])
    starts = _Starts(sweeps, members, search)
    ranks = np.full(count, search.min_rank)
    phases: list[Phase] = []
    for number in range(1, search.maxiter_rank + 1):
        progress((number - 1) / search.maxiter_rank, f"round {number}: {ranks.sum()} components in {count} regions")
        parts = [starts.of(region, int(ranks[region])) for region in range(count)]
        factors = joined(parts, movie.pixels, members)
        factors, lambdas, inside, found = _search_penalties(sweeps, factors, members, search, unit, number)
        phases += found
        residual = sweeps.residuals(factors)
        left = np.array([residual[members == region].sum() for region in range(count)])
        r2 = 1 - left / np.where(variation > 0, variation, 1.0)
        wanting = (r2 < search.r2_thresh) & (ranks < starts.most)
        if not wanting.any() or number == search.maxiter_rank:
            break
        ranks = ranks + wanting
    return Localized(
        factors=factors,
        lambdas=lambdas,
        localization=inside,
        r2=r2,
        rank_reached=ranks,
        phases=tuple(phases),
        residual=residual,
    )


def _search_penalties(
    sweeps: Sweeps, factors: Factors, members: Array, search: Search, unit: float, number: int
) -> tuple[Factors, Array, Array, list[Phase]]:
    lambdas = np.full(len(factors), search.lambda_init * unit)
    phases = []
    for step in range(1, search.maxiter_lambda + 1):
        fit = sweeps.fit(factors, lambdas, sweeps=search.maxiter_hals, tolerance=search.tolerance)
        factors, lambdas = fit.factors, fit.lambdas
        inside = localization(factors, members)
        below = inside < search.loc_thresh
        phases.append(
            Phase(round=number, step=step, components=len(factors), objective=fit.objective, below=int(below.sum()))
        )
        if not below.any() or step == search.maxiter_lambda:
            break
        lambdas = np.where(below, search.lambda_step * lambdas, lambdas)
    return factors, lambdas, inside, phases


def localization(factors: Factors, members: Array) -> Array:
    """(K,) percent of each map's energy, the sum of its squares, that lies in the component's own region."""
    shares = np.empty(len(factors))
    for k, (row, region) in enumerate(zip(factors.maps, factors.regions, strict=True)):
        squares = row**2
        shares[k] = 100 * squares[members == region].sum() / squares.sum()
    return shares


class _Starts:
    """Components of each region's own pixels, made once for each number of them."""

    def __init__(self, sweeps: Sweeps, members: Array, search: Search) -> None:
        self.search, self.pool = search, sweeps.pool
        self.movies = [sweeps.movie.part(members == region) for region in range(len(sweeps.distances))]
        self.bases = [_principal(movie, search.max_rank) for movie in self.movies]
        self.most = np.array([min(search.max_rank, len(basis)) for basis in self.bases])
        self.made: dict[tuple[int, int], Factors] = {}

    def of(self, region: int, rank: int) -> Factors:
        rank = min(rank, int(self.most[region]))
        if (region, rank) not in self.made:
            movie = self.movies[region]
            nowhere = np.zeros((1, movie.pixels))  # all pixels are in the region: no penalty
            start = separated(movie, self.bases[region][:rank])
            fit = Sweeps(movie, nowhere, self.pool).fit(
                start, np.zeros(rank), sweeps=self.search.maxiter_hals, tolerance=self.search.tolerance
            )
            self.made = {
                key: one for key, one in self.made.items() if key[0] != region
            }  # only the last is asked for again
            self.made[region, rank] = fit.factors
        return copied(self.made[region, rank])


def _principal(movie: Movie, most: int) -> Array:
    """(<= most, r) directions of the largest variance, largest first; fewer where the pixels span fewer."""
    values, vectors = np.linalg.eigh(movie.points @ movie.points.T)
    order = np.argsort(values)[::-1][: min(most, movie.pixels)]
    return vectors[:, order[values[order] > 1e-12 * values[-1]]].T


def separated(movie: Movie, directions: Array) -> Factors:
    """Components that span the principal `directions` (k, r) with maps as sparse as a rotation makes them.

    Principal components mix patches that are active together, and a semi-NMF that starts there may stay there. The
    rotation (varimax, Kaiser 1958) finds patches that do not overlap whatever the correlation of their activity.
    """
    maps = directions @ movie.points
    lengths = np.sqrt(np.einsum("kp,kp->k", maps, maps))
    rotation = varimax((maps / lengths[:, None]).T)
    maps = rotation.T @ (maps / lengths[:, None])
    signs = np.where(np.einsum("kp,kp,kp->k", maps, maps, maps) < 0, -1.0, 1.0)
    maps *= signs[:, None]
    courses = signs[:, None] * (rotation.T @ (lengths[:, None] * directions))
    norms = np.linalg.norm(courses, axis=1, keepdims=True)
    return Factors(
        maps=np.maximum(maps * norms, 0.0), courses=courses / norms, regions=np.zeros(len(maps), dtype=np.int64)
    )


def varimax(loadings: Array, *, iterations: int = 200, tolerance: float = 1e-9) -> Array:
    """The rotation (k, k) that maximizes the variance of squared loadings (P, k) of each column."""
    rotation = np.eye(loadings.shape[1])
    criterion = 0.0
    for _ in range(iterations):
        rotated = loadings @ rotation
        gradient = loadings.T @ (rotated**3 - rotated * np.mean(rotated**2, axis=0))
        left, values, right = np.linalg.svd(gradient)
        rotation = left @ right
        if values.sum() < criterion * (1 + tolerance):
            break
        criterion = float(values.sum())
    return rotation
