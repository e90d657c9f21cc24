"""One array of any file: choose how it is shown by its shape and type, and read only what that needs."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurocaas.server.viewers.readers.said import Said, Wanted, finite, line
from neurocaas.server.viewers.readers.windows import in_words, taken, windows
from neurocaas.server.viewers.sizes import (
    CELL_CHARACTERS,
    IMAGE_COLUMNS,
    IMAGE_ROWS,
    LARGEST_SIDE,
    MAP_COLUMNS,
    MAP_ROWS,
    MOST_DATASETS,
    MOST_TRACES,
    MOST_VALUES,
    TRACE_POINTS,
)

PAGE_BYTES = 4096
# As many times longer than wide, few columns are lines and not a map.
LONG = 4
DRAWN = "biufc"

Place = tuple[int | slice, ...]
Entry = tuple[str, tuple[int, ...], str]


@dataclass(frozen=True, kw_only=True)
class Held:
    """An array in its file. read: the numbers at a place, an index or a slice per axis.

    readable: how far along each axis it can be read, for what is unpacked only in part. stacked_last: MATLAB's order,
    in which a stack's slices are told apart by the last axis and not by the first. grain: see `windows`.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[Place], Any]
    grain: tuple[int, ...]
    grain_bytes: int
    readable: tuple[int, ...] = ()
    stacked_last: bool = False
    note: str = ""

    @property
    def reach(self) -> tuple[int, ...]:
        return self.readable or self.shape


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The arrays of a file by their paths. open: one of them; it may raise `Unreadable`."""

    entries: Sequence[Entry]
    open: Callable[[str], Held]


@dataclass(kw_only=True)
class Shown:
    """What is said of the array, gathered on the way."""

    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def in_memory(array: Any, path: str, *, stacked_last: bool = False) -> Held:
    """An array that has been read as a whole."""
    whole = np.asanyarray(array)
    return Held(
        path=path,
        shape=whole.shape,
        dtype=whole.dtype,
        read=lambda place: whole[place],
        grain=tuple(max(1, one) for one in whole.shape),
        grain_bytes=0,
        stacked_last=stacked_last,
    )


def in_pages(array: Any, path: str) -> Held:
    """A mapped array, whose numbers lie one after the other in a file, of which a page is read at once."""
    # Otherwise the kernel reads megabytes ahead of each of the pages, which lie far apart.
    array._mmap.madvise(mmap.MADV_RANDOM)
    grain = [1] * array.ndim
    if array.ndim:
        columns_first = array.flags.f_contiguous and not array.flags.c_contiguous
        grain[0 if columns_first else -1] = max(1, PAGE_BYTES // max(1, array.dtype.itemsize))
    return Held(
        path=path,
        shape=array.shape,
        dtype=array.dtype,
        read=lambda place: array[place],
        grain=tuple(grain),
        grain_bytes=PAGE_BYTES,
    )


def show(listing: Listing, wanted: Wanted) -> Said:
    """The preview of the wanted array; of the largest one that holds numbers if none, or an unknown one, is wanted."""
    shown = Shown()
    paths = {entry[0] for entry in listing.entries}
    path = wanted.dataset
    if path not in paths:
        if path:
            shown.notes.append(f"It holds no {line(path, 80)}; another array is shown.")
        path = _largest(listing.entries)
    held = listing.open(path)
    block, numbers = _show(held, wanted, shown)
    if held.note:
        shown.notes.append(held.note)
    first = [_entry(path, held.shape, str(held.dtype))]
    entries = [_entry(*entry) for entry in listing.entries[:MOST_DATASETS]]
    preview = {
        "form": "array",
        "datasets": entries,
        "more_datasets": len(listing.entries) - len(entries),
        "chosen": first[0],
        "picture": block is not None,
        "note": line(" ".join(shown.notes)),
        **shown.fields,
    }
    return Said(preview=preview, block=block, numbers=numbers)


def _entry(path: str, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    return {"path": line(path), "shape": list(shape), "dtype": line(dtype, 120)}


def _largest(entries: Sequence[Entry]) -> str:
    def weight(entry: Entry) -> tuple[bool, int]:
        size = 1
        for length in entry[1]:
            size *= length
        return entry[2].lstrip("<>|=").startswith(("int", "uint", "float", "complex", "bool")), size

    return max(entries, key=weight)[0]


def _show(held: Held, wanted: Wanted, shown: Shown) -> tuple[dict[str, Any] | None, bytes]:
    size = 1
    for length in held.shape:
        size *= length
    if size == 0:
        shown.fields["how"] = "nothing"
        shown.notes.append("It is empty.")
        return None, b""
    if held.dtype.kind not in DRAWN or size == 1:
        _write_values(held, shown, size)
        return None, b""
    long = [axis for axis, length in enumerate(held.shape) if length > 1]
    if _is_coloured(held, long):
        return _pixels(held, wanted, shown, long)
    if len(long) == 1:
        return _traces(held, shown, long[0], None)
    if len(long) == 2:
        short, lengthy = sorted(long, key=lambda axis: held.shape[axis])
        if held.shape[short] <= MOST_TRACES and held.shape[lengthy] >= LONG * held.shape[short]:
            return _traces(held, shown, lengthy, short)
        return _map(held, shown, long, {}, "heat map")
    drawn, others = (long[:2], long[:1:-1]) if held.stacked_last else (long[-2:], long[:-2])
    return _map(held, shown, drawn, _slice_of(held, wanted, shown, others), "image")


def _write_values(held: Held, shown: Shown, size: int) -> None:
    """The first values as text, in the order of the rows."""
    room, place = MOST_VALUES, []
    for length in reversed(held.reach):
        count = min(length, max(1, room))
        place.append(slice(0, count, 1))
        room //= count
    values = np.asarray(held.read(tuple(reversed(place)))) if place else np.asarray(held.read(()))
    texts = [_value(one) for one in values.reshape(-1)[:MOST_VALUES]]
    shown.fields |= {"how": "values", "values": texts}
    if size > len(texts):
        shown.notes.append(f"The first {len(texts):,} of {size:,} values.")


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return line(value.decode("utf-8", "replace"), CELL_CHARACTERS)
    return line(value if isinstance(value, (str, np.generic)) else repr(value), CELL_CHARACTERS)


def _is_coloured(held: Held, long: list[int]) -> bool:
    """Rows, columns and three or four colours of a byte each."""
    last = len(held.shape) - 1
    return held.dtype == np.uint8 and len(long) > 2 and last in long and held.shape[last] in (3, 4)


def _slice_of(held: Held, wanted: Wanted, shown: Shown, axes: list[int]) -> dict[int, int]:
    """Where along the axes that are not drawn: along the first as is wanted, along the others at their beginning."""
    if not axes:
        return {}
    first = axes[0]
    index = min(wanted.index or 0, held.reach[first] - 1)
    shown.fields |= {"slices": held.reach[first], "index": index}
    if held.reach[first] < held.shape[first]:
        shown.notes.append(f"Of a compressed array only the first {held.reach[first]:,} slices are read.")
    if axes[1:]:
        shown.notes.append(f"Index 0 along {_listed(axes[1:])}.")
    return {axis: index if axis == first else 0 for axis in axes}


def _listed(axes: Sequence[int]) -> str:
    return ", ".join(f"axis {axis}" for axis in sorted(axes))


def _place(held: Held, parts: dict[int, slice], fixed: dict[int, int]) -> Place:
    return tuple(parts.get(axis, fixed.get(axis, 0)) for axis in range(len(held.shape)))


def _parts(held: Held, most: dict[int, int], shown: Shown) -> dict[int, slice]:
    parts = windows(held.reach, most, held.grain, held.grain_bytes)
    for axis in sorted(parts):
        words = in_words(parts[axis], held.shape[axis])
        if words:
            shown.notes.append(f"Axis {axis}: {words}.")
    return parts


def _pixels(held: Held, wanted: Wanted, shown: Shown, long: list[int]) -> tuple[dict[str, Any], bytes]:
    rows, columns, colours = long[-3:]
    fixed = _slice_of(held, wanted, shown, long[:-3])
    parts = _parts(held, {rows: LARGEST_SIDE, columns: LARGEST_SIDE, colours: 4}, shown)
    pixels = np.ascontiguousarray(np.asarray(held.read(_place(held, parts, fixed)))[..., :3])
    shown.fields |= {"how": "images", "axes": [f"axis {columns}", f"axis {rows}"]}
    shown.fields |= {"minimum": float(pixels.min()), "maximum": float(pixels.max())}
    return {"how": "pixels", "shape": list(pixels.shape)}, pixels.tobytes()


def _traces(held: Held, shown: Shown, along: int, each: int | None) -> tuple[dict[str, Any], bytes]:
    most = {along: TRACE_POINTS} | ({} if each is None else {each: MOST_TRACES})
    parts = _parts(held, most, shown)
    values = _numbers(held, parts, {}, shown)
    lines = values.reshape(1, -1) if each is None else values if each < along else values.T
    across = {"label": _label(held, along), "start": 0, "step": parts[along].step}
    down = {"label": "" if each is None else f"axis {each}"}
    shown.fields |= {"how": "traces", "axes": [across["label"], down["label"]]}
    return _block("traces", held, lines, across, down)


def _map(held: Held, shown: Shown, drawn: list[int], fixed: dict[int, int], how: str) -> tuple[dict[str, Any], bytes]:
    rows, columns = drawn
    limits = (MAP_ROWS, MAP_COLUMNS) if how == "heat map" else (IMAGE_ROWS, IMAGE_COLUMNS)
    parts = _parts(held, dict(zip(drawn, limits, strict=True)), shown)
    values = _numbers(held, parts, fixed, shown)
    across, down = ({"label": _label(held, axis), "step": parts[axis].step} for axis in (columns, rows))
    shown.fields |= {"how": "images" if how == "image" else how, "axes": [across["label"], down["label"]]}
    return _block(how, held, values, across, down)


def _label(held: Held, axis: int) -> str:
    return f"axis {axis} ({held.shape[axis]:,})"


def _numbers(held: Held, parts: dict[int, slice], fixed: dict[int, int], shown: Shown) -> np.ndarray:
    """What is drawn, as doubles in the order of the array's axes."""
    values = np.asarray(held.read(_place(held, parts, fixed)))
    if values.dtype.kind == "c":
        values = np.abs(values)
        shown.notes.append("Complex numbers: their absolute value is drawn.")
    with np.errstate(all="ignore"):
        values = values.astype("<f8")
    expected = tuple(taken(parts[axis]) for axis in sorted(parts))
    known = np.isfinite(values)
    count = int(values.size - known.sum())
    shown.fields["not_finite"] = count
    if count < values.size:
        shown.fields |= {"minimum": finite(values[known].min()), "maximum": finite(values[known].max())}
    if count:
        shown.notes.append(f"{count:,} of the {values.size:,} numbers shown are NaN or infinite.")
    return values.reshape(expected)


def _block(
    how: str, held: Held, values: np.ndarray, across: dict[str, Any], down: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    shape = " × ".join(f"{length:,}" for length in held.shape) + (" numbers" if len(held.shape) == 1 else "")
    title = " · ".join(one for one in (line(held.path, 120), shape, str(held.dtype)) if one)
    block = {"how": how, "shape": list(values.shape), "title": line(title), "across": across, "down": down}
    return block, np.ascontiguousarray(values).tobytes()
