"""Principal components of a recording that need not fit in memory. All arithmetic is in double precision.

Where one side of the data is small, the eigenvectors of the covariance of that side, which is exact. Otherwise
randomised subspace iteration: Halko, Martinsson & Tropp (2011), SIAM Review 53:217, doi:10.1137/090771806,
Algorithm 4.4, with the random sketch taken over frames so that each step is one pass over the file, and with as many
steps as it takes until the variances stand still, each shifted as in Feng, Yu, Xie & Tang (2024), "Algorithm 1043:
Faster randomized SVD with dynamic shifts", ACM TOMS, doi:10.1145/3660629.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from baseline import ROUNDING, Prepared, Progress
from job import Failure
from recording import Array, Recording, slices

EXACT_SIDE = 2000  # the eigenvectors of a 2000 x 2000 matrix take a second or two
OVERSAMPLING = 15  # directions beyond those asked for: more of them, fewer passes
TOLERANCE = 1e-4  # largest relative change of a variance between two passes at which they stand still
MOST_PASSES = 16  # variances within the noise, which differ little from one another, never quite do
LIBRARIES_MIB = 160  # the interpreter, the decoders and matplotlib


class Route(StrEnum):
    """How the components are found."""

    OVER_FRAMES = "exact, over frames"
    OVER_PIXELS = "exact, over pixels"
    STREAMED = "streamed"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """How the granted memory is shared out."""

    free_bytes: int

    @classmethod
    def granted(cls, mib: int) -> Memory:
        return cls(free_bytes=max(mib - LIBRARIES_MIB, 32) * 2**20)

    def frames_per_block(self, recording: Recording) -> int:
        """A block exists as read, in double precision and in one temporary copy: 24 bytes per value, in a sixth."""
        return int(min(512, max(1, self.free_bytes / 6 // (24 * recording.values_per_frame))))

    def can_hold(self, recording: Recording) -> bool:
        return recording.size_bytes <= self.free_bytes / 2

    def can_solve(self, side: int) -> bool:
        """A covariance matrix, its eigenvectors and LAPACK's workspace, in a quarter."""
        return side <= EXACT_SIDE and 5 * 8 * side**2 <= self.free_bytes / 4

    def streaming_mib(self, recording: Recording, count: int) -> float:
        """Four bases (pixels x rank), two sets of projections (frames x rank), one frame and the libraries."""
        rank, pixels = count + OVERSAMPLING, recording.values_per_frame
        return 1.5 * (8 * rank * (4 * pixels + 2 * recording.frames) + 24 * pixels) / 2**20 + LIBRARIES_MIB


@dataclass(frozen=True, kw_only=True)
class Components:
    """components: (K, pixels), orthonormal rows. time_courses: (frames, K), uncorrelated. variances: (K,), falling."""

    components: Array
    time_courses: Array
    variances: Array
    passes: int  # over the recording, after the baseline was measured
    relative_change: float  # of the variances in the last pass; 0 when exact


def choose_route(recording: Recording, memory: Memory, count: int) -> Route:
    """The most exact route that fits. Raises a Failure when none does, before the recording is read."""
    held = memory.can_hold(recording)
    if not held and not recording.frame_by_frame:
        raise Failure(
            f"{recording.name} keeps time as its fastest axis (Fortran order) and is too large to be held in memory; "
            "save it again with numpy.ascontiguousarray."
        )
    if held and recording.frames <= recording.values_per_frame and memory.can_solve(recording.frames):
        return Route.OVER_FRAMES
    if memory.can_solve(recording.values_per_frame):
        return Route.OVER_PIXELS
    needed = memory.streaming_mib(recording, count)
    if needed * 2**20 > memory.free_bytes + LIBRARIES_MIB * 2**20:
        raise Failure(
            f"{recording.name} has {recording.frames:,} frames of {recording.values_per_frame:,} values; {count} "
            f"components of it need about {needed:,.0f} MiB of memory: ask for fewer, or for a larger spatial_bin."
        )
    return Route.STREAMED


def hold(recording: Recording, memory: Memory, progress: Progress) -> Recording:
    """The same recording with all frames in memory, in the type they are stored in."""
    data = np.empty((recording.frames, *recording.shape), recording.dtype)
    for start, block in recording.blocks(memory.frames_per_block(recording)):
        data[start : start + len(block)] = block
        progress((start + len(block)) / recording.frames, "reading")
    return replace(recording, read=slices(data), frame_by_frame=True)


