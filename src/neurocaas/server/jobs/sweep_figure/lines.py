"""One swept parameter: a panel per measure, a line per dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from neurocaas.server.jobs.sweep_figure.measures import Measure, Sweep, Swept, mean, spread
from neurocaas.server.jobs.sweep_figure.page import (
    COLOURS,
    FAINT,
    GREY,
    INK,
    MARKS,
    Heading,
    Page,
    is_turned,
    level_axis,
    limits,
    value_axis,
)
from neurocaas.server.jobs.sweep_table import best_of

_WIDE, _HIGH = 2.75, 1.95
_LEFT, _GAP_BELOW, _GAP_ABOVE = 0.62, 0.62, 0.34
_MOST_LINES = 60


def draw_lines(sweep: Sweep, heading: Heading) -> bytes:
    (swept,) = sweep.swept
    count = len(sweep.measures)
    columns = min(count, 3 if count != 4 else 2)
    rows = -(-count // columns)
    below = _GAP_BELOW + (0.5 if is_turned(swept, _WIDE) else 0)
    width = max(columns * (_LEFT + _WIDE) + (columns - 1) * 0.2, 5.2)
    page = Page(heading, width, rows * (_GAP_ABOVE + _HIGH + below) - 0.1, legend=_legend(sweep))
    for index, measure in enumerate(sweep.measures):
        row, column = divmod(index, columns)
        left, top = column * (_LEFT + _WIDE + 0.2) + _LEFT, row * (_GAP_ABOVE + _HIGH + below) + _GAP_ABOVE
        axes = page.axes(left, top, _WIDE, _HIGH)
        page.write(left - 0.02, top - 0.18, measure.label, weight="bold")
        places = level_axis(axes, swept, _WIDE)
        scale = " (log scale)" if swept.is_log else ""
        axes.set_xlabel(swept.label + scale, fontsize=8.5, color=INK, parse_math=False)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        (_averaged if sweep.is_averaged else _each)(axes, sweep, measure, places)
    return page.png()


def series(sweep: Sweep, swept: Swept, measure: Measure, dataset: int) -> list[float | None]:
    """A dataset's value at each level."""
    at = [sweep.at((level,), dataset) for level in range(len(swept.levels))]
    return [mean(measure.values[row] for row in rows) for rows in at]


def _each(axes: Axes, sweep: Sweep, measure: Measure, places: Sequence[float]) -> None:
    (swept,) = sweep.swept
    count = len(sweep.datasets)
    value_axis(axes, measure, *limits([v for v in measure.values if v is not None], is_log=measure.is_log))
    for dataset in range(count):
        values = series(sweep, swept, measure, dataset)
        # Names have no order for a line to follow, so their points stand side by side.
        aside = 0.0 if swept.numbers is not None else (dataset - (count - 1) / 2) * 0.12
        at = [place + aside for place in places]
        style: dict[str, Any] = {"color": COLOURS[dataset], "marker": MARKS[dataset], "clip_on": False, "zorder": 3}
        style |= {"markeredgecolor": "white", "markeredgewidth": 0.6, "markersize": 6}
        axes.plot(at, _with_gaps(values), linestyle="-" if swept.numbers is not None else "", linewidth=1.6, **style)
        _mark_failures(axes, sweep, dataset, at)
        index = best_of(values, measure.better)
        if index is not None:
            ring(axes, at[index], values[index], COLOURS[dataset])


