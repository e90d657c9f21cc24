"""The way through: rows of blocks one after the other, then one pair of factors, then a look at what was left over.

Writes spatial.npy, temporal.npy, mean.npy, noise.npy, summary.json, figure.png, residual.png and before-after.mp4. One
row of blocks is in memory at a time, as float32, and for each process one block.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from background import background_courses
from blocks import Tiling, tile
from decomposition import Method, Thresholds
from job import Failure, Job, progress
from merging import Courses, merge
from noise import FEWEST_FRAMES
from recording import Array, luminance, open_recording
from residual import LeftOver, measure
from rows import Rows, as_rows
from scipy.sparse import coo_array, csr_array, hstack
from workers import Crew, Shared, buffer_for, crew, decompose_block, prepare_row, thresholds_from_noise

LEAST_SIDE = 5  # pixels of a block: the window that measures noise in space


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The properties of parameters.schema.json, which the platform has already checked."""

    block_height: int  # pixels
    block_width: int  # pixels
    overlapping: bool
    max_components: int
    consec_failures: int
    max_iters_main: int
    max_iters_init: int
    tol: float
    enable_spatial_denoiser: bool
    enable_temporal_denoiser: bool
    background_rank: int
    merge_loss: float  # per cent of the noise
    frame_rate_hz: float  # 0: as the file says


@dataclass(frozen=True, kw_only=True)
class Decomposed:
    """A movie in parts: where each block lies and what was found in it, with the maps of mean and noise."""

    tiling: Tiling
    maps: list[Array]  # of each block: (pixels, its components)
    courses: Courses  # of all blocks' components, and the background's after them
    failures: int  # parts that looked like noise, over all blocks
    mean: Array  # (height, width)
    noise: Array  # (height, width), standard deviation
    background_maps: Array  # (height, width, background_rank)
    thresholds: Thresholds


def main(job: Job) -> None:
    parameters = Parameters(**job.config)
    cores = max(1, int(os.environ.get("NEUROCAAS_CORES", "1")))
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        recording = luminance(open_recording(job.inputs["movie"]))
        _check(recording.name, recording.frames, recording.shape, parameters, job.memory_mib)
        movie = as_rows(recording, Path(scratch), _between(0.0, 0.1))
        _log(f"{movie.name}: {movie.frames:,} frames of {movie.height} x {movie.width} pixels, {cores} core(s)")
        clock.lap("unpack")
        courses = Courses(Path(scratch) / "courses.raw", movie.frames)
        found = decompose(movie, parameters, cores, job.seed, clock, courses)
        progress(0.85, "merging the blocks")
        rank = write_factors(job.results, movie, found, parameters.merge_loss)
        clock.lap("merge")
        progress(0.9, "looking at what was left over")
        left = measure(movie, job.results)
        clock.lap("residual")
        write_summary(job.results, movie, found, left, parameters, rank)
        from figure import draw  # matplotlib takes a second to import, so only once there is something to draw
        from film import show

        progress(0.94, "drawing the figures")
        draw(job.results, movie, found, left, parameters.frame_rate_hz or movie.frame_rate_hz)
        progress(0.96, "filming before and after")
        show(job.results, movie, parameters.frame_rate_hz or movie.frame_rate_hz)
        clock.lap("figures")
    _log(clock.told(movie.size_bytes))
    progress(1.0, f"rank {rank}")


