"""Text and any other file: its bytes count, and the first line or byte that differs is named."""

from __future__ import annotations

import itertools

from neurocaas.comparison.numbers import text_as_text
from neurocaas.comparison.reading import LONGEST_LINE_BYTES, Source, lines
from neurocaas.comparison.verdict import Comparison, different

LOOKED_AT_BYTES = 8192
BUFFER_BYTES = 1 << 20


def compare_text(expected: Source, found: Source) -> Comparison:
    """Two files whose bytes are known to differ."""
    if _is_text(expected) and _is_text(found):
        return _first_line(expected, found)
    return _first_byte(expected, found)


def _is_text(source: Source) -> bool:
    with source.reading(), source.path.open("rb") as file:
        start = file.readline(LONGEST_LINE_BYTES + 1)
        return b"\0" not in start + file.read(LOOKED_AT_BYTES) and len(start) <= LONGEST_LINE_BYTES


def _first_line(expected: Source, found: Source) -> Comparison:
    with expected.reading(), expected.path.open("rb") as one, found.path.open("rb") as other:
        pairs = itertools.zip_longest(lines(one, expected), lines(other, found))
        for number, (mine, theirs) in enumerate(pairs, start=1):
            if theirs is None:
                return different(f"line {number:,} is missing: {text_as_text(mine)} was expected")
            if mine is None:
                return different(f"line {number:,} is one too many: {text_as_text(theirs)} was found")
            if mine != theirs:
                return different(
                    f"line {number:,} is the first that differs:"
                    f" {text_as_text(mine)} was expected, {text_as_text(theirs)} found"
                )
    raise expected.unreadable("it changed while it was read")


def _first_byte(expected: Source, found: Source) -> Comparison:
    sizes = expected.path.stat().st_size, found.path.stat().st_size
    said = f"; {sizes[0]:,} bytes were expected, {sizes[1]:,} found" if sizes[0] != sizes[1] else ""
    at = 0
    with expected.reading(), expected.path.open("rb") as one, found.path.open("rb") as other:
        while True:
            mine, theirs = one.read(BUFFER_BYTES), other.read(BUFFER_BYTES)
            if mine != theirs or not mine:
                pairs = zip(mine, theirs, strict=False)
                at += next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(mine), len(theirs)))
                return different(f"byte {at:,} is the first that differs{said}")
            at += len(mine)
