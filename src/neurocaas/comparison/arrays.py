"""Arrays of NumPy (.npy, .npz): memory-mapped, compared block by block, never unpickled."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from neurocaas.comparison.blocks import compare_arrays
from neurocaas.comparison.reading import Source, Unreadable, allowed_bytes
from neurocaas.comparison.verdict import Comparison, different, missing_parts, together

OBJECTS = "it holds Python objects, which are never unpickled"


def compare_npy(expected: Source, found: Source) -> Comparison:
    return compare_arrays(mapped(expected, expected.path), mapped(found, found.path))


def compare_npz(expected: Source, found: Source) -> Comparison:
    """Member by member; order and compression of the members do not count, nor do the times in the archive."""
    with ExitStack() as stack:
        archives = []
        for source in (expected, found):
            with source.reading():
                archives.append(stack.enter_context(zipfile.ZipFile(source.path)))
        one, other = (_members(source, archive) for source, archive in zip((expected, found), archives, strict=True))
        allowed = allowed_bytes(expected, found)
        for source, members in ((expected, one), (found, other)):
            source.admit(sum(member.file_size for member in members.values()), "the archive", allowed)
        parts = [*missing_parts(one, other)]
        for name in sorted(one.keys() & other.keys()):
            member = _compare_member((expected, archives[0], one[name]), (found, archives[1], other[name]))
            parts += [(name, member)]
        return together(parts)


Member = tuple[Source, zipfile.ZipFile, zipfile.ZipInfo]


def _compare_member(expected: Member, found: Member) -> Comparison:
    try:
        with _unpacked(*expected) as one, _unpacked(*found) as other:
            return compare_arrays(mapped(expected[0], one), mapped(found[0], other))
    except Unreadable as fault:
        return different(str(fault))


def _members(source: Source, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise source.unreadable(f"it holds {name} twice")
        members[name] = member
    return members


@contextmanager
def _unpacked(source: Source, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[Path]:
    # On disk it can be mapped like any .npy file, in whatever order its numbers lie, and needs no memory.
    with NamedTemporaryFile(prefix="neurocaas-", suffix=".npy") as file:
        with source.reading(), archive.open(member) as packed:
            shutil.copyfileobj(packed, file, 1 << 20)
            file.flush()
        yield Path(file.name)


def mapped(source: Source, path: Path) -> Any:
    """An array whose numbers stay in its file until they are used."""
    with source.reading():
        try:
            return np.lib.format.open_memmap(path, mode="r")
        except ValueError as cause:
            if "object" in str(cause).lower():
                raise source.unreadable(OBJECTS) from None
            if "mmap length" in str(cause):
                raise source.unreadable("it is shorter than its header says") from None
            raise
