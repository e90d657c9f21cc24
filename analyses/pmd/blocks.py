"""Where the blocks of a field of view lie, and with which weights they make up the whole again.

Height and width are cut into halves of blocks. The first grid takes halves 0 and 1, 2 and 3 and so on together; a
second one begins with half 0 alone and takes 1 and 2, 3 and 4, so that its blocks lie over the borders of the first.
Both in height and in width: four grids. In the sum, a block weighs most in its middle, as a pyramid.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import ceil

import numpy as np
from recording import Array


@dataclass(frozen=True, kw_only=True)
class Block:
    """A rectangle of pixels."""

    rows: slice
    columns: slice
    first_half: int  # of the halves in height that it consists of
    last_half: int
    heights: tuple[int, ...]  # of its halves

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def pyramid(self) -> Array:
        """(height, width) weights, largest in the middle."""
        return np.outer(*(np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in self.shape)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """All blocks, in the order in which they can be computed as the halves in height come in."""

    halves: list[slice]  # in height
    blocks: list[Block]

    @property
    def tallest_half(self) -> int:
        return max(half.stop - half.start for half in self.halves)

    def ready(self, half: int) -> list[Block]:
        """The blocks for which `half` is the last that they wait for."""
        return [block for block in self.blocks if block.last_half == half]

    def weights(self, height: int, width: int) -> list[Array]:
        """For each block (its height, its width); over all blocks they add up to 1 at every pixel."""
        total = np.zeros((height, width), np.float32)
        for block in self.blocks:
            total[block.rows, block.columns] += block.pyramid
        return [block.pyramid / total[block.rows, block.columns] for block in self.blocks]


def tile(height: int, width: int, *, block_height: int, block_width: int, overlapping: bool) -> Tiling:
    """Blocks of at most the size asked for, all of nearly the same size but for those at the border."""
    rows, columns = _halves(height, block_height), _halves(width, block_width)
    blocks = [
        Block(
            rows=slice(rows[top].start, rows[bottom].stop),
            columns=slice(columns[left].start, columns[right].stop),
            first_half=top,
            last_half=bottom,
            heights=tuple(half.stop - half.start for half in rows[top : bottom + 1]),
        )
        for top, bottom in _pairs(len(rows), overlapping)
        for left, right in _pairs(len(columns), overlapping)
    ]
    blocks.sort(key=lambda block: (block.last_half, block.first_half, block.columns.start, block.columns.stop))
    return Tiling(halves=rows, blocks=blocks)


def _halves(size: int, block: int) -> list[slice]:
    count = ceil(2 * size / block) if size > block else 2 if size > 1 else 1
    # Halves are rounded up alike: rounded to even, as numpy does, two in a row may be a pixel longer than the block.
    edges = np.floor(np.linspace(0, size, count + 1) + 0.5).astype(int).tolist()
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _pairs(count: int, overlapping: bool) -> list[tuple[int, int]]:
    """(first half, last half) of each block along one side."""
    pairs = [(start, min(start + 1, count - 1)) for start in range(0, count, 2)]
    if overlapping and count > 2:  # a side no longer than one block needs no second grid
        pairs += [(0, 0)] + [(start, min(start + 1, count - 1)) for start in range(1, count, 2)]
    return pairs
