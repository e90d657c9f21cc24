from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.server.jobs.sweep_table import Metric, Row, SweepTable, as_csv, best

EXPLAINED = Metric(name="explained", title="Variance explained", unit="%", better="higher")
ERROR = Metric(name="error", title="Error", better="lower")


def row(
    dataset: str = "mouse-1",
    point: Mapping[str, Any] | None = None,
    *,
    status: str = "succeeded",
    seconds: float | None = 1.5,
    cost: str = "0.25",
    reused: bool = False,
    **metrics: float | None,
) -> Row:
    return Row(
        dataset=dataset,
        point=point or {},
        metrics=metrics,
        cost_dollars=Decimal(cost),
        seconds=seconds,
        status=status,
        reused=reused,
    )


def table(*rows: Row, parameters: tuple[str, ...] = (), metrics: tuple[Metric, ...] = ()) -> SweepTable:
    return SweepTable(title="pca", parameters=parameters, units={}, metrics=metrics, rows=rows)


def read(document: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(document.decode("utf-8"), newline=""), strict=True))


def test_the_table_is_a_header_and_a_line_per_stack() -> None:
    made = table(
        row("a.npy", {"components": 4, "detrend": True}, explained=81.5),
        row("b.npy", {"components": 4, "detrend": False}, status="failed", seconds=None, cost="0.000000001"),
        row("b.npy", {"components": 8}, explained=None, cost="0", reused=True),
        parameters=("components", "detrend"),
        metrics=(EXPLAINED, ERROR),
    )
    assert as_csv(made).decode().split("\r\n") == [
        "dataset,components,detrend,explained [%],error,seconds,cost_dollars,status,reused",
        "a.npy,4,true,81.5,,1.5,0.25,succeeded,false",
        "b.npy,4,false,,,,0.000000001,failed,false",
        "b.npy,8,,,,1.5,0,succeeded,true",
        "",
    ]


@given(
    values=st.lists(st.tuples(st.floats(), st.none() | st.floats(), st.none() | st.floats(min_value=0)), max_size=5),
    names=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=5, max_size=5),
)
def test_numbers_and_text_read_back_as_they_were(
    values: list[tuple[float, float | None, float | None]], names: list[str]
) -> None:
    rows = [
        row(name, {"rate": rate, "method": name}, error=error, seconds=seconds)
        for name, (rate, error, seconds) in zip(names, values, strict=False)
    ]
    _, *lines = read(as_csv(table(*rows, parameters=("rate", "method"), metrics=(ERROR,))))
    assert len(lines) == len(values)
    for name, (rate, error, seconds), line in zip(names, values, lines, strict=False):
        assert [text.removeprefix("'") for text in (line[0], line[2])] == [name.removeprefix("'")] * 2
        for number, text in zip((rate, error, seconds), (line[1], line[3], line[4]), strict=True):
            if number is None:
                assert text == ""
            else:
                assert float(text) == number or (math.isnan(number) and text == "nan")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_is_never_a_formula(start: str) -> None:
    formula = f"{start}cmd|' /C calc'!A0"
    made = table(row(formula, {formula: formula}, status=formula), parameters=(formula,))
    header, line = read(as_csv(made))
    assert [header[1], line[0], line[1], line[4]] == [f"'{formula}"] * 4


def test_negative_numbers_stay_numbers() -> None:
    _, line = read(as_csv(table(row(point={"shift": -3}, error=-0.5), parameters=("shift",), metrics=(ERROR,))))
    assert line[1:3] == ["-3", "-0.5"]


def test_values_of_any_json_type_fit_a_cell() -> None:
    point = {"list": [1, "=x"], "none": None, "object": {"a": 1}}
    _, line = read(as_csv(table(row("half \ud800 pair", point), parameters=("list", "none", "object"))))
    assert line[:4] == ["half ? pair", '[1, "=x"]', "null", '{"a": 1}']


def test_the_best_is_found_per_dataset_at_each_metrics_better_end() -> None:
    low = row("a", {"k": 1}, explained=10.0, error=1.0)
    high = row("a", {"k": 2}, explained=90.0, error=5.0)
    alone = row("b", {"k": 1}, explained=-5.0)
    made = table(low, high, alone, metrics=(EXPLAINED, ERROR, Metric(name="cells", title="Cells")))
    assert best(made) == {"explained": {"a": high, "b": alone}, "error": {"a": low}}


def test_what_failed_or_is_no_number_is_never_the_best() -> None:
    good = row("a", explained=1.0)
    worse = [row("a", explained=value) for value in (math.nan, math.inf, None)]
    made = table(row("a", status="failed", explained=99.0), *worse, good, row("a", explained=1.0), metrics=(EXPLAINED,))
    assert best(made)["explained"]["a"] is good
