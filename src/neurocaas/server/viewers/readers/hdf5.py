"""Containers of HDF5 (.h5, .nwb, MATLAB 7.3): data sets by path, of which single chunks are read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurocaas.comparison.reading import Source
from neurocaas.server.viewers.readers.arrays import PAGE_BYTES, Entry, Held, Listing, Place, show
from neurocaas.server.viewers.readers.said import Said, Wanted, source_of
from neurocaas.server.viewers.readers.windows import taken
from neurocaas.server.viewers.sizes import MEMORY_BYTES, READ_BYTES

MOST_OBJECTS = 5000
MATLAB_OWN = "#refs#"  # where MATLAB 7.3 keeps what its cells point at


def show_hdf5(path: Path, kind: str, wanted: Wanted, *, matlab: bool = False) -> Said:
    """matlab: axes as MATLAB counts them, which writes them the other way round."""
    source = source_of(path, kind)
    with source.reading(), h5py.File(path, "r", locking=False) as file:
        entries = _entries(file, matlab=matlab)
        if not entries:
            raise source.unreadable("it holds no data set")

        def open_it(name: str) -> Held:
            with source.reading():
                return _held(source, file, name, matlab=matlab)

        return show(Listing(entries=entries, open=open_it), wanted)


def _entries(file: Any, *, matlab: bool) -> list[Entry]:
    """Each data set once, whatever hard links lead to it; links to elsewhere are not followed."""
    entries: list[Entry] = []
    seen = 0

    def visit(name: Any, item: Any) -> bool | None:
        nonlocal seen
        seen += 1
        path = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
        if isinstance(item, h5py.Dataset) and not (matlab and path.startswith(MATLAB_OWN)):
            shape = item.shape or ()
            entries.append((path, shape[::-1] if matlab else shape, str(item.dtype)))
        return True if seen >= MOST_OBJECTS else None

    file.visititems(visit)
    return entries


def _held(source: Source, file: Any, name: str, *, matlab: bool) -> Held:
    data = file[name.encode("utf-8", "surrogateescape")]
    if data.shape is None:
        return Held(path=name, shape=(0,), dtype=data.dtype, read=np.zeros, grain=(1,), grain_bytes=0)
    if data.is_virtual or data.external is not None:
        raise source.unreadable("its numbers lie in another file, which is not followed")
    size = max(1, data.dtype.itemsize)
    grain = data.chunks or (*(1,) * (data.ndim - 1), max(1, PAGE_BYTES // size))[-data.ndim or None :]
    grain_bytes = math.prod(grain) * size if data.chunks else PAGE_BYTES
    if data.chunks and grain_bytes > MEMORY_BYTES:
        raise source.unreadable(f"a chunk of it has {grain_bytes:,} bytes, more than are read at once")
    shape = data.shape if data.ndim else ()

    def read(place: Place) -> Any:
        with source.reading():
            return _read(data, place[::-1]).T if matlab else _read(data, place)

    return Held(
        path=name,
        shape=shape[::-1] if matlab else shape,
        dtype=data.dtype,
        read=read,
        grain=(grain[::-1] if matlab else grain) if data.ndim else (),
        grain_bytes=grain_bytes,
        stacked_last=matlab,
    )


def _read(data: Any, place: Place) -> np.ndarray:
    """HDF5 takes steps number by number, which is slow, so take whole lines where memory allows."""
    whole: list[int | slice] = []
    steps: list[slice] = []
    size = data.dtype.itemsize * math.prod(taken(part) for part in place if isinstance(part, slice))
    for part in place[::-1]:
        if not isinstance(part, slice):
            whole.append(part)
        elif part.step > 1 and size * part.step <= READ_BYTES:
            size *= part.step
            whole.append(slice(part.start, part.stop))
            steps.append(slice(None, None, part.step))
        else:
            whole.append(part)
            steps.append(slice(None))
    values = np.asarray(data[tuple(whole[::-1])])
    return values[tuple(steps[::-1])] if steps else values
