"""Two swept parameters: a row of heat maps per measure, one map per dataset, on one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.patches import Rectangle

from neurocaas.server.jobs.sweep_figure.measures import Measure, Sweep, Swept, decimals_of, mean, spread, why_missing
from neurocaas.server.jobs.sweep_figure.page import (
    BEST,
    GREY,
    INK,
    TURNED,
    TURNED_LETTERS,
    Heading,
    Page,
    letters_wide,
    limits,
    round_values,
)
from neurocaas.server.jobs.sweep_figure.wording import shortened
from neurocaas.server.jobs.sweep_table import best_of

_MOST_WIDE = 10.5
_GAP, _BAR = 0.16, 0.13


@dataclass(frozen=True, kw_only=True)
class Map:
    """One heat map: a value per cell, [row][column], and a word where there is none."""

    title: str
    values: list[list[float | None]]
    words: list[list[str]]
    better: str


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How the cells lie: which parameter goes across, and how large a cell is, in inches."""

    across: int
    cell_width: float
    cell_height: float
    maps: int
    x: Swept
    y: Swept

    @property
    def width(self) -> float:
        return self.cell_width * len(self.x.levels)

    @property
    def height(self) -> float:
        return self.cell_height * len(self.y.levels)

    def point(self, row: int, column: int) -> tuple[int, int]:
        return (column, row) if self.across == 0 else (row, column)


def draw_maps(sweep: Sweep, heading: Heading) -> bytes:
    grid = _grid(sweep)
    left = 0.42 + max(letters_wide(level) for level in grid.y.levels)
    turned = max(letters_wide(level) for level in grid.x.levels) > grid.cell_width * 0.95 and grid.x.numbers is None
    below = 0.4 + (0.6 if turned else 0.12)
    each = 0.5 + grid.height
    # The spread has units but a scale of its own, hence a bar of its own.
    bars = 0.85 if not sweep.is_averaged else 1.7
    width = max(left + grid.maps * (grid.width + _GAP) + bars, 5.6)
    page = Page(heading, width, len(sweep.measures) * each + 0.06 + below)
    for index, measure in enumerate(sweep.measures):
        top = index * each + 0.56
        ends = {"is_first": index == 0, "is_last": index == len(sweep.measures) - 1}
        _row(page, sweep, measure, grid, left=left, top=top, turned=turned, **ends)
    return page.png()


def _grid(sweep: Sweep) -> Grid:
    first, second = sweep.swept
    maps = 2 if sweep.is_averaged else len(sweep.datasets)
    # Few maps leave room to the right; many stand side by side and grow downwards.
    wide = len(first.levels) >= len(second.levels)
    across = 0 if wide == (maps <= 3) else 1
    x, y = (first, second) if across == 0 else (second, first)
    widest = min(max(letters_wide(level) for level in x.levels) + 0.1, 1.1)
    cell_width = min(max(0.72, widest), (_MOST_WIDE - maps * _GAP) / (maps * len(x.levels)))
    cell_height = min(0.42, 4.5 / len(y.levels))
    cell_width = max(cell_width, 1.15 / len(x.levels))
    return Grid(across=across, cell_width=cell_width, cell_height=cell_height, maps=maps, x=x, y=y)


