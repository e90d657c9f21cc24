"""JSON documents: the same structure and texts; numbers at like paths share one scale."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from neurocaas.comparison.numbers import DOUBLE, SINGLE, Differences, as_text, single_precision, text_as_text
from neurocaas.comparison.reading import AT_ONCE_BYTES, Source
from neurocaas.comparison.verdict import Comparison, Sameness, different, together

# A document takes some ten times its size in memory.
LARGEST_BYTES = AT_ONCE_BYTES // 2
PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
INDEX = re.compile(r"\[[0-9]+\]")


def compare_json(expected: Source, found: Source) -> Comparison:
    """The first difference in structure or text speaks; else that of the numbers, the first and the largest."""
    account = Numbers()
    odd = [*_walk(_document(expected), _document(found), account)]
    if odd:
        more = f"; {len(odd) - 1:,} more like it" if len(odd) > 1 else ""
        return different(f"{odd[0]}{more}")
    return account.comparison()


class Numbers:
    """The numbers of a document, grouped by their path without the places in lists: each list has its own scale."""

    def __init__(self) -> None:
        self.groups: dict[str, Differences] = {}
        self.inexact: set[str] = set()
        self.double: set[str] = set()
        self.first = ""

    def add(self, path: str, expected: float, found: float) -> None:
        name = INDEX.sub("[*]", path)
        group = self.groups.setdefault(name, Differences())
        before = group.unequal
        group.note_pair(path, expected, found)
        if group.unequal > before and not self.first:
            self.first = path
        for number in {expected, found}:
            if isinstance(number, float):
                self.inexact.add(name)
                if name not in self.double and not single_precision(number):
                    self.double.add(name)

    def comparison(self) -> Comparison:
        for name, group in self.groups.items():
            group.relative = 0.0 if name not in self.inexact else DOUBLE if name in self.double else SINGLE
        whole = together(("", group.comparison()) for group in self.groups.values())
        if whole.verdict is not Sameness.DIFFERENT:
            return whole
        largest = max(
            (group for group in self.groups.values() if group.verdict is Sameness.DIFFERENT), key=lambda g: g.largest
        )
        detail = largest.comparison().detail
        if self.first != largest.place:
            detail += f"; {self.first} is the first that differs"
        return Comparison(verdict=whole.verdict, detail=detail, largest=whole.largest)


def _document(source: Source) -> Any:
    source.admit(source.path.stat().st_size, "it", LARGEST_BYTES)
    with source.reading():
        return json.loads(source.path.read_text(encoding="utf-8-sig"), parse_float=_float)


def _float(text: str) -> float | str:
    """A number; one beyond what a float holds is compared as it is written."""
    number = float(text)
    return text if math.isinf(number) else number


def _walk(expected: Any, found: Any, numbers: Numbers) -> Iterator[str]:
    """What differs in structure and texts, in the document's order; its numbers go into the account."""
    waiting = [("$", expected, found)]
    while waiting:
        path, one, other = waiting.pop()
        if _is_number(one) and _is_number(other):
            numbers.add(path, one, other)
        elif isinstance(one, dict) and isinstance(other, dict):
            yield from _keys(path, one, other)
            waiting += [(_step(path, key), one[key], other[key]) for key in reversed(one) if key in other]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                yield f"{path} should have {len(one):,} entries, but has {len(other):,}"
            pairs = zip(one, other, strict=False)
            waiting += [(f"{path}[{index}]", *pair) for index, pair in enumerate(pairs)][::-1]
        elif type(one) is not type(other) or one != other:
            yield f"{path} differs ({_said(one)} was expected, {_said(other)} found)"


def _keys(path: str, expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    yield from (f"{_step(path, key)} is missing" for key in expected if key not in found)
    yield from (f"{_step(path, key)} was not expected" for key in found if key not in expected)


def _step(path: str, key: str) -> str:
    return f"{path}.{key}" if PLAIN_KEY.fullmatch(key) else f"{path}[{text_as_text(key)}]"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _said(value: Any) -> str:
    if isinstance(value, str):
        return text_as_text(value)
    if isinstance(value, dict):
        return f"an object of {len(value):,}"
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return json.dumps(value) if value is None or isinstance(value, bool) else as_text(value)
