"""MATLAB's .mat: 7.3 is HDF5; of older ones SciPy lists the variables, and reads the one that is shown."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from neurocaas.comparison.reading import Source
from neurocaas.server.viewers.readers.arrays import Entry, Held, Listing, in_memory, show
from neurocaas.server.viewers.readers.hdf5 import show_hdf5
from neurocaas.server.viewers.readers.said import Said, Wanted, source_of
from neurocaas.server.viewers.sizes import MEMORY_BYTES

DTYPES = {"double": "float64", "single": "float32", "logical": "bool"}
LARGEST_NUMBER_BYTES = 16


def show_mat(path: Path, kind: str, wanted: Wanted) -> Said:
    if h5py.is_hdf5(path):
        return show_hdf5(path, kind, wanted, matlab=True)
    source = source_of(path, kind)
    with source.reading(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = {name: (shape, kind_of) for name, shape, kind_of in scipy.io.whosmat(path, appendmat=False)}
        structs = [name for name, (shape, kind_of) in held.items() if kind_of == "struct" and math.prod(shape) == 1]
        fields: dict[str, Any] = {}
        for name in structs:
            _flatten(name, _load(source, path, name).reshape(-1)[0], fields)
    entries: list[Entry] = [
        (name, tuple(shape), DTYPES.get(kind_of, kind_of))
        for name, (shape, kind_of) in held.items()
        if name not in structs
    ]
    entries += [(name, np.shape(value), str(value.dtype)) for name, value in fields.items()]
    if not entries:
        raise source.unreadable("it holds no variable")

    def open_it(name: str) -> Held:
        if name in fields:
            return _held(source, fields[name], name)
        shape, kind_of = held[name]
        source.admit(math.prod(shape) * _number_bytes(kind_of), name, 2 * MEMORY_BYTES)
        with source.reading():
            return _held(source, _load(source, path, name), name)

    return show(Listing(entries=entries, open=open_it), wanted)


def _number_bytes(kind: str) -> int:
    try:
        return int(np.dtype(DTYPES.get(kind, kind)).itemsize)
    except TypeError:
        return LARGEST_NUMBER_BYTES


def _load(source: Source, path: Path, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = scipy.io.loadmat(path, appendmat=False, variable_names=[name])
    if name not in content:
        raise source.unreadable(f"the variable {name} is not where its list says")
    return content[name]


def _held(source: Source, value: Any, name: str) -> Held:
    if hasattr(value, "toarray"):
        source.admit(math.prod(value.shape) * value.dtype.itemsize, name, MEMORY_BYTES)
        value = value.toarray()
    return in_memory(value, name, stacked_last=True)


def _flatten(path: str, struct: Any, fields: dict[str, Any]) -> None:
    """The fields of a struct of one, and of such structs in it, by their names with dots between."""
    for name in struct.dtype.names or ():
        value = struct[name]
        if isinstance(value, np.ndarray) and value.dtype.names and value.size == 1:
            _flatten(f"{path}.{name}", value.reshape(-1)[0], fields)
        elif hasattr(value, "dtype"):
            fields[f"{path}.{name}"] = value