def _row(
    page: Page,
    sweep: Sweep,
    measure: Measure,
    grid: Grid,
    *,
    left: float,
    top: float,
    is_first: bool,
    is_last: bool,
    turned: bool,
) -> None:
    """One measure: its name, its maps and their colour scale."""
    title = page.write(0, top - (0.44 if is_first else 0.18), measure.label, weight="bold")
    if measure.better:
        page.write_after(title, f"{measure.better} is better, the best is outlined", size=8, color=GREY)
    maps = _averages(sweep, measure, grid) if sweep.is_averaged else _each(sweep, measure, grid)
    shared = _scale([one for drawn in maps for line in drawn.values for one in line], measure.is_log)
    at = left
    for index, drawn in enumerate(maps):
        is_spread = sweep.is_averaged and index == 1
        every = [one for line in drawn.values for one in line]
        scale = (
            _scale([0.0, *every], False)
            if is_spread
            else shared
            if not sweep.is_averaged
            else _scale(every, measure.is_log)
        )
        colours = _colours(is_expense=measure.is_expense, is_spread=is_spread)
        axes = page.axes(at, top, grid.width, grid.height)
        _map(axes, drawn, spread_of(measure, drawn) if is_spread else measure, grid, scale, colours)
        if is_first:
            letters = max(6, int(grid.width / letters_wide("x", 8.2)))
            page.write(at, top - 0.14, shortened(drawn.title, letters), size=8.5)
        _label(axes, grid, is_first=index == 0, is_last=is_last, turned=turned)
        at += grid.width + _GAP
        if sweep.is_averaged or index == len(maps) - 1:
            of = replace(measure, is_log=isinstance(scale, LogNorm))
            _bar(page.axes(at - 0.04, top, _BAR, grid.height), of, scale, colours)
            at += 0.7


def _each(sweep: Sweep, measure: Measure, grid: Grid) -> list[Map]:
    def rows(row: int, column: int, dataset: int) -> tuple[int, ...]:
        return sweep.at(grid.point(row, column), dataset)

    height, width = range(len(grid.y.levels)), range(len(grid.x.levels))
    return [
        Map(
            title=title,
            values=[[mean(measure.values[n] for n in rows(r, c, dataset)) for c in width] for r in height],
            words=[[_word(sweep, measure, rows(r, c, dataset)) for c in width] for r in height],
            better=measure.better,
        )
        for dataset, title in enumerate(sweep.datasets)
    ]


def _averages(sweep: Sweep, measure: Measure, grid: Grid) -> list[Map]:
    height, width = range(len(grid.y.levels)), range(len(grid.x.levels))
    rows = [[sweep.at(grid.point(r, c)) for c in width] for r in height]
    values = [[[measure.values[n] for n in cell] for cell in line] for line in rows]
    words = [[_word(sweep, measure, cell) for cell in line] for line in rows]
    deviations = [[spread(cell) for cell in line] for line in values]
    alone = [
        [word or ("n = 1" if cell else "") for word, cell in zip(*both, strict=True)]
        for both in zip(words, rows, strict=True)
    ]
    return [
        Map(
            title=f"mean of {len(sweep.datasets)} datasets",
            values=[[mean(cell) for cell in line] for line in values],
            words=words,
            better=measure.better,
        ),
        Map(
            title="standard deviation",
            values=deviations,
            words=alone,
            better="",
        ),
    ]


def spread_of(measure: Measure, drawn: Map) -> Measure:
    """The measure with digits enough for its standard deviation."""
    known = [value for line in drawn.values for value in line if value is not None]
    return replace(measure, decimals=max(measure.decimals, min(decimals_of(known or [0.0]), 3)), is_log=measure.is_log)


def _word(sweep: Sweep, measure: Measure, rows: Sequence[int]) -> str:
    if not rows or any(measure.values[row] is not None for row in rows):
        return ""
    why = why_missing(sweep.rows[row] for row in rows)
    return "reused" if why == "–" and measure.is_expense and all(sweep.rows[row].reused for row in rows) else why


def _scale(values: Sequence[float | None], is_log: bool) -> Normalize:
    known = [value for value in values if value is not None] or [0.0]
    low, high = (min(known), max(known)) if min(known) < max(known) else limits(known, is_log=is_log)
    return LogNorm(low, high) if is_log and low > 0 else Normalize(low, high)


def _colours(*, is_expense: bool, is_spread: bool) -> Colormap:
    """Metrics in viridis; time, money and spread in quieter maps. All are even to the eye in any colour vision."""
    name, low, high = (
        ("Greys", 0.05, 0.72) if is_expense else ("Purples", 0.05, 0.8) if is_spread else ("viridis", 0, 1)
    )
    whole = colormaps[name]
    return ListedColormap([whole(low + (high - low) * step / 255) for step in range(256)])