def decompose(movie: Rows, parameters: Parameters, cores: int, seed: int, clock: Clock, courses: Courses) -> Decomposed:
    """All blocks, one row of them after the other. Each half of a row is read once and serves two grids."""
    tiling = tile(
        movie.height,
        movie.width,
        block_height=parameters.block_height,
        block_width=parameters.block_width,
        overlapping=parameters.overlapping,
    )
    whole_numbers = movie.layout.dtype.kind in "bui"
    shared = Shared(
        buffer=buffer_for(tiling.tallest_half, movie.width, movie.frames),
        method=Method(**{field.name: getattr(parameters, field.name) for field in fields(Method)}),
        background=background_courses(movie, parameters.background_rank),
        smallest_noise=1 / np.sqrt(12) if whole_numbers else 0.0,  # that of rounding
        seed=seed,
    )
    shape = (movie.height, movie.width)
    mean, noise = np.empty(shape, np.float32), np.empty(shape, np.float32)
    background = np.empty((*shape, len(shared.background)), np.float32)
    maps: list[Array] = []
    failures = 0
    with crew(shared, cores) as workers:
        largest = max((block.shape for block in tiling.blocks), key=lambda sides: sides[0] * sides[1])
        thresholds = thresholds_from_noise(workers, largest, _between(0.1, 0.15))
        clock.lap("thresholds")
        tell = _between(0.15, 0.85)
        for number, half in enumerate(tiling.halves):
            _fill(movie, workers, number, half, (mean, noise, background))
            clock.lap("read")
            ready = tiling.ready(number)
            for answer in workers.map(decompose_block, [(block, thresholds) for block in ready]):
                maps.append(answer.maps)
                courses.append(answer.courses)
                failures += answer.failures
                tell(len(maps) / len(tiling.blocks), "decomposing blocks")
            clock.lap("blocks")
    courses.append(shared.background)
    return Decomposed(
        tiling=tiling,
        maps=maps,
        courses=courses,
        failures=failures,
        mean=mean,
        noise=noise,
        background_maps=background,
        thresholds=thresholds,
    )


def _fill(movie: Rows, workers: Crew, number: int, half: slice, maps: tuple[Array, Array, Array]) -> None:
    """Half `number` of the rows into the buffer, ready for decomposition; what it was like before into the maps."""
    place, height = number % 2, half.stop - half.start
    movie.read(half, workers.shared.buffer[place, :height])
    places = [(place, row) for row in range(height)]
    for row, found in enumerate(workers.map(prepare_row, places), half.start):
        if found.broken_at is not None:
            raise Failure(
                f"{movie.name} holds a value that is not a finite number, first in frame {found.broken_at} "
                f"of row {row}; fill such gaps before the analysis."
            )
        for whole, its in zip(maps, (found.mean, found.noise, found.background), strict=True):
            whole[row] = its


def write_factors(folder: Path, movie: Rows, found: Decomposed, merge_loss: float) -> int:
    """spatial.npy, temporal.npy, mean.npy and noise.npy. mean + spatial @ temporal is the denoised movie. The rank."""
    parts = assembled(movie, found)
    merged = merge(parts, found.courses, loss=merge_loss / 100 * movie.height * movie.width * movie.frames)
    rank = len(merged.temporal)
    if not rank and found.courses.count:
        raise Failure(
            f"merge_loss is {merge_loss:g} %, which loses all {found.courses.count} components found in {movie.name}; "
            "a smaller one is needed."
        )
    if not rank:
        raise Failure(
            f"{movie.name} holds nothing smoother than white noise in blocks of this size; "
            "check that it is the right movie, or try larger blocks."
        )
    np.save(folder / "temporal.npy", merged.temporal)
    np.save(folder / "mean.npy", found.mean)
    np.save(folder / "noise.npy", found.noise)
    shape = (movie.height, movie.width, rank)
    spatial = np.lib.format.open_memmap(folder / "spatial.npy", "w+", np.float32, shape)
    for half in found.tiling.halves:
        pixels = parts[half.start * movie.width : half.stop * movie.width]
        maps = (pixels @ merged.mixing).reshape(-1, movie.width, rank)
        spatial[half] = maps * found.noise[half, :, None]
    spatial.flush()
    return rank


def assembled(movie: Rows, found: Decomposed) -> csr_array:
    """The maps (pixels, parts) of which, times `found.courses`, the movie is the sum, in units of the noise."""
    numbers = np.arange(movie.height * movie.width, dtype=np.int32).reshape(movie.height, movie.width)
    values, pixels, columns = [], [], []
    count = 0
    weights = found.tiling.weights(movie.height, movie.width)
    for block, weight, maps in zip(found.tiling.blocks, weights, found.maps, strict=True):
        rank = maps.shape[1]
        values.append((maps * weight.reshape(-1, 1)).ravel())
        pixels.append(np.repeat(numbers[block.rows, block.columns].ravel(), rank))
        columns.append(np.tile(np.arange(count, count + rank, dtype=np.int32), weight.size))
        count += rank
    place = (np.concatenate(pixels), np.concatenate(columns))
    local = coo_array((np.concatenate(values), place), shape=(numbers.size, count)).tocsr()
    everywhere = csr_array(found.background_maps.reshape(numbers.size, -1))
    return hstack([local, everywhere], format="csr")


