"""Draw the few numbers of a picture as a PNG, in the light or the dark theme, readable at a phone's width."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import blended_transform_factory
from PIL import Image

from neurocaas.server.jobs.sweep_figure.wording import compact, plain
from neurocaas.server.viewers.previews import Axis, Block, Theme

DPI = 200
WIDTH = 4.8  # inches; on a phone of 390 px a letter of 9 points is then 10 px high
RIGHT, TOP, BOTTOM = 0.2, 0.4, 0.52
STEPS = [1, 2, 2.5, 5, 10]
BAR_ROOM, BAR = 0.4, 0.12
TITLE_LETTERS = 56
# Share of the numbers at either end that are drawn in the last colour, so that one outlier does not grey the rest.
TAIL_PERCENT = 0.5
TALLEST = 4.6  # inches, of an image
SLIM = 12  # times as long as wide, and its pixels can not be square any more
MARKED = 60  # points at most, for each to be marked
CLOSE = 1e-3  # of their size, how far apart numbers are that labels of three digits do not tell apart
FAR = 3.0  # times as wide as without the tails


@dataclass(frozen=True, kw_only=True)
class _Colours:
    paper: str
    ink: str
    grey: str
    faint: str
    missing: str
    lines: tuple[str, ...]


# Okabe and Ito's palette, which people with any colour vision can tell apart; lighter where the paper is dark.
THEMES: dict[Theme, _Colours] = {
    "light": _Colours(
        paper="#ffffff", ink="#1a1a1a", grey="#666666", faint="#e0e0e0", missing="#d55e00",
        lines=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B97F00", "#2F8FC4"),
    ),
    "dark": _Colours(
        paper="#16181d", ink="#e8e8e8", grey="#9a9fa8", faint="#33373f", missing="#ff8f3f",
        lines=("#56B4E9", "#FF9A56", "#2FCB9D", "#E7A6CB", "#F0C14B", "#8EC9F0"),
    ),
}  # fmt: skip


def draw(block: Block, numbers: bytes, theme: Theme) -> bytes:
    """The PNG. The same numbers give the same bytes; any thread may draw; nothing global is changed."""
    if block.how == "pixels":
        return _encoded(Image.fromarray(np.frombuffer(numbers, np.uint8).reshape(block.shape)))
    values = np.frombuffer(numbers, "<f8").reshape(block.shape)
    # The canvas can't scale what is near the largest double, so infinities and such are as good as missing.
    values = np.where(np.isfinite(values) & (np.abs(values) < 1e300), values, np.nan)
    colours = THEMES[theme]
    return _traces(block, values, colours) if block.how == "traces" else _map(block, values, colours)


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()


class _Page:
    """A figure with one drawing of a given size in inches, its title and its axes' labels."""

    def __init__(self, block: Block, colours: _Colours, height: float, *, left: float, right: float = RIGHT) -> None:
        self.colours = colours
        self.left, self.height = left, height
        self.width = WIDTH - left - right
        self.whole = height + TOP + BOTTOM
        self.figure = Figure(figsize=(WIDTH, self.whole), dpi=DPI, facecolor=colours.paper)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes(self.place(left, self.width))
        self.axes.set_facecolor(colours.paper)
        for side in ("top", "right"):
            self.axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            self.axes.spines[side].set(color=colours.grey, linewidth=0.8)
        self.style(self.axes)
        title = plain(block.title, TITLE_LETTERS)
        style: dict[str, Any] = {"size": 9.5, "weight": "bold", "color": colours.ink, "va": "center"}
        self.figure.text(0.1 / WIDTH, 1 - 0.2 / self.whole, title, parse_math=False, **style)
        self.label(self.axes.set_xlabel, block.across.label)
        self.label(self.axes.set_ylabel, block.down.label)
        # Beside the longest of the numbers, for which `left` has room.
        self.axes.yaxis.set_label_coords(
            0.24 / WIDTH, 0.5, transform=blended_transform_factory(self.figure.transFigure, self.axes.transAxes)
        )

    def across(self) -> None:
        self.axes.xaxis.set_major_locator(_ticks(self.width / 0.6, integer=True))
        self.axes.xaxis.set_major_formatter(FuncFormatter(_whole))

    def place(self, left: float, width: float) -> tuple[float, float, float, float]:
        return left / WIDTH, BOTTOM / self.whole, width / WIDTH, self.height / self.whole

    def style(self, axes: Axes) -> None:
        axes.tick_params(color=self.colours.grey, labelcolor=self.colours.ink, labelsize=8.5, length=3, width=0.8)

    def label(self, write: Any, text: str) -> None:
        write(plain(text, 40), fontsize=9, color=self.colours.ink, parse_math=False)

    def png(self) -> bytes:
        out = io.BytesIO()
        # No version and no date, so that the same numbers give the same bytes.
        self.figure.savefig(
            out, format="png", dpi=DPI, facecolor=self.colours.paper, metadata={"Software": "NeuroCAAS"},
            pil_kwargs={"compress_level": 3},
        )  # fmt: skip
        return out.getvalue()


