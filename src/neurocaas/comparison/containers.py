"""Containers of HDF5 (.h5, .nwb, MATLAB 7.3): every data set and attribute by its path, in whatever order they lie."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from functools import partial
from typing import Any

import h5py
import numpy as np

from neurocaas.comparison.blocks import compare_arrays, compare_form, places
from neurocaas.comparison.numbers import unlike
from neurocaas.comparison.reading import AT_ONCE_BYTES, Source, Unreadable, allowed_bytes
from neurocaas.comparison.values import Meaning, Parts, compare_objects, compare_values
from neurocaas.comparison.verdict import Comparison, different, equal, missing_parts, together

# What NWB draws anew or takes from the clock whenever a file is written.
NWB_OWN_ATTRIBUTES = frozenset({"object_id"})
NWB_OWN_DATA = frozenset({"/file_create_date"})
# Texts and lists of any length may point at one large value time and again, so that few are read at once.
OBJECTS_AT_ONCE = 4096

Part = tuple[str, Comparison]


def compare_hdf5(expected: Source, found: Source) -> Comparison:
    """Times, order and layout of the container do not count. Links that leave it are compared, not followed."""
    with ExitStack() as stack:
        files = []
        for source in (expected, found):
            with source.reading():
                files.append(stack.enter_context(h5py.File(source.path, "r", locking=False)))
        sides = Sides(expected, found, *files)
        return together(sides.parts())


class Guarded:
    """A data set whose faults name their file."""

    def __init__(self, source: Source, data: Any) -> None:
        self.source, self.data = source, data
        with source.reading():
            self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, place: Any) -> Any:
        with self.source.reading():
            return self.data[place]


class Sides:
    """Two open files, walked side by side."""

    def __init__(self, expected: Source, found: Source, one: Any, other: Any) -> None:
        self.sources = expected, found
        self.files = one, other
        self.allowed = allowed_bytes(expected, found)
        self.meanings: tuple[Meaning, Meaning] = partial(_meaning, expected, one), partial(_meaning, found, other)
        self.nwb = True
        for source, file in zip(self.sources, self.files, strict=True):
            with source.reading():
                self.nwb = self.nwb and "nwb_version" in file.attrs

    def parts(self) -> Parts:
        seen: set[Any] = set()
        waiting = [("", *self.files)]
        while waiting:
            path, one, other = waiting.pop()
            try:
                # A group may hold itself by a hard link, so each pair is walked once.
                pair = self._address(0, one), self._address(1, other)
                if pair not in seen:
                    seen.add(pair)
                    yield from self._attributes(path or "/", one, other)
                    members = self._members(0, one), self._members(1, other)
                    yield from ((path, part) for _, part in missing_parts(*members))
                    groups: list[Any] = []
                    for name in sorted(members[0].keys() & members[1].keys()):
                        groups += yield from self._member(f"{path}/{name}", members[0][name], members[1][name])
                    waiting += reversed(groups)
            except Unreadable as fault:
                yield path, different(str(fault))

    def _address(self, side: int, group: Any) -> Any:
        with self.sources[side].reading():
            return h5py.h5o.get_info(group.id).addr

    def _members(self, side: int, group: Any) -> dict[str, Any]:
        """What a group holds, by name: objects, and links that are not followed."""
        with self.sources[side].reading():
            members: dict[str, Any] = {}
            for name in group:
                link = group.get(name, getlink=True)
                if link is None:
                    raise self.sources[side].unreadable(f"the entry {_name(name)} leads nowhere")
                members[_name(name)] = group[name] if isinstance(link, h5py.HardLink) else link
            return members

    def _member(self, path: str, one: Any, other: Any) -> Generator[Part, None, list[Any]]:
        """Yields comparisons; returns the pair of groups to walk, if it is one."""
        kinds = _kind(one), _kind(other)
        if kinds[0] != kinds[1]:
            yield path, unlike("", *kinds)
        elif kinds[0] == "a group":
            return [(path, one, other)]
        elif kinds[0] == "a data set":
            try:
                yield from self._data(path, one, other)
                yield from self._attributes(path, one, other)
            except Unreadable as fault:
                yield path, different(str(fault))
        elif kinds[0] == "a type":
            yield path, equal(largest=None) if one.dtype == other.dtype else unlike("the type", one.dtype, other.dtype)
        elif _target(one) != _target(other):
            yield path, unlike("a link to", _target(one), _target(other))
        return []

    def _data(self, path: str, one: Any, other: Any) -> Parts:
        if self.nwb and path in NWB_OWN_DATA:
            return
        mine, theirs = Guarded(self.sources[0], one), Guarded(self.sources[1], other)
        if mine.shape is None or theirs.shape is None:  # a type without any value
            yield path, equal() if mine.shape == theirs.shape else unlike("shape", mine.shape, theirs.shape)
            return
        fault = compare_form(mine, theirs)
        if fault is not None:
            yield path, fault
            return
        if one.size and self._empty(0, one) and self._empty(1, other):
            yield from compare_values(path, one.fillvalue, other.fillvalue, self.meanings)
            return
        for source, data in zip(self.sources, (one, other), strict=True):
            self._admit(source, data)
        if mine.dtype.hasobject:
            yield from self._objects(path, mine, theirs)
        else:
            yield path, compare_arrays(mine, theirs, grain=one.chunks)

    def _empty(self, side: int, data: Any) -> bool:
        """Whether nothing was ever written: then every number is the fill value, whatever the shape claims."""
        with self.sources[side].reading():
            return data.id.get_storage_size() == 0 and not data.is_virtual and data.external is None

    def _admit(self, source: Source, data: Any) -> None:
        with source.reading():
            if data.is_virtual or data.external is not None:
                raise source.unreadable("its numbers lie in another file, which is not followed")
            source.admit(data.size * data.dtype.itemsize, data.name, self.allowed)
            if data.chunks is not None:
                chunk = int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize
                source.admit(chunk, f"a chunk of {data.name}", AT_ONCE_BYTES)

    def _objects(self, path: str, one: Guarded, other: Guarded) -> Parts:
        size = max(source.path.stat().st_size for source in self.sources)
        at_once = max(1, min(OBJECTS_AT_ONCE, AT_ONCE_BYTES // max(size, 1)))
        for place in places(one.shape, numbers=at_once):
            starts = [axis.start for axis in place]
            blocks = np.asarray(one[place], dtype=one.dtype), np.asarray(other[place], dtype=other.dtype)
            yield from compare_objects(path, *blocks, starts, self.meanings)

    def _attributes(self, path: str, one: Any, other: Any) -> Parts:
        own = NWB_OWN_ATTRIBUTES if self.nwb else frozenset()
        values: list[dict[str, Any]] = []
        for source, held in zip(self.sources, (one, other), strict=True):
            with source.reading():
                values.append({_name(name): held.attrs[name] for name in held.attrs if name not in own})
        yield from ((f"{path}, attributes", part) for _, part in missing_parts(values[0], values[1]))
        for name in values[0].keys() & values[1].keys():
            yield from compare_values(f"{path}, attribute {name}", values[0][name], values[1][name], self.meanings)


def _kind(value: Any) -> str:
    if isinstance(value, h5py.Group):
        return "a group"
    if isinstance(value, h5py.Dataset):
        return "a data set"
    return "a type" if isinstance(value, h5py.Datatype) else "a link"


def _target(link: Any) -> str:
    file = getattr(link, "filename", "")
    return f"{file}:{link.path}" if file else str(link.path)


def _name(name: str | bytes) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name


def _meaning(source: Source, file: Any, value: Any) -> Any:
    """A reference as the path that it points at; a type without a value as a sentence."""
    if isinstance(value, (h5py.Reference, h5py.RegionReference)):
        with source.reading():
            name = h5py.h5r.get_name(value, file.id) if value else None
        return f"a reference to {(name or b'nothing').decode('utf-8', 'replace')}"
    return f"no value of {value.dtype}" if isinstance(value, h5py.Empty) else value
