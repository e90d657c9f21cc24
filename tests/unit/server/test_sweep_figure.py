from __future__ import annotations

import hashlib
import itertools
import math
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.server.jobs.sweep_figure import draw
from neurocaas.server.jobs.sweep_figure.drawing import is_grid, totals
from neurocaas.server.jobs.sweep_figure.measures import prepared
from neurocaas.server.jobs.sweep_figure.wording import compact, plain, shortened
from neurocaas.server.jobs.sweep_table import Metric, Row, SweepTable

EXPLAINED = Metric(name="explained", title="Variance explained", unit="%", better="higher")
ERROR = Metric(name="error", title="Reconstruction error", better="lower")
TWO = ("mouse-17_session-2026-03-04", "mouse-21_session-2026-03-09")
TEN = tuple(f"mouse-{number}" for number in range(10))
Point = Mapping[str, Any]


def grid(**levels: Sequence[Any]) -> list[Point]:
    return [dict(zip(levels, values, strict=True)) for values in itertools.product(*levels.values())]


def sweep(
    points: Sequence[Point],
    datasets: Sequence[str] = TWO,
    metrics: tuple[Metric, ...] = (EXPLAINED,),
    *,
    failed: Sequence[int] = (),
    reused: Sequence[int] = (),
) -> SweepTable:
    rows = []
    for index, (point, dataset) in enumerate(itertools.product(points, datasets)):
        explained = 90 * (1 - math.exp(-(index + 3) / 9)) + len(dataset) % 7
        values = {one.name: explained / (number + 1) for number, one in enumerate(metrics)}
        rows.append(
            Row(
                dataset=dataset,
                point=point,
                metrics={} if index in failed else values,
                cost_dollars=Decimal(0) if index in reused else Decimal("0.0021") * (index + 1),
                seconds=20.0 + index,
                status="failed" if index in failed else "succeeded",
                reused=index in reused,
            )
        )
    parameters = tuple(dict.fromkeys(name for point in points for name in point))
    return SweepTable(title="pca", parameters=parameters, units={"bin": "px"}, metrics=metrics, rows=tuple(rows))


