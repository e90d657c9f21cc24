"""Penalized matrix decomposition of one block: Buchanan et al. (2018), doi:10.1101/334706.

A block is (pixels, frames), each pixel centred and divided by its noise. Rank-one parts u v^T are taken off one by
one: u is regressed on v and denoised by constrained total variation, v on u and denoised by a constrained trend filter,
until both stand still; then v is regressed once more on u, without a penalty, and u v^T taken off. A part stays if its
map and its time course are both smoother than those of white noise; the search ends after some failures in a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from denoising import TrendFilter, total_variation
from noise import spatial_noise, temporal_noise
from recording import Array

OVERSAMPLING = 10  # directions of the sketch beyond the components that are looked for
EARLY = 2  # main iterations after which a part that looks like noise is given up


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a block is decomposed: parameters of parameters.schema.json."""

    max_components: int
    consec_failures: int
    max_iters_main: int
    max_iters_init: int
    tol: float  # change of a unit vector between iterations, by its length
    enable_spatial_denoiser: bool
    enable_temporal_denoiser: bool


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Largest roughness of a part that is kept."""

    spatial: float
    temporal: float


@dataclass(frozen=True, kw_only=True)
class Parts:
    """maps: (pixels, K), each of length 1. courses: (K, frames). Both float32, in the order they were found."""

    maps: Array
    courses: Array
    failures: int


def spatial_roughness(image: Array) -> float:
    """Mean absolute difference of neighbours over the mean absolute value; infinite for a flat map."""
    down, along = np.abs(np.diff(image, axis=0)), np.abs(np.diff(image, axis=1))
    differences = (down.sum() + along.sum()) / (down.size + along.size)
    return float(differences / np.abs(image).mean()) if differences > 0 else np.inf


def temporal_roughness(course: Array) -> float:
    """Mean absolute second difference over the mean absolute value; infinite for a course of zeros."""
    size = np.abs(course).mean()
    return float(np.abs(np.diff(course, 2)).mean() / size) if size > 0 else np.inf


def decompose(block: Array, shape: tuple[int, int], method: Method, thresholds: Thresholds, seed: list[int]) -> Parts:
    """The parts of a float32 block (pixels, frames) that are smoother than noise. shape: (height, width)."""
    residual = Residual(block, method, np.random.default_rng(seed))
    maps: list[Array] = []
    courses: list[Array] = []
    failures = in_a_row = 0
    while len(maps) < method.max_components and in_a_row < method.consec_failures and residual.room:
        u, v = rank_one(residual, shape, method, thresholds)
        residual.take_off(u, v)
        if is_smooth(u, v, shape, thresholds):
            maps.append(u)
            courses.append(_final_course(v) if method.enable_temporal_denoiser else v)
            in_a_row = 0
        else:
            failures += 1
            in_a_row += 1
    if not maps:
        empty = np.zeros((len(block), 0), np.float32)
        return Parts(maps=empty, courses=np.zeros((0, block.shape[1]), np.float32), failures=failures)
    return Parts(maps=np.stack(maps, axis=1), courses=np.stack(courses), failures=failures)


def is_smooth(u: Array, v: Array, shape: tuple[int, int], thresholds: Thresholds) -> bool:
    return temporal_roughness(v) < thresholds.temporal and spatial_roughness(u.reshape(shape)) < thresholds.spatial


class Residual:
    """A block without the parts taken off so far. The block itself is neither changed nor copied.

    First guesses come from a sketch: the residual projected on as many orthonormal maps as parts are looked for, and
    some more, found by one step of randomised subspace iteration (Halko, Martinsson & Tropp 2011).
    """

    def __init__(self, block: Array, method: Method, random: np.random.Generator) -> None:
        pixels, frames = block.shape
        self.block = block
        most = min(method.max_components + method.consec_failures, pixels, frames)
        rank = min(most + OVERSAMPLING, pixels, frames)
        self.maps = np.zeros((most, pixels), np.float32)
        self.courses = np.zeros((most, frames), np.float32)
        self.count = 0
        sketch = block @ random.standard_normal((frames, rank), dtype=np.float32)
        basis, _ = np.linalg.qr(block @ (block.T @ sketch))
        self.basis = basis
        self.projected = basis.T @ block

    @property
    def room(self) -> bool:
        return self.count < len(self.maps)

    def times(self, course: Array) -> Array:
        """residual @ course: (pixels,)"""
        taken = self.courses[: self.count] @ course
        return self.block @ course - taken @ self.maps[: self.count]

    def transposed_times(self, image: Array) -> Array:
        """residual.T @ image: (frames,)"""
        taken = self.maps[: self.count] @ image
        return image @ self.block - taken @ self.courses[: self.count]

    def take_off(self, image: Array, course: Array) -> None:
        self.maps[self.count], self.courses[self.count] = image, course
        self.count += 1
        self.projected -= np.outer(self.basis.T @ image, course)

    def first_course(self, iterations: int, tol: float) -> Array:
        """A first guess of the next time course, of length 1: power iterations within the sketch."""
        gram = (self.projected @ self.projected.T).astype(float)
        weights = unit(self.basis.sum(axis=0).astype(float))
        for _ in range(iterations):
            before, weights = weights, unit(gram @ weights)
            if np.linalg.norm(weights - before) < tol:
                break
        return unit(weights.astype(np.float32) @ self.projected)


def rank_one(residual: Residual, shape: tuple[int, int], method: Method, thresholds: Thresholds) -> tuple[Array, Array]:
    """The next map, of length 1, and its time course without a penalty (residual^T u), both float32."""
    v = residual.first_course(method.max_iters_init, method.tol)
    u = np.zeros(len(residual.block), np.float32)
    trend_filter, weight = TrendFilter(len(v)), 0.0
    for iteration in range(method.max_iters_main):
        u_before, v_before = u, v
        u = residual.times(v)
        if method.enable_spatial_denoiser:
            u, weight = _smooth_map(u, shape, weight)
        u = unit(u)
        v = residual.transposed_times(u)
        if iteration == EARLY and not is_smooth(u, v, shape, thresholds):
            break
        if method.enable_temporal_denoiser:
            v = _smooth_course(v, trend_filter)
        v = unit(v)
        if max(np.linalg.norm(u - u_before), np.linalg.norm(v - v_before)) < method.tol:
            break
    return u, residual.transposed_times(u)


def _smooth_map(u: Array, shape: tuple[int, int], weight: float) -> tuple[Array, float]:
    """A map so noisy that a flat one would be near enough stays as it is, to be refused for its roughness."""
    image = u.reshape(shape).astype(float)
    smooth, weight = total_variation(image, spatial_noise(image), weight)
    return (u if np.ptp(smooth) == 0 else smooth.ravel().astype(np.float32)), weight


def _smooth_course(v: Array, trend_filter: TrendFilter) -> Array:
    """A time course so noisy that a straight line would be near enough stays as it is, to be refused."""
    course = v.astype(float)
    smooth = trend_filter.denoise(course, float(temporal_noise(course)))
    return v if temporal_roughness(smooth) < 1e-9 else smooth.astype(np.float32)


def _final_course(v: Array) -> Array:
    """A course as it is given out: once more through the trend filter, so that it carries no noise into the result.

    The block was scaled to noise of variance 1, and so is residual^T u; where the spectrum says more, it is a signal's.
    """
    course = v.astype(float)
    smooth = TrendFilter(len(v)).denoise(course, min(1.0, float(temporal_noise(course))))
    return v if temporal_roughness(smooth) < 1e-9 else smooth.astype(np.float32)


def unit(vector: Array) -> Array:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def roughness_of_noise(shape: tuple[int, int], frames: int, method: Method, parts: int, seed: list[int]) -> Array:
    """Spatial and temporal roughness (parts, 2) of what the same method takes from white noise of the same size."""
    random = np.random.default_rng(seed)
    block = random.standard_normal((shape[0] * shape[1], frames), dtype=np.float32)
    residual = Residual(block, method, random)
    refuse_none = Thresholds(spatial=np.inf, temporal=np.inf)
    rows = []
    while residual.room and len(rows) < parts:
        u, v = rank_one(residual, shape, method, refuse_none)
        residual.take_off(u, v)
        rows.append((spatial_roughness(u.reshape(shape)), temporal_roughness(v)))
    return np.array(rows)