def decompose(data: Prepared, route: Route, *, count: int, seed: int, progress: Progress) -> Components:
    """The first `count` components. Raises a Failure when the recording does not hold as many."""
    if route is Route.OVER_FRAMES:
        found = _over_frames(data, count, progress)
    elif route is Route.OVER_PIXELS:
        found = _over_pixels(data, count, progress)
    else:
        found = _streamed(data, count, seed, progress)
    rank = int(np.count_nonzero(found.variances > ROUNDING * found.variances[0]))
    if rank < count:
        raise Failure(f"{data.recording.name} holds {rank} independent component(s), but {count} are asked for.")
    return _with_fixed_signs(found)


def _over_frames(data: Prepared, count: int, progress: Progress) -> Components:
    """Eigenvectors of the (frames x frames) covariance, then the maps they are the time courses of."""
    gram = np.zeros((data.frames, data.frames))
    for pixels, strip in data.strips():
        gram += strip @ strip.T
        progress(0.8 * pixels.stop / data.pixels, "covariance of frames")
    values, vectors = _largest(gram, count)
    lengths = np.sqrt(values)
    components = np.empty((count, data.pixels))
    for pixels, strip in data.strips():
        np.matmul(vectors.T, strip, out=components[:, pixels])
        progress(0.9 + 0.1 * pixels.stop / data.pixels, "component maps")
    components /= np.where(lengths > 0, lengths, 1)[:, None]
    return Components(
        components=components,
        time_courses=vectors * lengths,
        variances=values / (data.frames - 1),
        passes=2,
        relative_change=0.0,
    )


def _over_pixels(data: Prepared, count: int, progress: Progress) -> Components:
    """Eigenvectors of the (pixels x pixels) covariance, then the time courses along them."""
    scatter = np.zeros((data.pixels, data.pixels))
    for frames, block in data.blocks():
        scatter += block.T @ block
        progress(0.6 * frames.stop / data.frames, "covariance of columns")
    values, vectors = _largest(scatter, count)
    time_courses = np.empty((data.frames, count))
    for frames, block in data.blocks():
        np.matmul(block, vectors, out=time_courses[frames])
        progress(0.7 + 0.3 * frames.stop / data.frames, "time courses")
    return Components(
        components=vectors.T,
        time_courses=time_courses,
        variances=values / (data.frames - 1),
        passes=2,
        relative_change=0.0,
    )


def _streamed(data: Prepared, count: int, seed: int, progress: Progress) -> Components:
    """Subspace iteration on rank = count + 15 directions; memory grows with (pixels + frames) x rank only."""
    rank = min(count + OVERSAMPLING, data.frames, data.pixels)
    random = np.random.default_rng(seed)
    sketch = np.zeros((data.pixels, rank))
    for frames, block in data.blocks():
        sketch += block.T @ random.standard_normal((len(block), rank))
        progress(0.2 * frames.stop / data.frames, "pass 1")
    projections = np.empty((data.frames, rank))
    before, change, passes = np.zeros(count), np.inf, 1
    while change > TOLERANCE and passes < MOST_PASSES:
        basis, _ = np.linalg.qr(sketch)
        sketch[:] = 0
        left = 0.8**passes  # how many passes are to come is not known, so each takes a fifth of what is left
        for frames, block in data.blocks():
            np.matmul(block, basis, out=projections[frames])
            sketch += block.T @ projections[frames]
            progress(1 - left + 0.2 * left * frames.stop / data.frames, f"pass {passes + 1}")
        passes += 1
        values, rotation = _largest(projections.T @ projections, rank)
        # Half the smallest value as a shift makes one pass gain nearly as much as two, at no cost.
        sketch -= values[-1] / 2 * basis
        values, rotation = values[:count], rotation[:, :count]
        change = float(np.max(np.abs(values - before) / (values + ROUNDING / TOLERANCE * values[0])))
        before = values
    return Components(
        components=(basis @ rotation).T,
        time_courses=projections @ rotation,
        variances=values / (data.frames - 1),
        passes=passes,
        relative_change=change,
    )


def _largest(symmetric: Array, count: int) -> tuple[Array, Array]:
    """The largest eigenvalues (count,), falling and not below 0, and their eigenvectors (side, count)."""
    values, vectors = np.linalg.eigh(symmetric)
    return np.maximum(values[::-1][:count], 0), vectors[:, ::-1][:, :count]


def _with_fixed_signs(found: Components) -> Components:
    """The weight farthest from 0 is positive: an eigenvector's sign is arbitrary, a result to compare must not be."""
    rows = np.arange(len(found.components))
    signs = np.sign(found.components[rows, np.abs(found.components).argmax(axis=1)])
    return replace(found, components=found.components * signs[:, None], time_courses=found.time_courses * signs)