def _averaged(axes: Axes, sweep: Sweep, measure: Measure, places: Sequence[float]) -> None:
    (swept,) = sweep.swept
    drawn = [series(sweep, swept, measure, dataset) for dataset in range(len(sweep.datasets))]
    middle = [mean(one[level] for one in drawn) for level in range(len(places))]
    around = [spread(one[level] for one in drawn) for level in range(len(places))]
    low = [m - (s or 0) for m, s in zip(middle, around, strict=True) if m is not None]
    high = [m + (s or 0) for m, s in zip(middle, around, strict=True) if m is not None]
    every = [value for value in measure.values if value is not None]
    inside = every if measure.is_log else [*every, *low, *high]
    value_axis(axes, measure, *limits(inside, is_log=measure.is_log))
    ordered = swept.numbers is not None
    for one in drawn[:_MOST_LINES]:
        style: dict[str, Any] = {"linestyle": "-", "linewidth": 0.7} if ordered else {"linestyle": "", "marker": "."}
        axes.plot(places, _with_gaps(one), color="#b0b0b0", zorder=2, **style)
    known = [(place, m, s or 0) for place, m, s in zip(places, middle, around, strict=True) if m is not None]
    at, centre, half = ([one[n] for one in known] for n in range(3))
    if ordered:
        lower = [m - s for m, s in zip(centre, half, strict=True)]
        upper = [m + s for m, s in zip(centre, half, strict=True)]
        axes.fill_between(at, lower, upper, color=COLOURS[0], alpha=0.18, linewidth=0, zorder=2.5)
    else:
        axes.errorbar(at, centre, half, color=COLOURS[0], linestyle="", linewidth=1.4, capsize=3, zorder=3)
    axes.plot(at, centre, color=COLOURS[0], marker="o", linestyle="-" if ordered else "", linewidth=2, zorder=4)
    index = best_of(centre, measure.better)
    if index is not None:
        ring(axes, at[index], centre[index])


def ring(axes: Axes, x: float, y: float | None, colour: str = INK) -> None:
    """Mark the best."""
    axes.plot([x], [y], "o", markersize=11, markerfacecolor="none", markeredgecolor=colour, clip_on=False, zorder=5)


def _mark_failures(axes: Axes, sweep: Sweep, dataset: int, at: Sequence[float]) -> None:
    failed = [at[level] for level in range(len(at)) if has_failed(sweep, (level,), dataset)]
    step = 0.035 + 0.05 * dataset
    style: dict[str, Any] = {"color": COLOURS[dataset], "linestyle": "", "markersize": 5, "markeredgewidth": 1.5}
    axes.plot(failed, [step] * len(failed), marker="x", transform=axes.get_xaxis_transform(), zorder=4, **style)


def has_failed(sweep: Sweep, point: tuple[int, ...], dataset: int | None) -> bool:
    return any(sweep.rows[row].status == "failed" for row in sweep.at(point, dataset))


def _legend(sweep: Sweep) -> list[Any]:
    return legend(sweep, is_line=sweep.swept[0].numbers is not None)


def legend(sweep: Sweep, *, is_line: bool) -> list[Any]:
    """What the colours and marks mean, as far as they are drawn."""
    line: Any = "-" if is_line else ""
    deviation = "± standard deviation"
    if sweep.is_averaged:
        thin: dict[str, Any] = {"color": "#b0b0b0", "linestyle": line, "marker": "" if is_line else "."}
        handles: list[Any] = [
            Line2D(
                [], [], color=COLOURS[0], marker="o", linestyle=line, label=f"mean of {len(sweep.datasets)} datasets"
            ),
            Patch(facecolor=COLOURS[0], alpha=0.25, label=deviation)
            if is_line
            else Line2D([], [], color=COLOURS[0], linestyle="", marker="|", markersize=9, label=deviation),
            Line2D([], [], linewidth=0.9, label="one dataset", **thin),
        ]
    else:
        handles = [
            Line2D([], [], color=colour, marker=mark, linestyle=line, markeredgecolor="white", label=label)
            for label, colour, mark in zip(sweep.datasets, COLOURS, MARKS, strict=False)
        ]
    if any(measure.better for measure in sweep.measures):
        ringed: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "markersize": 9}
        handles.append(Line2D([], [], linestyle="", marker="o", label="best", **ringed))
    if any(row.status == "failed" for row in sweep.rows) and not sweep.is_averaged:
        handles.append(Line2D([], [], linestyle="", marker="x", color=GREY, markeredgewidth=1.5, label="failed"))
    return handles


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
