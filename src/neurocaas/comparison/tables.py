"""Tables (.csv, .tsv): header, number of rows, then cell by cell; each column has its own scale."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from neurocaas.comparison.numbers import DOUBLE, SINGLE, Differences, single_precision, text_as_text
from neurocaas.comparison.reading import Source, lines
from neurocaas.comparison.verdict import Comparison, different, together

WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
NUMBER = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|inf(inity)?)", re.IGNORECASE)
DELIMITERS = ",;\t"


def compare_tables(expected: Source, found: Source) -> Comparison:
    delimiter = "\t" if expected.kind == ".tsv" else delimiter_of(expected)
    rows = itertools.zip_longest(_rows(expected, delimiter), _rows(found, delimiter))
    columns: list[Column] = []
    counts = [0, 0]
    odd: Comparison | None = None
    for number, (mine, theirs) in enumerate(rows, start=1):
        counts[0] += mine is not None
        counts[1] += theirs is not None
        if mine is None or theirs is None or odd:
            continue
        if number == 1:
            columns = [Column(name=name) for name in _names(mine)]
            if is_header(mine):
                odd = _compare_headers(mine, theirs)
                continue
        if len(mine) != len(theirs):
            odd = different(f"row {number:,} should have {len(mine):,} cells, but {len(theirs):,} were found")
            continue
        while len(columns) < len(mine):
            columns.append(Column(name=f"column {len(columns) + 1}"))
        for column, one, other in zip(columns, mine, theirs, strict=False):
            column.add(number, one, other)
    if counts[0] != counts[1]:
        return different(f"{counts[0]:,} rows were expected, {counts[1]:,} found")
    return odd or together((column.name, one) for column in columns for one in column.comparisons())


@dataclass(kw_only=True, slots=True)
class Column:
    """What differs in one column: its numbers, whole or not, and its texts."""

    name: str
    whole: bool = True
    single: bool = True
    numbers: Differences = field(default_factory=lambda: Differences(noun="cells"))
    texts: Differences = field(default_factory=lambda: Differences(noun="cells"))

    def add(self, row: int, expected: str, found: str) -> None:
        mine = self._number(expected)
        theirs = mine if expected == found else self._number(found)
        if mine is not None and theirs is not None:
            self.numbers.note_pair(f"row {row:,}", mine, theirs)
            return
        self.texts.compared += 1
        if expected != found:
            self.texts.unequal += 1
            self.texts.note(math.inf, f"row {row:,}", expected, found)

    def comparisons(self) -> Iterator[Comparison]:
        self.numbers.relative = 0.0 if self.whole else SINGLE if self.single else DOUBLE
        self.numbers.compared = self.texts.compared = self.numbers.compared + self.texts.compared
        yield self.texts.comparison()
        yield self.numbers.comparison()

    def _number(self, cell: str) -> float | None:
        """The number that a cell holds, a whole one exactly; None if it is text."""
        cell = cell.strip()
        if WHOLE.fullmatch(cell):
            return int(cell)
        if not NUMBER.fullmatch(cell):
            return None
        number = float(cell)
        if math.isinf(number) and cell[-1].isdigit():
            return None  # beyond what a float holds, so that it is compared as it is written
        self.whole = False
        self.single = self.single and single_precision(number)
        return number


def _rows(source: Source, delimiter: str) -> Iterator[list[str]]:
    with source.reading(), source.path.open("rb") as file:
        decoded = (line.decode("utf-8", "surrogateescape") for line in lines(file, source))
        first = (line.removeprefix("\ufeff") if number == 0 else line for number, line in enumerate(decoded))
        yield from csv.reader(first, delimiter=delimiter)


def delimiter_of(source: Source) -> str:
    """What parts the cells: the mark that the first line has most of."""
    with source.reading(), source.path.open("rb") as file:
        counts = Counter(next(lines(file, source), b"").decode("utf-8", "replace"))
    return max(DELIMITERS, key=lambda mark: counts[mark])


def is_header(row: Sequence[str]) -> bool:
    """Whether this row names the columns: it does unless it holds a number."""
    return not any(NUMBER.fullmatch(cell.strip()) for cell in row)


def _names(row: Sequence[str]) -> list[str]:
    named = is_header(row)
    return [
        f"column {text_as_text(cell)}" if named and cell.strip() else f"column {index}"
        for index, cell in enumerate(row, start=1)
    ]


def _compare_headers(expected: Sequence[str], found: Sequence[str]) -> Comparison | None:
    if len(expected) != len(found):
        return different(f"{len(expected):,} columns were expected, {len(found):,} found")
    for index, (one, other) in enumerate(zip(expected, found, strict=True), start=1):
        if one.strip() != other.strip():
            return different(
                f"the header differs: column {index} should be {text_as_text(one)}, but {text_as_text(other)} was found"
            )
    return None
