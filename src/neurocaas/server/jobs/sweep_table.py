"""The table of a sweep: one row per stack, with its parameters, its declared metrics, its time and its cost."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

SUCCEEDED = "succeeded"
# What a spreadsheet takes for the start of a formula, also after the white space that it skips.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that the analysis reports about a result."""

    name: str
    title: str
    unit: str = ""
    better: str = ""  # "higher", "lower", or "" where neither is


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stack: a dataset at one point of the sweep."""

    dataset: str
    point: Mapping[str, Any]  # parameter to value
    metrics: Mapping[str, float | None]  # metric's name to value
    cost_dollars: Decimal
    seconds: float | None
    status: str
    reused: bool  # answered from earlier results


@dataclass(frozen=True, kw_only=True)
class SweepTable:
    """Everything a sweep has to show."""

    title: str
    parameters: tuple[str, ...]
    units: Mapping[str, str]  # parameter to unit, where it has one
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]


def as_csv(table: SweepTable) -> bytes:
    """The table as RFC 4180 in UTF-8: a header, then a line per row. Floats read back as they were.

    A missing value is an empty cell. Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    titles = [f"{one.name} [{one.unit}]" if one.unit else one.name for one in table.metrics]
    header = ["dataset", *table.parameters, *titles, "seconds", "cost_dollars", "status", "reused"]
    writer.writerow([_harmless(title) for title in header])
    for row in table.rows:
        writer.writerow(
            [
                _harmless(row.dataset),
                *(_cell(row.point[name]) if name in row.point else "" for name in table.parameters),
                *(_number(row.metrics.get(one.name)) for one in table.metrics),
                _number(row.seconds),
                f"{row.cost_dollars:f}",
                _harmless(row.status),
                _cell(row.reused),
            ]
        )
    # A name may hold half a surrogate pair, which UTF-8 has no bytes for.
    return out.getvalue().encode("utf-8", errors="replace")


def best(table: SweepTable) -> dict[str, dict[str, Row]]:
    """Per metric that has a better end, by its name: the best row of each dataset that has one.

    Only stacks that succeeded count, and only finite values; of equal ones the first is taken.
    """
    found: dict[str, dict[str, Row]] = {}
    for metric in table.metrics:
        if not metric.better:
            continue
        of_dataset: dict[str, list[Row]] = {}
        for row in table.rows:
            if row.status == SUCCEEDED:
                of_dataset.setdefault(row.dataset, []).append(row)
        found[metric.name] = {}
        for dataset, rows in of_dataset.items():
            index = best_of([row.metrics.get(metric.name) for row in rows], metric.better)
            if index is not None:
                found[metric.name][dataset] = rows[index]
    return found


def best_of(values: Sequence[float | None], better: str) -> int | None:
    """The index of the best finite value, the first of equal ones; None where there is none or no better end."""
    known = [(value, index) for index, value in enumerate(values) if value is not None and math.isfinite(value)]
    if not known or better not in {"higher", "lower"}:
        return None
    sign = -1 if better == "higher" else 1
    return min(known, key=lambda one: (sign * one[0], one[1]))[1]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    return _harmless(json.dumps(value, ensure_ascii=False, default=str))


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
