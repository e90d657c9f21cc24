"""Values that are in memory: arrays of any kind, of objects too, sparse matrices, texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neurocaas.comparison.blocks import compare_arrays
from neurocaas.comparison.numbers import Differences, text_as_text, unlike
from neurocaas.comparison.verdict import Comparison, different, equal, missing_parts

Parts = Iterator[tuple[str, Comparison]]
# What a reference stands for, and other values that mean nothing outside their file.
Meaning = Callable[[Any], Any]


def compare_values(
    name: str, expected: Any, found: Any, meanings: tuple[Meaning, Meaning] = (lambda value: value, lambda value: value)
) -> Parts:
    """The comparisons of a value and, of one that holds objects, of those in it, each by its name."""
    expected, found = meanings[0](expected), meanings[1](found)
    if hasattr(expected, "tocsc") and hasattr(found, "tocsc"):
        yield name, _compare_sparse(expected, found)
    elif isinstance(expected, (np.ndarray, np.generic)) and isinstance(found, (np.ndarray, np.generic)):
        expected, found = np.asarray(expected), np.asarray(found)
        if expected.dtype.hasobject and found.dtype.hasobject:
            yield from compare_objects(name, expected, found, [], meanings)
        else:
            yield name, compare_arrays(expected, found)
    elif type(expected) is type(found) and expected == found:
        yield name, equal(largest=None)
    else:
        yield name, different(f"{_said(expected)} was expected, {_said(found)} found")


def compare_objects(
    name: str, expected: Any, found: Any, starts: Sequence[int], meanings: tuple[Meaning, Meaning]
) -> Parts:
    """Two arrays of objects, read without unpickling. starts: where in a larger array they begin."""
    if expected.shape != found.shape:
        yield name, unlike("shape", expected.shape, found.shape)
        return
    if expected.dtype.names or found.dtype.names:
        one, other = (dict.fromkeys(array.dtype.names or ()) for array in (expected, found))
        yield from ((f"{name}: {part}" if part else name, fault) for part, fault in missing_parts(one, other))
        for part in [field for field in one if field in other]:
            yield from compare_values(f"{name}.{part}", expected[part], found[part], meanings)
        return
    texts = Differences(noun="texts")
    for index in np.ndindex(expected.shape):
        one, other = meanings[0](expected[index]), meanings[1](found[index])
        offsets = starts or [0] * len(index)
        place = f"[{', '.join(str(at + start) for at, start in zip(index, offsets, strict=True))}]"
        if isinstance(one, (str, bytes)) and isinstance(other, (str, bytes)):
            texts.compared += 1
            if one != other:
                texts.unequal += 1
                texts.note(math.inf, place, one, other)
        else:
            yield from compare_values(
                name if expected.size == 1 and not starts else f"{name}{place}", one, other, meanings
            )
    if texts.compared:
        yield name, texts.comparison()


def _compare_sparse(expected: Any, found: Any) -> Comparison:
    if expected.shape != found.shape:
        return unlike("shape", expected.shape, found.shape)
    if expected.dtype != found.dtype:
        return unlike("the type", expected.dtype, found.dtype)
    one, other = expected.tocsc(), found.tocsc()
    stored = (one != 0).maximum(other != 0).tocoo()
    if not stored.nnz:
        return equal()
    at = stored.coords if hasattr(stored, "coords") else (stored.row, stored.col)
    return compare_arrays(np.asarray(one[at]).reshape(-1), np.asarray(other[at]).reshape(-1), noun="stored numbers")


def _said(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, (np.generic, str, bytes)):
        return text_as_text(value.item() if isinstance(value, np.generic) else value)
    return type(value).__name__ if value is not None else "nothing"
