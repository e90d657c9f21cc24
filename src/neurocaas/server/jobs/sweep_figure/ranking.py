"""Any other sweep: its points side by side from best to worst, with each point's parameters below.

The form is the specification curve of Simonsohn, Simmons and Nelson (2020): it needs no grid, and takes parameters of
any kind and number.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from neurocaas.server.jobs.sweep_figure.lines import has_failed, legend, ring
from neurocaas.server.jobs.sweep_figure.measures import Measure, Sweep, Swept, mean, spread
from neurocaas.server.jobs.sweep_figure.page import (
    COLOURS,
    FAINT,
    GREY,
    MARKS,
    Heading,
    Page,
    letters_wide,
    limits,
    value_axis,
)
from neurocaas.server.jobs.sweep_figure.wording import compact
from neurocaas.server.jobs.sweep_table import best_of

MOST_POINTS = 120
_MOST_LINES_OF_LEVELS = 8
_PANEL, _APART, _LEVEL, _STRIP = 1.25, 0.17, 0.17, 0.62
_STRIPE = "#f3f3f3"


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Points in the order they are drawn."""

    points: tuple[tuple[int, ...], ...]
    of: int  # how many there are to draw from
    by: str

    @property
    def sentence(self) -> str:
        cut = f" Drawn are the first {len(self.points)} of {self.of}." if len(self.points) < self.of else ""
        return f"Each column is one point of the sweep, sorted by {self.by}.{cut}"


def ranked(sweep: Sweep) -> Ranking:
    """By the first measure that has a better end, or else the first, over all datasets; points without a value last."""
    leading = next((one for one in sweep.measures if one.better), sweep.measures[0])
    values = {point: mean(leading.values[row] for row in sweep.at(point)) for point in sweep.points}
    sign = -1 if leading.better == "higher" else 1
    ordered = sorted(sweep.points, key=lambda point: (values[point] is None, sign * (values[point] or 0), point))
    order = "best first" if leading.better else "smallest first"
    by = f"{leading.title.lower() if leading.is_expense else leading.title}, {order}"
    return Ranking(points=tuple(ordered[:MOST_POINTS]), of=len(ordered), by=by)


def draw_ranking(sweep: Sweep, heading: Heading, ranking: Ranking) -> bytes:
    count = len(ranking.points)
    names = max((letters_wide(level) for one in sweep.swept for level in one.levels if not _is_strip(one)), default=0.4)
    titles = max(letters_wide(one.label, 9) for one in sweep.swept)
    left = max(titles + 0.22 + names, 1.9)
    across = min(max(count * 0.22, 4.2), 7.5)
    panels = len(sweep.measures) * (_PANEL + _APART)
    below = sum(_height(one) + 0.12 for one in sweep.swept)
    page = Page(heading, left + across, panels + below, legend=legend(sweep, is_line=False))
    for index, measure in enumerate(sweep.measures):
        top = index * (_PANEL + _APART) + 0.05
        for line, words in enumerate(textwrap.wrap(measure.label, int((left - 0.45) / letters_wide("x", 9.6)))):
            page.write(0, top + 0.1 + 0.17 * line, words, weight="bold")
        _panel(page.axes(left, top, across, _PANEL), sweep, measure, ranking.points)
    top = panels
    for index, swept in enumerate(sweep.swept):
        high = _height(swept)
        page.write(0, top + min(high, _LEVEL) / 2, swept.label, weight="bold", size=8.5)
        axes = page.axes(left, top, across, high)
        _levels(axes, swept, [point[index] for point in ranking.points])
        top += high + 0.12
    return page.png()


def _is_strip(swept: Swept) -> bool:
    """Whether there are too many levels for a line each, so that they are drawn along an axis."""
    return len(swept.levels) > _MOST_LINES_OF_LEVELS


def _height(swept: Swept) -> float:
    return _STRIP if _is_strip(swept) else _LEVEL * len(swept.levels)


