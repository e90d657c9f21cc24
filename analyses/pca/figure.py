"""One page to judge a decomposition by: mean, maps, time courses and explained variance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from baseline import Prepared
from decomposition import Components
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from recording import Array

SHOWN = 6  # components
COLOURS = ("#3b6fb6", "#d1495b", "#2f8f6b", "#b5762a", "#7b5aa6", "#4a9fb5")
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "agg.path.chunksize": 20000,
}


def draw(path: Path, data: Prepared, found: Components, frame_rate_hz: float | None) -> None:
    """Writes a PNG. Shows the first six components at most."""
    shown = min(SHOWN, len(found.variances))
    columns = 1 + (shown + 1) // 2
    ratios = found.variances / data.baseline.total_variance
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
        figure: Any = Figure(figsize=(12.5, 9.5), layout=layout)
        FigureCanvasAgg(figure)
        upper, lower = figure.subfigures(2, 1, height_ratios=(3, 2))
        grid = upper.subplots(2, columns, squeeze=False)
        _draw_mean(grid[0, 0], data)
        _draw_variances(grid[1, 0], ratios)
        cells = [*grid[0, 1:], *grid[1, 1:]]
        for k, cell in enumerate(cells):
            if k < shown:
                _draw_weights(cell, found.components[k].reshape(data.recording.shape), k, ratios[k])
            else:
                cell.set_axis_off()
        if len(data.recording.shape) == 2:
            bar = upper.colorbar(cells[0].images[0], ax=cells, shrink=0.7, aspect=30, pad=0.01, ticks=[-1, 0, 1])
            bar.set_label("weight, relative to the map's 99.5th percentile")
            bar.outline.set_visible(False)
        _draw_time_courses(lower.subplots(), found.time_courses[:, :shown], frame_rate_hz)
        figure.suptitle(_headline(data, ratios, frame_rate_hz), x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(path, dpi=130, metadata={"Software": None})


def _headline(data: Prepared, ratios: Array, frame_rate_hz: float | None) -> str:
    shape = data.recording.shape
    size = f"{shape[1]} × {shape[0]} pixels" if len(shape) == 2 else f"{shape[0]} columns"
    rate = f" at {frame_rate_hz:g} Hz" if frame_rate_hz else ""
    name = data.recording.name
    name = name if len(name) <= 60 else f"{name[:40]}…{name[-16:]}"
    return (
        f"{name}: {data.frames:,} frames{rate}, {size}; "
        f"{len(ratios)} principal components hold {ratios.sum():.1%} of the variance"
    ).replace("$", r"\$")


def _draw_mean(axes: Any, data: Prepared) -> None:
    mean = data.baseline.mean.reshape(data.recording.shape)
    if mean.ndim == 1:
        axes.plot(np.arange(1, len(mean) + 1), mean, color="#555555", linewidth=1)
        axes.set(title="mean", xlabel="column")
        return
    low, high = np.percentile(mean, [1, 99.5])
    axes.imshow(mean, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
    axes.set_title("mean frame")
    _frame(axes)


def _draw_weights(axes: Any, weights: Array, k: int, ratio: float) -> None:
    """Each map on its own symmetric scale, which a few extreme pixels do not set."""
    largest = np.percentile(np.abs(weights), 99.5) or np.abs(weights).max()
    if weights.ndim == 1:
        axes.bar(np.arange(1, len(weights) + 1), weights, width=0.9, color=COLOURS[k])
        axes.axhline(0, color="#888888", linewidth=0.6)
        axes.set_xlabel("column")
    else:
        axes.imshow(weights / largest, cmap="RdBu_r", vmin=-1, vmax=1)
        _frame(axes)
    axes.set_title(f"component {k + 1}: {ratio:.1%}", color=COLOURS[k], fontweight="bold")


def _frame(axes: Any) -> None:
    """An image has a border all round and no ticks."""
    axes.spines[:].set_visible(True)
    axes.set(xticks=[], yticks=[])


def _draw_variances(axes: Any, ratios: Array) -> None:
    numbers = np.arange(1, len(ratios) + 1)
    colours = [COLOURS[k] if k < SHOWN else "#bbbbbb" for k in range(len(ratios))]
    axes.bar(numbers, 100 * ratios, color=colours, width=0.8)
    axes.plot(
        numbers, 100 * np.cumsum(ratios), color="#333333", marker="o", markersize=3, linewidth=1, label="cumulative"
    )
    axes.set(title="explained variance", xlabel="component", ylabel="% of total", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.legend(frameon=False, loc="best")


def _draw_time_courses(axes: Any, courses: Array, frame_rate_hz: float | None) -> None:
    """One row per component, in its own standard deviations; the first on top."""
    times = np.arange(len(courses)) / (frame_rate_hz or 1)
    spacing = 6.0  # standard deviations between rows
    for k, course in enumerate(courses.T):
        axes.plot(times, course / course.std() - spacing * k, color=COLOURS[k], linewidth=0.9)
    axes.set(
        title=f"time courses (rows are {spacing:g} standard deviations apart)",
        xlabel="time (s)" if frame_rate_hz else "frame",
        yticks=[-spacing * k for k in range(courses.shape[1])],
        yticklabels=[str(k + 1) for k in range(courses.shape[1])],
        ylabel="component",
    )
    axes.margins(x=0.005)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=not frame_rate_hz))
