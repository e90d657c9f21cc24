"""How few numbers of a large array to read: steps along its axes, and a window where even these touch too much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from neurocaas.server.viewers.sizes import READ_BYTES


def windows(shape: Sequence[int], most: Mapping[int, int], grain: Sequence[int], grain_bytes: int) -> dict[int, slice]:
    """A slice for each axis of `most`, of at most that many numbers. Of the other axes one number is read.

    grain: the shape of what the file gives at once: a chunk, or a page of the disk; `grain_bytes` is its size. The
    slices reach over all of each axis unless more than READ_BYTES would then be read; if so, over its beginning.
    """
    extents = {axis: shape[axis] for axis in most}
    while True:
        steps = {axis: max(1, -(-extents[axis] // most[axis])) for axis in most}
        touched = {axis: _touched(extents[axis], steps[axis], grain[axis]) for axis in most}
        widest = max(touched, key=touched.__getitem__)
        if touched[widest] == 1 or math.prod(touched.values()) * grain_bytes <= READ_BYTES:
            return {axis: slice(0, extents[axis], steps[axis]) for axis in most}
        extents[widest] = max(1, extents[widest] // 2)


def _touched(extent: int, step: int, grain: int) -> int:
    return -(-extent // max(step, grain))


def taken(part: slice) -> int:
    """How many numbers a slice takes."""
    return len(range(part.start, part.stop, part.step))


def in_words(part: slice, length: int) -> str:
    """ "the first 2,000 of 90,000", "2,000 of 90,000, every 45th"; empty if all are taken."""
    if part.step == 1 and part.stop >= length:
        return ""
    if part.step == 1:
        return f"the first {part.stop:,} of {length:,}"
    among = f"{length:,}" if part.stop >= length else f"the first {part.stop:,} of {length:,}"
    return f"{taken(part):,} of {among}, every {ordinal(part.step)}"


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"
