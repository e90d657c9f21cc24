"""The page: its heading, its last line, and axes placed in inches from the upper left of the space between them."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator

from neurocaas.server.jobs.sweep_figure.measures import Measure, Swept
from neurocaas.server.jobs.sweep_figure.wording import fixed, shortened

DPI = 160
INK, GREY, FAINT = "#1a1a1a", "#666666", "#d9d9d9"
# Okabe and Ito's palette, which people with any colour vision can tell apart; the marks help in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKS = ("o", "s", "^", "D", "v", "P")
BEST = "#D55E00"
# Labels that lean, for which there is room below and to the left.
TURNED: dict[str, Any] = {"rotation": 45, "ha": "right", "va": "center", "rotation_mode": "anchor"}
TURNED_LETTERS = 14
EDGE = 0.35  # inches around everything
_LINE = 0.19
_ROW = 0.2  # of the legend


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What stands above and below a drawing."""

    title: str
    subtitle: Sequence[str]
    notes: Sequence[str]
    totals: str


class Page:
    """A figure with room for a body of a given size in inches."""

    def __init__(self, heading: Heading, width: float, height: float, legend: Sequence[Any] = ()) -> None:
        letters = int(width * 14.5)
        columns = _columns(legend, width)
        above = [line for text in heading.subtitle for line in textwrap.wrap(text, letters)]
        below = [line for text in heading.notes for line in textwrap.wrap(text, letters)]
        below += textwrap.wrap(heading.totals, letters)
        self._top = EDGE + 0.3 + _LINE * len(above) + (0.1 + _ROW * -(-len(legend) // columns) if legend else 0) + 0.12
        self._left = EDGE
        self.width = width
        whole = self._top + height + 0.12 + _LINE * len(below) + EDGE - 0.1
        self.figure = Figure(figsize=(width + 2 * EDGE, whole), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self._size = (width + 2 * EDGE, whole)
        self.write(0, EDGE + 0.14 - self._top, shortened(heading.title, int(width * 8.5)), size=12.5, weight="bold")
        for index, line in enumerate(above):
            self.write(0, EDGE + 0.4 + _LINE * index - self._top, line, size=8.5, color=GREY)
        for index, line in enumerate(below):
            self.write(0, height + 0.22 + _LINE * index, line, size=8, color=GREY)
        if legend:
            self._legend(legend, columns)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at this place of the body, in inches, without the frame's upper and right side."""
        x, y = self._place(left, top + height)
        axes = self.figure.add_axes((x, y, width / self._size[0], height / self._size[1]))
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set(color=GREY, linewidth=0.8)
        axes.tick_params(color=GREY, labelcolor=INK, labelsize=8, length=3, width=0.8)
        return axes

    def write(self, left: float, top: float, text: str, **style: Any) -> Text:
        """A line of text whose middle is at this height."""
        x, y = self._place(left, top)
        whole: dict[str, Any] = {"size": 9, "color": INK, "va": "center", "ha": "left"} | style
        return self.figure.text(x, y, text, parse_math=False, **whole)

    def write_after(self, text: Text, more: str, **style: Any) -> None:
        """Go on in the same line."""
        box = text.get_window_extent()
        left = box.x1 / DPI - self._left + 0.12
        self.write(left, self._size[1] - self._top - (box.y0 + box.y1) / 2 / DPI, more, **style)

    def png(self) -> bytes:
        out = io.BytesIO()
        # No version and no date, so that the same table gives the same bytes.
        self.figure.savefig(out, format="png", dpi=DPI, metadata={"Software": "NeuroCAAS"})
        return out.getvalue()

    def _place(self, left: float, top: float) -> tuple[float, float]:
        return (self._left + left) / self._size[0], 1 - (self._top + top) / self._size[1]

    def _legend(self, handles: Sequence[Any], columns: int) -> None:
        x, y = self._place(-0.03, -0.17)
        legend = self.figure.legend(
            handles=list(handles),
            loc="lower left",
            bbox_to_anchor=(x, y),
            ncols=columns,
            labelspacing=0.35,
            frameon=False,
            fontsize=8.5,
            borderpad=0,
            handletextpad=0.4,
            handlelength=1.4,
            columnspacing=1.4,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _columns(legend: Sequence[Any], width: float) -> int:
    """How many columns the legend has, all in one row if they fit."""
    wide = [letters_wide(one.get_label(), 8.5) + 0.5 for one in legend]
    return len(wide) if sum(wide) <= width else max(1, int(width / max(wide)))


def letters_wide(text: str, size: float = 8) -> float:
    """About how wide the text is, in inches."""
    return len(text) * size * 0.6 / 72


def limits(values: Sequence[float], *, is_log: bool, margin: float = 0.08) -> tuple[float, float]:
    """An interval around the values, never an empty one."""
    low, high = min(values), max(values)
    if is_log:
        factor = max((high / low) ** margin, 1.2)
        return low / factor, high * factor
    pad = (high - low) * margin or abs(high) * 0.1 or 1.0
    return low - pad, high + pad


def value_axis(axes: Axes, measure: Measure, low: float, high: float, *, ticks: int = 6) -> None:
    """Give the vertical axis its limits, and a few round values of the measure."""
    axes.set_yscale("log" if measure.is_log else "linear")
    axes.set_ylim(low, high)
    places, labels = round_values(measure, low, high, ticks)
    axes.set_yticks(places, labels, parse_math=False)
    axes.set_yticks([], minor=True)


def round_values(measure: Measure, low: float, high: float, ticks: int = 5) -> tuple[list[float], list[str]]:
    """Round values in the interval, and how they are written."""
    if measure.is_log:
        found = LogLocator(numticks=ticks + 1).tick_values(low, high)
        inside = [float(one) for one in found if low <= one <= high]
        return inside, [measure.text(one) for one in inside]
    found = MaxNLocator(nbins=ticks, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    inside = [float(one) for one in found if low <= one <= high]
    step = abs(found[1] - found[0]) if len(found) > 1 else 1.0
    decimals = next((n for n in range(7) if abs(step * 10**n - round(step * 10**n)) < 1e-6 * 10**n * step), 6)
    return inside, [fixed(one, decimals) for one in inside]


def level_axis(axes: Axes, swept: Swept, width: float) -> list[float]:
    """Give the horizontal axis the parameter's levels; returns where they are."""
    places = list(swept.numbers) if swept.numbers is not None else [float(n) for n in range(len(swept.levels))]
    if swept.numbers is None:
        axes.set_xlim(-0.5, len(places) - 0.5)
    else:
        axes.set_xscale("log" if swept.is_log else "linear")
        axes.set_xlim(*limits(places, is_log=swept.is_log, margin=0.06))
    turned = is_turned(swept, width)
    kept = _readable(axes, places, swept, width, turned=turned)
    labels = [shortened(swept.levels[n], TURNED_LETTERS) if turned else swept.levels[n] for n in kept]
    axes.set_xticks([places[n] for n in kept], labels, parse_math=False, **(TURNED if turned else {}))
    axes.set_xticks([], minor=True)
    return places


def is_turned(swept: Swept, width: float) -> bool:
    """Whether the levels' labels have to be turned to fit side by side."""
    return swept.numbers is None and sum(letters_wide(label) + 0.12 for label in swept.levels) > width


def _readable(axes: Axes, places: Sequence[float], swept: Swept, width: float, *, turned: bool) -> list[int]:
    """Which levels to label so that no two labels touch."""
    across = axes.transData.transform([(place, 1.0) for place in places])[:, 0]
    edges = axes.transAxes.transform([(0, 0), (1, 0)])[:, 0]
    at = [(float(x) - edges[0]) / (edges[1] - edges[0]) * width for x in across]
    wide = [letters_wide(label) for label in swept.levels]
    kept: list[int] = []
    for index, x in enumerate(at):
        gap = 0.16 if turned else (wide[index] + wide[kept[-1]]) / 2 + 0.06 if kept else 0
        if not kept or x - at[kept[-1]] >= gap:
            kept.append(index)
    return kept
