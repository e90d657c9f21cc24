"""What is done for one row of pixels or one block, on as many processes as there are cores.

The processes share one buffer with the parent, which holds one row of blocks: two halves of blocks in height, each over
the whole width and all frames. Results do not depend on who computes what: every block has its own seed.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
from blocks import Block
from decomposition import Method, Parts, Thresholds, decompose, roughness_of_noise
from noise import temporal_noise
from recording import Array

SIMULATED_BLOCKS, PARTS_EACH = 20, 3  # of white noise, for the thresholds
CONFIDENCE = 5  # per cent of what noise gives lie below a threshold
Item = TypeVar("Item")
Answer = TypeVar("Answer")

STILL = 1e-6  # a noise below this share of a pixel's size is rounding


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What every process holds: the buffer (2, rows, width, frames) float32 and how to work on it."""

    buffer: Array
    method: Method
    background: Array  # (rank, frames), orthonormal rows
    smallest_noise: float  # of a pixel, as a standard deviation
    seed: int


@dataclass(frozen=True, kw_only=True)
class PixelRow:
    """Of one row of pixels: mean and noise (a standard deviation) (width,), background maps (width, rank)."""

    mean: Array
    noise: Array
    background: Array
    broken_at: int | None  # the first frame with a value that is no number


class Crew:
    """Runs functions of `Shared` and one item over many items. The answers come in the order of the items."""

    def __init__(self, shared: Shared, pool: ProcessPoolExecutor | None) -> None:
        self.shared, self.pool = shared, pool

    def map(self, work: Callable[[Shared, Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
        if self.pool is None:
            return (work(self.shared, item) for item in items)
        return self.pool.map(partial(_work_on, work), items)


_shared: Shared | None = None  # of a worker process


@contextmanager
def crew(shared: Shared, cores: int) -> Iterator[Crew]:
    """With one core, no further process."""
    if cores == 1:
        yield Crew(shared, None)
        return
    # Forked, so that the buffer is the parent's own. Nothing has started a thread by then.
    context = get_context("fork")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_begin, initargs=(shared,)) as pool:
        yield Crew(shared, pool)


def _begin(shared: Shared) -> None:
    global _shared
    _shared = shared


def _work_on(work: Callable[[Shared, Any], Any], item: Any) -> Any:
    assert _shared is not None
    return work(_shared, item)


def buffer_for(rows: int, width: int, frames: int) -> Array:
    """Zeros (2, rows, width, frames) in memory that processes forked later share."""
    memory = mmap.mmap(-1, 2 * rows * width * frames * 4)
    return np.frombuffer(memory, np.float32).reshape(2, rows, width, frames)


def prepare_row(shared: Shared, place: tuple[int, int]) -> PixelRow:
    """Centres the pixels of buffer[place], divides them by their noise and takes the background off, in place."""
    pixels = shared.buffer[place]
    mean = pixels.mean(axis=1, dtype=float)
    if not np.isfinite(mean).all():
        frames = np.isfinite(pixels).all(axis=0)
        return PixelRow(mean=mean, noise=mean, background=mean[:, None], broken_at=int(np.argmin(frames)))
    pixels -= mean.astype(np.float32)[:, None]
    noise = np.sqrt(temporal_noise(pixels))
    size = np.sqrt(np.einsum("pt,pt->p", pixels, pixels, dtype=float) / pixels.shape[1]) + np.abs(mean)
    noise = np.maximum(noise, shared.smallest_noise)
    noise = np.where(noise > STILL * size, noise, np.where(size > 0, size, 1.0))
    pixels /= noise.astype(np.float32)[:, None]
    background = pixels @ shared.background.T
    if background.shape[1]:
        pixels -= background @ shared.background
    return PixelRow(mean=mean.astype(np.float32), noise=noise.astype(np.float32), background=background, broken_at=None)


def decompose_block(shared: Shared, task: tuple[Block, Thresholds]) -> Parts:
    """The parts of a block whose halves are in the buffer: half h in its place h % 2."""
    block, thresholds = task
    height, width = block.shape
    pixels = np.empty((height, width, shared.buffer.shape[3]), np.float32)
    filled = 0
    for half, count in enumerate(block.heights, block.first_half):
        pixels[filled : filled + count] = shared.buffer[half % 2, :count, block.columns]
        filled += count
    seed = [shared.seed, 1, block.rows.start, block.columns.start, height, width]
    return decompose(pixels.reshape(height * width, -1), block.shape, shared.method, thresholds, seed)


def simulate(shared: Shared, task: tuple[tuple[int, int], int]) -> Array:
    """Roughness (parts, 2) in one block of white noise."""
    shape, number = task
    return roughness_of_noise(shape, shared.buffer.shape[3], shared.method, PARTS_EACH, [shared.seed, 0, number])


def thresholds_from_noise(crew: Crew, shape: tuple[int, int], tell: Callable[[float, str], None]) -> Thresholds:
    """The roughness that only `CONFIDENCE` per cent of the parts of white noise stay below, in space and in time."""
    tasks = [(shape, number) for number in range(SIMULATED_BLOCKS)]
    rows = []
    for done, answer in enumerate(crew.map(simulate, tasks), 1):
        rows.append(answer)
        tell(done / len(tasks), "simulating noise")
    spatial, temporal = np.percentile(np.concatenate(rows), CONFIDENCE, axis=0)
    return Thresholds(spatial=float(spatial), temporal=float(temporal))
