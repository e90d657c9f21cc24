"""What is drawn, apart from how: the swept parameters' levels, and each measure in a readable unit."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurocaas.server.jobs.sweep_figure.wording import compact, fixed, of_value, plain, power_of_ten, with_unit
from neurocaas.server.jobs.sweep_table import SUCCEEDED, Row, SweepTable

MOST_MEASURES = 12
MOST_DATASETS = 6
# Beyond these a value says no more than that something went wrong, and axes overflow.
_LARGEST, _SMALLEST = 1e200, 1e-200


@dataclass(frozen=True, kw_only=True)
class Swept:
    """A parameter and its levels, in order."""

    label: str
    levels: tuple[str, ...]
    numbers: tuple[float, ...] | None  # the levels' values, if all are numbers
    of_row: tuple[int, ...]  # each row's level

    @property
    def is_log(self) -> bool:
        """Whether a logarithmic axis shows the levels better: over two decades, or in equal ratios."""
        if self.numbers is None or min(self.numbers) <= 0:
            return False
        ratios = [after / before for before, after in zip(self.numbers, self.numbers[1:], strict=False)]
        is_geometric = len(ratios) >= 3 and min(ratios) >= 1.5 and max(ratios) <= 1.05 * min(ratios)
        return is_geometric or spans_decades(self.numbers)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric, the running time or the cost, in the unit it is shown in."""

    title: str
    unit: str
    better: str
    is_expense: bool  # time or money
    is_log: bool
    values: tuple[float | None, ...]  # per row
    decimals: int

    @property
    def label(self) -> str:
        return with_unit(self.title, self.unit) + (" (log scale)" if self.is_log else "")

    def text(self, value: float) -> str:
        return compact(value) if self.is_log else fixed(value, self.decimals)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A table made ready for drawing. Datasets and points are numbered in the order they appear."""

    rows: tuple[Row, ...]
    datasets: tuple[str, ...]  # labels
    swept: tuple[Swept, ...]  # parameters with more than one value
    fixed: tuple[str, ...]  # "name = value" of the others
    measures: tuple[Measure, ...]
    notes: tuple[str, ...]
    points: tuple[tuple[int, ...], ...]  # the distinct ones, as levels of `swept`
    found: Mapping[tuple[tuple[int, ...], int | None], tuple[int, ...]]  # (point, dataset or None for all) to rows

    def at(self, point: tuple[int, ...], dataset: int | None = None) -> tuple[int, ...]:
        """The rows at a point of levels, of one dataset or of all."""
        return self.found.get((point, dataset), ())

    @property
    def is_averaged(self) -> bool:
        """Whether there are too many datasets to draw each, so that their mean and spread are drawn."""
        return len(self.datasets) > MOST_DATASETS


def prepared(table: SweepTable) -> Sweep:
    keys = list(dict.fromkeys(row.dataset for row in table.rows))
    number = {key: index for index, key in enumerate(keys)}
    parameters = [_swept(table, name) for name in table.parameters]
    measures, notes = _measures(table)
    swept = tuple(one for one in parameters if len(one.levels) > 1)
    point_of_row = [tuple(one.of_row[row] for one in swept) for row in range(len(table.rows))]
    found: dict[tuple[tuple[int, ...], int | None], tuple[int, ...]] = {}
    for index, (row, point) in enumerate(zip(table.rows, point_of_row, strict=True)):
        for dataset in (number[row.dataset], None):
            found[point, dataset] = (*found.get((point, dataset), ()), index)
    return Sweep(
        rows=table.rows,
        datasets=tuple(plain(key, 28) or "unnamed" for key in keys),
        swept=swept,
        fixed=tuple(f"{one.label} = {one.levels[0]}" for one in parameters if len(one.levels) == 1),
        measures=measures,
        notes=notes,
        points=tuple(dict.fromkeys(point_of_row)),
        found=found,
    )


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def spread(values: Iterable[float | None]) -> float | None:
    """The standard deviation of a sample."""
    known = [value for value in values if value is not None]
    return statistics.stdev(known) if len(known) > 1 else None


def spans_decades(values: Sequence[float]) -> bool:
    """Whether all are positive and the largest is more than two decades above the smallest."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 100


def why_missing(rows: Iterable[Row]) -> str:
    """One word for rows that have no value: their status, if that is the reason."""
    for row in rows:
        if row.status != SUCCEEDED:
            return plain(row.status, 12)
    return "–"