def _map(axes: Axes, drawn: Map, measure: Measure, grid: Grid, scale: Normalize, colours: Colormap) -> None:
    rows, columns = len(grid.y.levels), len(grid.x.levels)
    axes.set(xlim=(0, columns), ylim=(0, rows) if grid.y.numbers is not None else (rows, 0))
    axes.spines[:].set_visible(False)
    is_roomy = grid.cell_width >= 0.36 and grid.cell_height >= 0.17
    coloured: list[Rectangle] = []
    for row, column in product(range(rows), range(columns)):
        value, word = drawn.values[row][column], drawn.words[row][column]
        if value is not None:
            colour = colours(scale(value))
            coloured.append(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
            if is_roomy:
                _inside(axes, row, column, measure.text(value), grid, color=_readable_on(colour))
        elif word:
            _hatched(axes, row, column, word if is_roomy else "", grid)
    # One collection draws much faster than as many patches.
    axes.add_collection(PatchCollection(coloured, match_original=True), autolim=False)
    flat = [value for line in drawn.values for value in line]
    index = best_of(flat, drawn.better)
    if index is not None:
        row, column = divmod(index, columns)
        outline: dict[str, Any] = {"facecolor": "none", "linewidth": 2.2, "clip_on": False, "zorder": 5}
        axes.add_patch(Rectangle((column, row), 1, 1, edgecolor=BEST, **outline))


def _hatched(axes: Axes, row: int, column: int, word: str, grid: Grid) -> None:
    ground = "#f4f4f4"
    style: dict[str, Any] = {"facecolor": ground, "edgecolor": "#c4c4c4", "hatch": "/////", "linewidth": 0}
    axes.add_patch(Rectangle((column, row), 1, 1, **style))
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor="none", edgecolor="white", linewidth=1))
    if word:
        _inside(axes, row, column, word, grid, color=GREY, bbox={"facecolor": ground, "edgecolor": "none", "pad": 1.2})


def _inside(axes: Axes, row: int, column: int, text: str, grid: Grid, **style: Any) -> None:
    size = min(8.0, grid.cell_width * 0.9 * 72 / (0.62 * max(len(text), 4)), grid.cell_height * 72 * 0.6)
    whole: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size} | style
    axes.text(column + 0.5, row + 0.5, text, parse_math=False, **whole)


def _readable_on(colour: tuple[float, ...]) -> str:
    luminance = 0.2126 * colour[0] ** 2.2 + 0.7152 * colour[1] ** 2.2 + 0.0722 * colour[2] ** 2.2
    return "white" if luminance < 0.25 else INK


def _label(axes: Axes, grid: Grid, *, is_first: bool, is_last: bool, turned: bool) -> None:
    axes.tick_params(length=0)
    every = max(1, round(0.4 / grid.cell_width)) if not turned else max(1, round(0.17 / grid.cell_width))
    kept = range(0, len(grid.x.levels), every)
    labels = [shortened(level, TURNED_LETTERS) if turned else level for level in grid.x.levels]
    axes.set_xticks(
        [n + 0.5 for n in kept],
        [labels[n] if is_last else "" for n in kept],
        parse_math=False,
        **(TURNED if turned else {}),
    )
    kept = range(0, len(grid.y.levels), max(1, round(0.15 / grid.cell_height)))
    axes.set_yticks([n + 0.5 for n in kept], [grid.y.levels[n] if is_first else "" for n in kept], parse_math=False)
    if is_first:
        axes.set_ylabel(grid.y.label, fontsize=8.5, color=INK, parse_math=False)
    if is_last:
        axes.set_xlabel(grid.x.label, fontsize=8.5, color=INK, parse_math=False)


def _bar(axes: Axes, measure: Measure, scale: Normalize, colours: Colormap) -> None:
    bar = axes.figure.colorbar(ScalarMappable(scale, colours), cax=axes)
    low, high = float(scale.vmin or 0), float(scale.vmax or 0)
    places, labels = round_values(measure, low, high, ticks=4)
    bar.set_ticks(places, labels=labels, parse_math=False)
    bar.minorticks_off()
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=7.5, length=2, width=0.6, color=GREY)
