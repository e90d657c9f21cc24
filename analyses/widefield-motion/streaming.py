"""A recording passed through block by block on several threads, in memory that does not grow with its length."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from recording import CHANNELS, Recording

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")
Progress = Callable[[float, str], None]

LIBRARIES_MIB = 160  # the interpreter, scipy and matplotlib
FLOATS_PER_VALUE = 6  # a frame as float32, its contrast, the copies of either
LARGEST_BLOCK = 64  # time points; more do not read faster


def times_per_block(recording: Recording, *, memory_mib: int, threads: int) -> int:
    """So many that all threads together stay within half of the granted memory; 1 at least."""
    free = max(memory_mib - LIBRARIES_MIB, 64) * 2**20 / 2
    frame = recording.shape[0] * recording.shape[1] * 4
    # A block being read, one waiting for each thread, and what registering one frame takes.
    at_once = free / (2 * threads) - FLOATS_PER_VALUE * frame
    block = recording.bytes_per_time + CHANNELS * frame
    return int(np.clip(at_once // block, 1, LARGEST_BLOCK))


def through(
    recording: Recording,
    work: Callable[[int, Array], Result],
    *,
    per_block: int,
    threads: int,
    progress: Progress,
    message: str,
) -> Iterator[tuple[int, Result]]:
    """(first time point, work(first time point, block)) of all blocks, in order. Each thread reads its own."""

    def one(start: int) -> Result:
        return work(start, recording.block(start, min(start + per_block, recording.times)))

    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[int, Future[Result]]] = deque()
        for start in range(0, recording.times, per_block):
            waiting.append((start, pool.submit(one, start)))
            if len(waiting) > threads:
                yield _next(waiting, recording.times, per_block, progress, message)
        while waiting:
            yield _next(waiting, recording.times, per_block, progress, message)


def _next(waiting: deque[Any], times: int, per_block: int, progress: Progress, message: str) -> tuple[int, Any]:
    start, future = waiting.popleft()
    result = future.result()
    progress(min(1.0, (start + per_block) / times), message)
    return start, result


class RowOfFrames:
    """A .npy file of float32 frames (frames, height, width), written at any frame by several threads.

    Written, not mapped: mapped pages would count as this process' memory.
    """

    def __init__(self, path: Path, frames: int, shape: tuple[int, int]) -> None:
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (frames, *shape)}
            np.lib.format.write_array_header_1_0(file, header)
            self._offset = file.tell()
            self._frame_bytes = shape[0] * shape[1] * 4
            file.truncate(self._offset + frames * self._frame_bytes)
        self._file = os.open(path, os.O_WRONLY)

    def write(self, first: int, frames: Array) -> None:
        data = memoryview(np.ascontiguousarray(frames, "<f4")).cast("B")
        at = self._offset + first * self._frame_bytes
        while len(data):
            written = os.pwrite(self._file, data, at)
            data, at = data[written:], at + written

    def close(self) -> None:
        os.close(self._file)
