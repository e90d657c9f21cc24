"""Arrays compared block by block, so that they may be larger than the memory; whatever their numbers are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neurocaas.comparison.numbers import DOUBLE, HALF, SINGLE, Differences, unlike
from neurocaas.comparison.verdict import Comparison, together

BLOCK_NUMBERS = 1 << 20

# Anything with a shape, a dtype and slices: an array, a memory map, a data set of HDF5.
Sliceable = Any
Leaf = tuple[str, ...]


def compare_arrays(
    expected: Sliceable,
    found: Sliceable,
    *,
    grey_levels: int = 0,
    noun: str = "numbers",
    grain: Sequence[int] | None = None,
) -> Comparison:
    """Shapes, then dtypes, then numbers. No dtype here holds Python objects.

    grey_levels: by how much whole numbers may differ. grain: the shape of the chunks that the array is stored in.
    """
    fault = compare_form(expected, found)
    if fault is not None:
        return fault
    gathered = {leaf: differences(dtype, grey_levels, noun) for leaf, dtype in leaves(expected.dtype)}
    add_blocks(gathered, expected, found, grain)
    return together((".".join(leaf), one.comparison()) for leaf, one in gathered.items())


def compare_form(expected: Sliceable, found: Sliceable) -> Comparison | None:
    """What differs in shape or dtype; None when nothing does. The order of bytes does not count."""
    if tuple(expected.shape) != tuple(found.shape):
        return unlike("shape", tuple(expected.shape), tuple(found.shape))
    if expected.dtype.kind == found.dtype.kind and expected.dtype.kind in "SU":
        return None  # texts as long as the longest of them: their room is no part of what they say
    if expected.dtype.newbyteorder("=") != found.dtype.newbyteorder("="):
        return unlike("the type", expected.dtype, found.dtype)
    return None


def differences(dtype: np.dtype[Any], grey_levels: int = 0, noun: str = "numbers") -> Differences:
    """An empty account with the tolerance for this dtype."""
    if dtype.kind in "fc":
        parts = 2 if dtype.kind == "c" else 1
        relative = {2: HALF, 4: SINGLE}.get(dtype.itemsize // parts, DOUBLE)
        return Differences(noun=noun, relative=relative)
    if dtype.kind in "SU":
        return Differences(noun="texts")
    return Differences(noun=noun, absolute=grey_levels if dtype.kind in "iu" else 0)


def leaves(dtype: np.dtype[Any], path: Leaf = ()) -> Iterator[tuple[Leaf, np.dtype[Any]]]:
    """The fields of a structured dtype down to plain ones, by their path; of a plain dtype, itself."""
    if dtype.names is None:
        yield path, dtype.base
        return
    for name in dtype.names:
        yield from leaves(dtype[name].base, (*path, name))


def add_blocks(
    gathered: dict[Leaf, Differences], expected: Sliceable, found: Sliceable, grain: Sequence[int] | None = None
) -> None:
    """Read both arrays, of one shape and dtype, block by block into the accounts."""
    shape = tuple(expected.shape)
    if not expected.dtype.itemsize and not found.dtype.itemsize:
        return  # nothing is stored, whatever the shape claims
    for place in places(shape, grain, columns_first=_columns_first(expected)):
        starts = [axis.start for axis in place]
        one, other = np.asarray(expected[place]), np.asarray(found[place])
        for leaf, account in gathered.items():
            add(account, _part(one, leaf), _part(other, leaf), starts)


def places(
    shape: Sequence[int],
    grain: Sequence[int] | None = None,
    *,
    columns_first: bool = False,
    numbers: int = BLOCK_NUMBERS,
) -> Iterator[tuple[slice, ...]]:
    """Slices that together cover an array of this shape, each of whole chunks and about as many numbers."""
    if 0 in shape:
        return
    size = [min(chunk, length) for chunk, length in zip(grain or [1] * len(shape), shape, strict=True)]
    axes = range(len(shape))
    for axis in axes if columns_first else reversed(axes):
        size[axis] = min(shape[axis], size[axis] * max(1, numbers // math.prod(size)))
    steps = [range(0, length, step) for length, step in zip(shape, size, strict=True)]
    # In the order in which the array is stored, so that the disk is read once and forwards.
    for starts in itertools.product(*(reversed(steps) if columns_first else steps)):
        ordered = starts[::-1] if columns_first else starts
        yield tuple(slice(start, start + step) for start, step in zip(ordered, size, strict=True))


def add(account: Differences, expected: np.ndarray, found: np.ndarray, starts: Sequence[int]) -> None:
    """Take two blocks of one shape and a plain dtype into the account. starts: where in the array they begin."""
    account.compared += expected.size
    if expected.dtype.kind == "V":
        expected, found = _raw(expected), _raw(found)
    equal = expected == found
    if expected.dtype.kind in "fc":
        account.scale = max(account.scale, _scale(expected), _scale(found))
        equal |= np.isnan(expected) & np.isnan(found)
    elif expected.dtype.kind in "mM":
        equal |= np.isnat(expected) & np.isnat(found)
    if np.all(equal):
        return
    unequal = np.flatnonzero(~np.asarray(equal))
    account.unequal += unequal.size
    one, other = expected.reshape(-1)[unequal], found.reshape(-1)[unequal]
    apart = _apart(one, other)
    largest = int(np.argmax(apart))
    index = np.unravel_index(unequal[largest], expected.shape)
    offsets = [*starts, *[0] * (len(index) - len(starts))]
    place = ", ".join(str(int(at) + start) for at, start in zip(index, offsets, strict=True))
    account.note(float(apart[largest]), f"[{place}]", _plain(one[largest]), _plain(other[largest]))


def _columns_first(array: Sliceable) -> bool:
    flags = getattr(array, "flags", None)
    return bool(flags is not None and flags.f_contiguous and not flags.c_contiguous)


def _part(block: np.ndarray, leaf: Leaf) -> np.ndarray:
    for name in leaf:
        block = block[name]
    return block


def _scale(block: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(np.max(np.abs(block), where=np.isfinite(block), initial=0))


def _apart(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """How far apart the numbers of two flat arrays are, none of which are equal; infinite where that has no measure."""
    kind = expected.dtype.kind
    if kind in "iu":
        # In the unsigned type the difference of the larger and the smaller is exact, whatever their signs.
        unsigned = np.dtype(f"=u{expected.dtype.itemsize}")
        native = expected.dtype.newbyteorder("=")
        high, low = np.maximum(expected, found).astype(native), np.minimum(expected, found).astype(native)
        return high.view(unsigned) - low.view(unsigned)
    if kind == "b":
        return np.ones(expected.shape)
    if kind in "fc":
        wide = np.result_type(expected.dtype.newbyteorder("="), np.float64)
        with np.errstate(all="ignore"):
            apart = np.abs(expected.astype(wide) - found.astype(wide))
        return np.where(np.isnan(apart), np.inf, apart)
    return np.full(expected.shape, np.inf)


def _raw(block: np.ndarray) -> np.ndarray:
    """Opaque bytes as text of bytes; a byte that is not zero ends each, since trailing zeros would not count."""
    held = np.ascontiguousarray(block)
    octets = held.view(np.uint8).reshape(*block.shape, block.dtype.itemsize)
    ended = np.concatenate([octets, np.ones_like(octets[..., :1])], axis=-1)
    return np.ascontiguousarray(ended).view(f"S{block.dtype.itemsize + 1}")[..., 0]


def _plain(value: Any) -> Any:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