def _traces(block: Block, values: np.ndarray, colours: _Colours) -> bytes:
    """One line with its values on the axis, or several above each other, each with the middle of its own as base."""
    count, points = values.shape
    if count == 1:
        values, name = _without_base(values)
        block = block.model_copy(update={"down": Axis(label=name)})
    low, high = _around(values)
    left = _room([compact(low), compact(high)] if count == 1 else ["00"], block.down.label)
    page = _Page(block, colours, 2.1 if count == 1 else min(0.36 * count + 0.7, 5.0), left=left)
    axes = page.axes
    at = block.across.start + float(block.across.step) * np.arange(points)
    style: dict[str, Any] = {"linewidth": 0.9, "solid_joinstyle": "round"}
    # Few points are seen as such, and a single one between gaps not at all without a mark.
    style |= {"marker": "o", "markersize": 3} if points <= MARKED else {}
    if count == 1:
        axes.plot(at, values[0], color=colours.lines[0], **style)
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(_ticks(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
        axes.grid(axis="y", color=colours.faint, linewidth=0.6)
        axes.set_axisbelow(True)
    else:
        step = _distance(values)
        for number, one in enumerate(values):
            known = one[np.isfinite(one)]
            base = float(np.median(known)) if known.size else 0.0
            colour = colours.lines[number % len(colours.lines)]
            axes.plot(at, (one - base) / step - number, color=colour, **style)
        axes.set_ylim(-count + 0.3, 0.9)
        axes.set_yticks([-number for number in range(count)], [str(number) for number in range(count)])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        _scale(page, step)
    margin = max(0.02 * float(at[-1] - at[0]), 0.5) if points <= MARKED else 0.0
    axes.set_xlim(float(at[0]) - margin, float(at[-1]) + margin)
    page.across()
    return page.png()


def _scale(page: _Page, step: float) -> None:
    """A bar with the distance between two lines, since each has a base of its own."""
    axes, ink = page.axes, page.colours.ink
    size = _round_below(step)
    high = size / step
    transform = axes.get_yaxis_transform()
    axes.plot([1.012] * 2, [-high / 2, high / 2], color=ink, linewidth=1.5, transform=transform, clip_on=False)
    text = compact(size)
    axes.text(1.0, 0.62, text, transform=transform, size=8, color=ink, ha="right", va="bottom", parse_math=False)


def _round_below(number: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is no larger."""
    power = 10.0 ** math.floor(math.log10(number))
    return float(max(one * power for one in (1, 2, 5) if one * power <= number * (1 + 1e-9)))


def _distance(values: np.ndarray) -> float:
    """How far apart lines have to be for nearly none to cross."""
    spans = [
        np.subtract(*np.percentile(one[np.isfinite(one)], (99.5, 0.5))) for one in values if np.isfinite(one).any()
    ]
    widest = float(max(spans, default=0.0))
    if widest <= 0:
        known = values[np.isfinite(values)]
        widest = float(np.ptp(known)) if known.size else 0.0
    return widest * 0.9 or 1.0


def _map(block: Block, values: np.ndarray, colours: _Colours) -> bytes:
    """Numbers as colours, or as grey where they are an image, whose pixels are square."""
    is_image = block.how == "image"
    rows, columns = values.shape
    left = _room([f"{rows * block.down.step:,}"], block.down.label)
    values, base = _without_base(values)
    low, high, extend = _limits(values)
    labels = 0.08 * max(len(compact(low)), len(compact(high)), 3)
    width, height = WIDTH - left - BAR_ROOM - labels, min(max(0.05 * rows, 1.5), 3.2)
    ratio = (rows * block.down.step) / (columns * block.across.step)
    is_square = is_image and 1 / SLIM <= ratio <= SLIM
    if is_square:
        width, height = min(width, TALLEST / ratio), min(width * ratio, TALLEST)
    page = _Page(block, colours, height, left=left, right=WIDTH - left - width)
    painted = colormaps["gray" if is_image else "viridis"].with_extremes(bad=colours.missing)
    drawn = page.axes.imshow(
        np.ma.masked_invalid(values), cmap=painted, vmin=low, vmax=high, extent=_extent(block, rows, columns),
        aspect="auto", interpolation="antialiased", interpolation_stage="rgba",
    )  # fmt: skip
    page.across()
    page.axes.yaxis.set_major_locator(_ticks(height / 0.35, integer=True))
    page.axes.yaxis.set_major_formatter(FuncFormatter(_whole))
    bar = page.figure.add_axes(page.place(left + width + 0.1, BAR))
    page.style(bar)
    colourbar = page.figure.colorbar(drawn, cax=bar, extend=extend, extendfrac=0.03)
    colourbar.outline.set_visible(False)
    colourbar.locator = _ticks(height / 0.35)
    colourbar.formatter = FuncFormatter(lambda value, _: compact(value))
    colourbar.update_ticks()
    if base:
        style: dict[str, Any] = {"size": 8, "color": colours.grey, "ha": "right"}
        page.figure.text(1 - 0.1 / WIDTH, 0.06 / page.whole, base, parse_math=False, **style)
    return page.png()


def _ticks(room: float, *, integer: bool = False) -> MaxNLocator:
    """Round places, no more than fit."""
    return MaxNLocator(nbins=int(min(max(room, 1), 5)), steps=STEPS, integer=integer)


def _extent(block: Block, rows: int, columns: int) -> tuple[float, float, float, float]:
    """Such that the middle of each cell lies at its index in the array."""

    def ends(axis: Axis, count: int) -> tuple[float, float]:
        return axis.start - axis.step / 2, axis.start + (count - 0.5) * axis.step

    left, right = ends(block.across, columns)
    top, bottom = ends(block.down, rows)
    return left, right, bottom, top


def _limits(values: np.ndarray) -> tuple[float, float, Any]:
    """Between which numbers the colours lie, and on which sides there are more."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0, "neither"
    low, high = float(known.min()), float(known.max())
    inner_low, inner_high = (float(one) for one in np.percentile(known, (TAIL_PERCENT, 100 - TAIL_PERCENT)))
    if inner_high > inner_low and (high - low) > FAR * (inner_high - inner_low):
        ends = {(True, True): "both", (True, False): "min", (False, True): "max"}
        extend = ends.get((low < inner_low, high > inner_high), "neither")
        return inner_low, inner_high, extend
    if high == low:
        pad = abs(high) * 0.1 or 1.0
        return low - pad, high + pad, "neither"
    return low, high, "neither"


def _room(labels: list[str], label: str) -> float:
    """Inches to the left of a drawing for the labels of its numbers, and for what they count."""
    return 0.24 + 0.075 * max(map(len, labels)) + (0.22 if label else 0.05)


def _without_base(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Numbers that lie close together far from zero, less what they share, for their labels to differ; and its name."""
    known = values[np.isfinite(values)]
    if not known.size or np.ptp(known) == 0 or np.ptp(known) > CLOSE * np.abs(known).max():
        return values, ""
    base = float(f"{np.median(known):.5g}")
    return values - base, f"difference from {base:.5g}".replace("-", "−")


def _around(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - pad, high + pad


def _whole(value: float, _: Any) -> str:
    return f"{value:,.0f}".replace("-", "−")
