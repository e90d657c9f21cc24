"""Arrays of NumPy (.npy, .npz): never unpickled; mapped where they lie, and of a compressed one only the beginning."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neurocaas.comparison.arrays import OBJECTS, mapped
from neurocaas.comparison.reading import Source
from neurocaas.server.viewers.readers.arrays import Entry, Held, Listing, in_memory, in_pages, show
from neurocaas.server.viewers.readers.said import Said, Wanted, source_of
from neurocaas.server.viewers.sizes import MEMORY_BYTES

LOCAL_HEADER = struct.Struct("<26xHH")  # of a member: the lengths of its name and of what is added to it
LARGEST_AXIS = 2**63

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def show_npy(path: Path, kind: str, wanted: Wanted) -> Said:
    source = source_of(path, kind)
    with source.reading(), path.open("rb") as file:
        shape, _, dtype = _header(source, file)
    entry: Entry = ("", shape, str(dtype))

    def open_it(name: str) -> Held:
        if _stores_nothing(shape, dtype):
            return _nothing(name, shape, dtype)
        return in_pages(mapped(source, path), name)

    return show(Listing(entries=[entry], open=open_it), wanted)


def show_npz(path: Path, kind: str, wanted: Wanted) -> Said:
    source = source_of(path, kind)
    with source.reading(), zipfile.ZipFile(path) as archive:
        members = {one.filename.removesuffix(".npy"): one for one in archive.infolist() if not one.is_dir()}
        headers: dict[str, Header] = {}
        for name, member in members.items():
            with archive.open(member) as file:
                headers[name] = _header(source, file, objects=True)
        if not headers:
            raise source.unreadable("it holds no array")
        entries: list[Entry] = [(name, shape, str(dtype)) for name, (shape, _, dtype) in headers.items()]

        def open_it(name: str) -> Held:
            with source.reading():
                return _member(source, archive, members[name], headers[name], name)

        return show(Listing(entries=entries, open=open_it), wanted)


def _header(source: Source, file: Any, *, objects: bool = False) -> Header:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, columns_first, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.hasobject and not objects:
        raise source.unreadable(OBJECTS)
    if any(not 0 <= length < LARGEST_AXIS for length in shape):
        raise source.unreadable("its header claims a shape that no array has")
    return shape, columns_first, dtype


def _stores_nothing(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return 0 in shape or not dtype.itemsize


def _nothing(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Held:
    """An array without numbers: empty, or of texts without letters, however many are claimed."""
    empty = np.zeros((), dtype)

    def read(place: Any) -> Any:
        return np.broadcast_to(empty, [len(range(part.start, part.stop)) for part in place])

    return Held(path=name, shape=shape, dtype=dtype, read=read, grain=(1,) * len(shape), grain_bytes=0)


def _member(source: Source, archive: zipfile.ZipFile, member: zipfile.ZipInfo, header: Header, name: str) -> Held:
    shape, _, dtype = header
    if dtype.hasobject:
        raise source.unreadable(f"{name}: {OBJECTS}")
    if _stores_nothing(shape, dtype):
        return _nothing(name, shape, dtype)
    size = dtype.itemsize
    for length in shape:
        size *= length
    with archive.open(member) as file:
        _header(source, file)
        start = file.tell()
        if member.compress_type == zipfile.ZIP_STORED:
            return _stored(source, member, header, name, start)
        return _unpacked(source, file, header, name, size)


def _stored(source: Source, member: zipfile.ZipInfo, header: Header, name: str, start: int) -> Held:
    """A member that is not compressed is mapped where it lies in the archive."""
    shape, columns_first, dtype = header
    with source.path.open("rb") as file:
        file.seek(member.header_offset)
        lengths = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    offset = member.header_offset + LOCAL_HEADER.size + sum(lengths) + start
    try:
        array = np.memmap(source.path, dtype, "r", offset, shape, "F" if columns_first else "C")
    except (ValueError, OverflowError):
        raise source.unreadable(f"{name} is shorter than its header says") from None
    return in_pages(array, name)


def _unpacked(source: Source, file: Any, header: Header, name: str, size: int) -> Held:
    """The beginning of a compressed member, as much as fits into memory, in whole slices."""
    shape, columns_first, dtype = header
    ordered = shape[::-1] if columns_first else shape
    slice_bytes = size // ordered[0] if ordered else size
    if slice_bytes > MEMORY_BYTES:
        raise source.unreadable(f"{name} is compressed, and a slice of it needs {slice_bytes:,} bytes of memory")
    count = min(ordered[0], MEMORY_BYTES // slice_bytes) if ordered else 1
    raw = _exactly(file, count * slice_bytes)
    if len(raw) < count * slice_bytes:
        raise source.unreadable(f"{name} is shorter than its header says")
    array = np.frombuffer(raw, dtype).reshape((count, *ordered[1:]) if ordered else ())
    array = array.T if columns_first else array
    held = in_memory(array, name)
    return Held(
        path=name,
        shape=shape,
        dtype=dtype,
        read=held.read,
        grain=held.grain,
        grain_bytes=0,
        readable=array.shape,
        note="" if array.shape == shape else f"It is compressed: only its first {len(raw):,} bytes are unpacked.",
    )


def _exactly(file: BinaryIO, size: int) -> bytes:
    pieces, left = [], size
    while left and (piece := file.read(min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