def _swept(table: SweepTable, name: str) -> Swept:
    values = [row.point.get(name) for row in table.rows]
    keys = [_key(value) for value in values]
    first = dict(zip(reversed(keys), reversed(values), strict=True))  # keeps the first value of each key
    ordered = list(dict.fromkeys(keys))
    if all(isinstance(key, float) for key in ordered):
        ordered.sort()
        numbers = tuple(key for key in ordered if isinstance(key, float))
    else:
        numbers = None
    index = {key: place for place, key in enumerate(ordered)}
    return Swept(
        label=with_unit(plain(name, 28), plain(table.units.get(name, ""), 12)),
        levels=tuple(of_value(first[key]) for key in ordered),
        numbers=numbers,
        of_row=tuple(index[key] for key in keys),
    )


def _key(value: Any) -> float | str:
    """Numbers by their value, the rest by their text: true is not 1, and "1" is neither."""
    number = None if isinstance(value, bool) else _finite(value)
    return number if number is not None else json.dumps(value, sort_keys=True, default=str)


def _finite(value: Any) -> float | None:
    if not isinstance(value, int | float) or (isinstance(value, int) and value.bit_length() > 600):
        return None
    number = float(value)
    if not math.isfinite(number) or abs(number) > _LARGEST:
        return None
    return number if abs(number) >= _SMALLEST else 0.0


def _measures(table: SweepTable) -> tuple[tuple[Measure, ...], tuple[str, ...]]:
    def values(of: Callable[[Row], Any]) -> list[float | None]:
        # A stack that failed may have left a number behind, which nobody should compare with the others.
        return [_finite(of(row)) if row.status == SUCCEEDED else None for row in table.rows]

    metrics, silent = [], []
    for one in table.metrics:
        found = values(lambda row, name=one.name: row.metrics.get(name))  # type: ignore[misc]
        title = plain(one.title or one.name, 36)
        if any(value is not None for value in found):
            metrics.append(_measure(title, plain(one.unit, 12), one.better, values=found))
        else:
            silent.append(title)
    seconds = values(lambda row: row.seconds)
    # A reused result cost nothing, which says nothing about its parameters.
    cost = values(lambda row: None if row.reused else float(row.cost_dollars))
    expenses = []
    if any(value is not None for value in seconds):
        expenses.append(_running_time(seconds))
    if any(cost):
        expenses.append(_measure("Cost", "$", "", values=cost, is_expense=True))
    notes = []
    if len(metrics) > MOST_MEASURES:
        notes.append(f"Drawn are the first {MOST_MEASURES} of {len(metrics)} metrics; the table has all.")
    if silent and metrics:
        notes.append(f"No stack reported {', '.join(silent[:4])}{' and others' if len(silent) > 4 else ''}.")
    return (*metrics[:MOST_MEASURES], *expenses), tuple(notes)


def _running_time(seconds: list[float | None]) -> Measure:
    longest = max(value for value in seconds if value is not None)
    unit, size = ("s", 1) if longest < 180 else ("min", 60) if longest < 10800 else ("h", 3600)
    values = [None if value is None else value / size for value in seconds]
    return _measure("Running time", unit, "", values=values, is_expense=True)


def _measure(title: str, unit: str, better: str, *, values: list[float | None], is_expense: bool = False) -> Measure:
    """In thousands, millionths and so on, where that saves the reader counting zeros."""
    known = [value for value in values if value is not None]
    is_log = spans_decades(known)
    largest = max(map(abs, known))
    if not is_log and largest > 0 and not 0.1 <= largest < 1e5:
        exponent = 3 * math.floor(math.log10(largest) / 3)
        values = [None if value is None else value / 10.0**exponent for value in values]
        unit = f"{power_of_ten(exponent)} {unit}".strip()
    return Measure(
        title=title,
        unit=unit,
        better=better,
        is_expense=is_expense,
        is_log=is_log,
        values=tuple(values),
        decimals=decimals_of([value for value in values if value is not None]),
    )


def decimals_of(values: Sequence[float]) -> int:
    """Enough to tell the values apart by a hundredth of their range, or three digits of the largest."""
    span = max(values) - min(values)
    largest = max(map(abs, values))
    if largest == 0 or all(value == int(value) for value in values):
        return 0
    digits = 2 - math.floor(math.log10(largest))
    if span > 0:
        digits = max(digits, 1 - math.floor(math.log10(span)))
    return min(max(digits, 0), 4)