def size(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


FOUR_BY_THREE = grid(components=[2, 4, 8, 16], bin=[1, 2, 4])
CASES = {
    "one parameter": sweep(grid(components=[2, 4, 8, 16]), metrics=(EXPLAINED, ERROR)),
    "one parameter, many datasets": sweep(grid(components=[2, 4, 8]), TEN),
    "over decades": sweep(grid(rate=[1e-5, 1e-3, 1.0])),
    "a grid": sweep(FOUR_BY_THREE),
    "a grid, many datasets": sweep(FOUR_BY_THREE, TEN, failed=range(10), reused=range(20, 30)),
    "a grid with failures": sweep(FOUR_BY_THREE, failed=[0, 5], reused=[1, 2]),
    "three parameters": sweep(grid(components=[2, 4], bin=[1, 2], detrend=[True, False])),
    "three parameters, many datasets": sweep(grid(components=[2, 4], bin=[1, 2], detrend=[True, False]), TEN),
    "a list of points": sweep([{"rate": 1.7**n / 100, "bin": n * 7 % 11} for n in range(30)], failed=[3]),
    "names": sweep(grid(solver=["randomized", "full", "a solver with a very long name indeed"])),
    "names, many datasets": sweep(grid(solver=["randomized", "full"]), TEN),
    "true and false": sweep(grid(solver=["randomized", "full"], detrend=[True, False, None])),
    "no metrics": sweep(FOUR_BY_THREE, metrics=()),
    "one point": sweep(grid(components=[8], bin=[2])),
    "all failed": sweep(FOUR_BY_THREE, failed=range(24)),
    "nothing at all": sweep([]),
}


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_sweep_gets_a_figure_of_sensible_size(case: str) -> None:
    width, height = size(draw(CASES[case]))
    assert 800 <= width <= 2600
    assert 300 <= height <= 2600


@pytest.mark.thorough
def test_the_same_table_gives_the_same_bytes_from_any_thread() -> None:
    chosen = [CASES["one parameter"], CASES["a grid with failures"], CASES["three parameters"]] * 2
    with ThreadPoolExecutor(4) as threads:
        drawn = [hashlib.sha256(png).digest() for png in threads.map(draw, chosen)]
    assert drawn[:3] == drawn[3:] == [hashlib.sha256(draw(one)).digest() for one in chosen[:3]]


def test_different_results_give_different_figures() -> None:
    assert draw(CASES["a grid"]) != draw(CASES["a grid with failures"])


def test_matplotlib_is_imported_only_to_draw_and_pyplot_never() -> None:
    program = (
        "import sys; from neurocaas.server.jobs.sweep_figure import draw;"
        "from neurocaas.server.jobs.sweep_table import SweepTable;"
        "assert 'matplotlib' not in sys.modules and 'django' not in sys.modules;"
        "draw(SweepTable(title='', parameters=(), units={}, metrics=(), rows=()));"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_last_line_counts_stacks_dollars_failures_and_reuse() -> None:
    line = totals(CASES["a grid with failures"])
    assert line == "24 stacks  ·  $0.6195 in total  ·  2 failed  ·  2 answered from earlier results"
    assert totals(CASES["one point"]) == "2 stacks  ·  $0.0063 in total  ·  none failed"


def test_a_failed_stacks_number_is_not_drawn_and_a_reused_ones_cost_neither() -> None:
    explained, seconds, cost = prepared(CASES["a grid with failures"]).measures
    assert [explained.values[0], seconds.values[0], cost.values[0]] == [None, None, None]
    assert (explained.values[1] is None, cost.values[1]) == (False, None)


def test_free_stacks_get_no_panel_of_costs() -> None:
    assert [one.title for one in prepared(sweep(FOUR_BY_THREE, reused=range(24))).measures][1:] == ["Running time"]


def test_levels_are_ordered_by_value_and_kept_apart_by_type() -> None:
    numbers = prepared(sweep(grid(k=[16, 2, 4.0, 4]))).swept[0]
    assert (numbers.levels, numbers.numbers) == (("2", "4", "16"), (2.0, 4.0, 16.0))
    assert prepared(sweep(grid(k=[1, True, "1", None]))).swept[0].levels == ("1", "true", "1", "null")


def test_a_wide_or_even_ratio_makes_a_logarithmic_axis() -> None:
    def is_log(*values: float) -> bool:
        return prepared(sweep(grid(k=list(values)))).swept[0].is_log

    assert is_log(0.001, 0.2)
    assert is_log(2, 4, 8, 16)
    assert not is_log(1, 2, 3, 4)
    assert not is_log(0, 1, 1000)


def test_a_list_of_points_is_no_grid() -> None:
    assert is_grid(prepared(CASES["a grid"]))
    assert not is_grid(prepared(CASES["a list of points"]))


def test_more_metrics_than_can_be_drawn_are_said() -> None:
    many = tuple(Metric(name=f"m{number}", title=f"Metric {number}") for number in range(15))
    made = prepared(sweep(grid(k=[1, 2]), metrics=many))
    assert len([one for one in made.measures if not one.is_expense]) == 12
    assert made.notes == ("Drawn are the first 12 of 15 metrics; the table has all.",)


def test_small_and_large_numbers_are_written_for_reading() -> None:
    assert [compact(one) for one in (0, 0.5, -1234, 1e-7, 2.5e9)] == ["0", "0.5", "−1234", "10⁻⁷", "2.5×10⁹"]
    assert [one.unit for one in prepared(sweep([{"k": 1}])).measures] == ["%", "s", "10⁻³ $"]


@given(st.text(), st.integers(8, 40))
def test_words_are_short_and_on_one_line(text: str, limit: int) -> None:
    short = plain(text, limit)
    assert len(short) <= limit
    assert short.isprintable()


def test_a_whole_number_too_large_for_a_float_is_a_level_like_any_other() -> None:
    assert prepared(sweep(grid(k=[1, 10**302, -(10**2000)]))).swept[0].levels == ("1", "very large", "very small")
    size(draw(sweep(grid(k=[1, 10**302, 10**309]))))


def test_a_long_name_keeps_both_its_ends() -> None:
    assert shortened("mouse-17_session-2026-03-04", 13) == "mouse-…-03-04"


_odd_floats = st.none() | st.floats() | st.sampled_from([1e-320, -1e308, 1e308, 1e-9, 0.0])
_odd_text = st.text(max_size=40) | st.sampled_from(
    ["$x^2$", "$", r"\$\frac{", "脳の画像🧠", "_a", "a\nb", "\ud800", "٣אב"]
)
_odd_values = (
    st.integers(-5, 5) | st.floats() | _odd_text | st.booleans() | st.none() | st.lists(st.integers(), max_size=2)
) | st.sampled_from([10**400, -(10**2000)])


@st.composite
def _odd_tables(draw_from: st.DrawFn) -> SweepTable:
    parameters = draw_from(st.lists(_odd_text, max_size=3, unique=True))
    metrics = draw_from(st.lists(st.builds(Metric, name=_odd_text, title=_odd_text, unit=_odd_text), max_size=2))
    levels = [draw_from(st.lists(_odd_values, min_size=1, max_size=3)) for _ in parameters]
    points = [dict(zip(parameters, values, strict=True)) for values in itertools.product(*levels)]
    datasets = draw_from(st.lists(_odd_text, max_size=2) | st.just(list(TEN[:7])))
    states = st.sampled_from(["succeeded"] * 4 + ["failed", "cancelled", "$odd"])
    rows = [
        Row(
            dataset=dataset,
            point=point if draw_from(st.integers(0, 9)) else {},
            metrics={one.name: draw_from(_odd_floats) for one in metrics},
            cost_dollars=draw_from(st.decimals(0, 10**6, places=9)),
            seconds=draw_from(_odd_floats),
            status=draw_from(states),
            reused=draw_from(st.booleans()),
        )
        for point in points[:6]
        for dataset in datasets
    ]
    better = draw_from(st.sampled_from(["higher", "lower", "", "odd"]))
    named = tuple(Metric(name=one.name, title=one.title, unit=one.unit, better=better) for one in metrics)
    units = dict.fromkeys(parameters, draw_from(_odd_text))
    title = draw_from(_odd_text)
    return SweepTable(title=title, parameters=tuple(parameters), units=units, metrics=named, rows=tuple(rows))


@pytest.mark.thorough
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_odd_tables())
def test_no_table_is_too_odd_to_draw(table: SweepTable) -> None:
    width, height = size(draw(table))
    assert width * height < 12_000_000
