"""A recording passed through block by block on several cores, in memory that does not grow with its length."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from recording import CHANNELS, Recording

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")
Progress = Callable[[float, str], None]

LIBRARIES_MIB = 160  # the interpreter, scipy and matplotlib
PROCESS_MIB = 24  # of a forked process: what it does not share
FLOATS_PER_VALUE = 14  # a frame as float32, its contrast, the copies of either, two sums in double precision
LARGEST_BLOCK = 32  # time points; more do not read faster


def times_per_block(recording: Recording, *, memory_mib: int, cores: int) -> int:
    """So many that all processes together stay within half of the granted memory; 1 at least."""
    free = max(memory_mib - LIBRARIES_MIB - PROCESS_MIB * cores, 64) * 2**20 / 2
    frame = recording.shape[0] * recording.shape[1] * 4
    # A block in each process, what registering one frame takes, and results on their way.
    at_once = free / cores - FLOATS_PER_VALUE * frame
    block = recording.bytes_per_time + CHANNELS * frame
    return int(np.clip(at_once // block, 1, LARGEST_BLOCK))


def through(
    recording: Recording,
    work: Callable[[int, Array], Result],
    *,
    per_block: int,
    cores: int,
    progress: Progress,
    message: str,
) -> Iterator[tuple[int, Result]]:
    """(first time point, work(first time point, block)) of all blocks, in order.

    Blocks are read and worked on in processes, one for each core: what is done with a frame are many short steps, among
    which threads of one interpreter would mostly wait for each other. They are forked, so `work` may be any function.
    """

    def one(start: int) -> Result:
        return work(start, recording.block(start, min(start + per_block, recording.times)))

    starts = range(0, recording.times, per_block)
    results = map(one, starts) if cores == 1 else _in_processes(one, starts, cores)
    for start, result in zip(starts, results, strict=True):
        progress(min(1.0, (start + per_block) / recording.times), message)
        yield start, result


def _in_processes(one: Callable[[int], Result], starts: range, cores: int) -> Iterator[Result]:
    """one(start) of all, in order, of which never more than a few are on their way."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_remember, initargs=(one,)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for start in starts:
                waiting.append(pool.submit(_remembered, start))
                if len(waiting) > cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise MemoryError from error  # a worker was killed, which little but the lack of memory does
        finally:
            pool.shutdown(cancel_futures=True)


_functions: list[Callable[[int], Any]] = []  # of a worker: the one that its pool was made for


def _remember(one: Callable[[int], Any]) -> None:
    _functions[:] = [one]


def _remembered(start: int) -> Any:
    return _functions[0](start)


class RowOfFrames:
    """A .npy file of float32 frames (frames, height, width), written at any frame by several processes.

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