def _panel(axes: Axes, sweep: Sweep, measure: Measure, points: Sequence[tuple[int, ...]]) -> None:
    drawn = [v for point in points for row in sweep.at(point) if (v := measure.values[row]) is not None]
    value_axis(axes, measure, *limits(drawn or [1.0], is_log=measure.is_log), ticks=4)
    axes.set_xlim(-0.6, len(points) - 0.4)
    axes.set_xticks([])
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    size = max(2.5, min(5.5, 240 / len(points)))
    if sweep.is_averaged:
        _averaged(axes, sweep, measure, points, size)
        return
    count = len(sweep.datasets)
    for dataset in range(count):
        values = [mean(measure.values[row] for row in sweep.at(point, dataset)) for point in points]
        at = [column + (dataset - (count - 1) / 2) * 0.5 / count for column in range(len(points))]
        known = [(x, value) for x, value in zip(at, values, strict=True) if value is not None]
        style = {"markeredgecolor": "white", "markeredgewidth": 0.4, "markersize": size, "clip_on": False}
        xs, ys = [x for x, _ in known], [y for _, y in known]
        axes.plot(xs, ys, MARKS[dataset], color=COLOURS[dataset], zorder=3, **style)  # type: ignore[arg-type]
        failed = [x for x, point in zip(at, points, strict=True) if has_failed(sweep, point, dataset)]
        low = axes.get_xaxis_transform()
        axes.plot(failed, [0.05] * len(failed), "x", color=COLOURS[dataset], markersize=4.5, transform=low)
        index = best_of(values, measure.better)
        if index is not None:
            ring(axes, at[index], values[index], COLOURS[dataset])


def _averaged(axes: Axes, sweep: Sweep, measure: Measure, points: Sequence[tuple[int, ...]], size: float) -> None:
    found = [[v for row in sweep.at(point) if (v := measure.values[row]) is not None] for point in points]
    for column, values in enumerate(found):
        axes.plot([column] * len(values), values, ".", color="#b0b0b0", markersize=size * 0.7, zorder=2)
    middle = [mean(values) for values in found]
    known = [(column, m, spread(found[column]) or 0) for column, m in enumerate(middle) if m is not None]
    at, centre, half = ([one[n] for one in known] for n in range(3))
    axes.errorbar(at, centre, half, fmt="o", color=COLOURS[0], markersize=size, linewidth=1, capsize=0, zorder=3)
    index = best_of(middle, measure.better)
    if index is not None:
        ring(axes, index, middle[index])


def _levels(axes: Axes, swept: Swept, levels: Sequence[int]) -> None:
    """Where each point lies on one parameter."""
    axes.set_xlim(-0.6, len(levels) - 0.4)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if _is_strip(swept):
        _strip(axes, swept, levels)
        return
    count = len(swept.levels)
    # Larger values stand higher, names in the order they came in.
    axes.set_ylim(*((-0.5, count - 0.5) if swept.numbers is not None else (count - 0.5, -0.5)))
    axes.set_yticks(range(count), swept.levels, parse_math=False)
    for level in range(0, count, 2):
        axes.axhspan(level - 0.5, level + 0.5, color=_STRIPE, linewidth=0, zorder=0)
    for column, level in enumerate(levels):
        axes.add_patch(Rectangle((column - 0.36, level - 0.36), 0.72, 0.72, facecolor="#404040", linewidth=0))


def _strip(axes: Axes, swept: Swept, levels: Sequence[int]) -> None:
    axes.spines["left"].set_visible(True)
    axes.patch.set_facecolor(_STRIPE)
    columns = list(range(len(levels)))
    if swept.numbers is None:
        axes.set_ylim(len(swept.levels) - 0.5, -0.5)
        axes.set_yticks([])
        axes.text(-0.01, 0.5, f"{len(swept.levels)} values", transform=axes.transAxes, ha="right", va="center", size=8)
        axes.plot(columns, levels, "s", color="#404040", markersize=3)
        return
    numbers = swept.numbers
    axes.set_yscale("log" if swept.is_log else "linear")
    axes.set_ylim(*limits(numbers, is_log=swept.is_log))
    axes.set_yticks([numbers[0], numbers[-1]], [compact(numbers[0]), compact(numbers[-1])], parse_math=False)
    axes.set_yticks([], minor=True)
    axes.vlines(columns, min(axes.get_ylim()), [numbers[level] for level in levels], color=GREY, linewidth=0.8)
    axes.plot(columns, [numbers[level] for level in levels], "s", color="#404040", markersize=3)
