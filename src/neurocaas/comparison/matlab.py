"""MATLAB's .mat: 7.3 is HDF5; older ones are read by SciPy, and the date in their header does not count."""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import Any

import h5py
import scipy.io

from neurocaas.comparison.containers import compare_hdf5
from neurocaas.comparison.reading import AT_ONCE_BYTES, UNPACKED_RATIO, Source
from neurocaas.comparison.values import compare_values
from neurocaas.comparison.verdict import Comparison, different, missing_parts, together

PRIVATE = frozenset({"__header__", "__version__", "__globals__"})
HEADER_BYTES = 128
COMPRESSED = 15  # the tag of an element that is squeezed (MAT-file format, level 5)
BUFFER_BYTES = 1 << 16
# SciPy reads the whole file at once.
LARGEST_BYTES = 4 * AT_ONCE_BYTES


def compare_mat(expected: Source, found: Source) -> Comparison:
    modern = [h5py.is_hdf5(source.path) for source in (expected, found)]
    if all(modern):
        return compare_hdf5(expected, found)
    if any(modern):
        names = ["MATLAB 7.3" if is_modern else "an older MATLAB" for is_modern in modern]
        return different(f"the format of {names[0]} was expected, that of {names[1]} found")
    one, other = _variables(expected), _variables(found)
    parts = [*missing_parts(one, other)]
    for name in sorted(one.keys() & other.keys()):
        parts += compare_values(name, one[name], other[name])
    return together(parts)


def _variables(source: Source) -> dict[str, Any]:
    source.admit(_unpacked_bytes(source), "it", LARGEST_BYTES)
    with source.reading(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # mat_dtype: MATLAB stores doubles that happen to be whole as integers, which is no difference.
        content = scipy.io.loadmat(source.path, appendmat=False, mat_dtype=True)
        return {name: value for name, value in content.items() if name not in PRIVATE}


def _unpacked_bytes(source: Source) -> int:
    """How many bytes the file's elements hold once unpacked, found by unpacking them to nowhere."""
    size = source.path.stat().st_size
    if size * UNPACKED_RATIO <= AT_ONCE_BYTES:
        return size
    unpacked = 0
    with source.reading(), source.path.open("rb") as file:
        order = ">" if file.read(HEADER_BYTES)[126:] == b"MI" else "<"
        while len(tag := file.read(8)) == 8 and unpacked <= LARGEST_BYTES:
            kind, length = struct.unpack(f"{order}II", tag)
            if kind != COMPRESSED:
                unpacked += length
                file.seek(length, 1)
                continue
            inflating = zlib.decompressobj()
            end = min(file.tell() + length, size)
            while file.tell() < end and unpacked <= LARGEST_BYTES:
                piece = file.read(min(BUFFER_BYTES, end - file.tell()))
                unpacked += len(inflating.decompress(piece))
    return unpacked