def write_summary(
    folder: Path, movie: Rows, found: Decomposed, left: LeftOver, parameters: Parameters, rank: int
) -> None:
    """summary.json. Times are in the log alone: with the same seed every result is to be the same."""
    values = movie.height * movie.width * movie.frames
    counts = [maps.shape[1] for maps in found.maps]
    in_blocks = sum(
        count * (block.shape[0] * block.shape[1] + movie.frames)
        for count, block in zip(counts, found.tiling.blocks, strict=True)
    )
    summary: dict[str, Any] = {
        "movie": movie.name,
        "frames": movie.frames,
        "frame_shape": [movie.height, movie.width],
        "frame_rate_hz": parameters.frame_rate_hz or movie.frame_rate_hz,
        "parameters": asdict(parameters),
        "rank": rank,
        "compression_ratio": values / (rank * (movie.height * movie.width + movie.frames)),
        "blocks": {
            "count": len(counts),
            "largest": [max(block.shape[side] for block in found.tiling.blocks) for side in (0, 1)],
            "components": sum(counts),
            "most_components": max(counts),
            "failures": found.failures,
            "compression_ratio": values / in_blocks if in_blocks else None,
        },
        "thresholds": asdict(found.thresholds),
        "noise": dict(zip(("lower_quartile", "median", "upper_quartile"), _quartiles(found.noise), strict=True)),
        "residual": left.summary(),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _quartiles(values: Array) -> list[float]:
    return [float(value) for value in np.quantile(values, (0.25, 0.5, 0.75))]


def _check(name: str, frames: int, shape: tuple[int, ...], parameters: Parameters, memory_mib: int) -> None:
    """Refuse at once what cannot be, before a long movie is read."""
    if frames < FEWEST_FRAMES:
        raise Failure(f"{name} has {frames} frames; at least {FEWEST_FRAMES} are needed to tell signal from noise.")
    if min(shape) < LEAST_SIDE:
        raise Failure(
            f"{name} has frames of {shape[0]} x {shape[1]} pixels; at least {LEAST_SIDE} on a side are needed."
        )
    if parameters.background_rank >= frames:
        raise Failure(
            f"{name} has {frames} frames, too few for a background_rank of {parameters.background_rank}; "
            "it has to be smaller."
        )
    row_mib = 4 * min(parameters.block_height, shape[0]) * shape[1] * frames / 2**20
    if row_mib > memory_mib:
        raise Failure(
            f"{name} has {frames:,} frames of {shape[0]} x {shape[1]} pixels: one row of blocks takes {row_mib:,.0f} "
            f"MiB of memory and {memory_mib:,} are granted; a smaller block_height or a larger instance is needed."
        )


class Clock:
    """Seconds by the kind of work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = monotonic()

    def lap(self, work: str) -> None:
        now = monotonic()
        self.seconds[work] = self.seconds.get(work, 0.0) + now - self.last
        self.last = now

    def told(self, size_bytes: int) -> str:
        total = sum(self.seconds.values())
        each = ", ".join(f"{work} {seconds:.1f}" for work, seconds in self.seconds.items())
        return f"seconds: {each}; {total:.1f} in all, {size_bytes / 1e6 / total:.2f} MB/s"


def _between(start: float, stop: float) -> Callable[[float, str], None]:
    """Progress of one part of the work as progress of the whole, told at every second percent of the part."""
    told = -1.0

    def tell(fraction: float, message: str) -> None:
        nonlocal told
        if fraction >= told + 0.02 or fraction >= 1:
            told = fraction
            progress(start + (stop - start) * fraction, message)

    return tell


def _log(line: str) -> None:
    """A line for who reads the log, at once: what is printed comes in blocks otherwise."""
    print(line, flush=True)
