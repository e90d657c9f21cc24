"""Two pages to judge a decomposition by: what it made of the movie, and whether what it left over is noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from recording import Array
from residual import LeftOver
from rows import Rows

if TYPE_CHECKING:
    from pipeline import Decomposed

SHOWN = 1500  # frames of the example
RAW, DENOISED, LEFT = "#9aa5b1", "#3b6fb6", "#b5762a"
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


def draw(folder: Path, movie: Rows, found: Decomposed, left: LeftOver, frame_rate_hz: float | None) -> None:
    """Writes figure.png and residual.png, of the results in the folder."""
    with rc_context(STYLE):
        _draw_result(folder, movie, found, left, frame_rate_hz)
        _draw_residual(folder, movie, left, frame_rate_hz)


def _page(width: float, height: float, title: str) -> Any:
    figure: Any = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"), x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _draw_result(folder: Path, movie: Rows, found: Decomposed, left: LeftOver, frame_rate_hz: float | None) -> None:
    rank = len(np.load(folder / "temporal.npy", mmap_mode="r"))
    ratio = movie.height * movie.width * movie.frames / (rank * (movie.height * movie.width + movie.frames))
    rate = f" at {frame_rate_hz:g} Hz" if frame_rate_hz else ""
    figure = _page(
        12.5,
        8.5,
        f"{_short(movie.name)}: {movie.frames:,} frames{rate}, {movie.width} × {movie.height} pixels; "
        f"rank {rank}, {ratio:.1f} times smaller",
    )
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1))
    maps = upper.subplots(1, 4)
    pixel = _example(left)
    _map(upper, maps[0], found.mean, "mean", "recording's units", "gray")
    _map(upper, maps[1], found.noise, "noise (standard deviation)", "recording's units", "viridis")
    _map(upper, maps[2], left.denoised, "signal", "variance over noise variance", "magma")
    _map(upper, maps[3], _components(found), "components per block", "number, averaged over blocks", "cividis", low=0)
    for axes in maps[:3]:
        axes.plot(pixel[1], pixel[0], "o", markersize=9, markerfacecolor="none", markeredgecolor="#d1495b")
    _draw_example(lower, folder, movie, pixel, frame_rate_hz)
    _save(figure, folder / "figure.png")


def _example(left: LeftOver) -> tuple[int, int]:
    """The pixel with the most signal for its noise."""
    row, column = np.unravel_index(int(left.denoised.argmax()), left.denoised.shape)
    return int(row), int(column)


def _components(found: Decomposed) -> Array:
    counts, blocks = np.zeros(found.mean.shape), np.zeros(found.mean.shape)
    for block, maps in zip(found.tiling.blocks, found.maps, strict=True):
        counts[block.rows, block.columns] += maps.shape[1]
        blocks[block.rows, block.columns] += 1
    return np.asarray(counts / blocks)


def _map(figure: Any, axes: Any, image: Array, title: str, unit: str, colours: str, low: float | None = None) -> None:
    """An image with a bar of its colours; a few extreme pixels do not set them."""
    least, most = np.percentile(image, [0.5, 99.5])
    least = least if low is None else low
    shown = axes.imshow(image, cmap=colours, vmin=least, vmax=max(most, least + 1e-9))
    bar = figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.85, aspect=25, pad=0.03)
    bar.set_label(unit)
    bar.outline.set_visible(False)
    axes.set_title(title)
    axes.spines[:].set_visible(True)
    axes.set(xticks=[], yticks=[])


def _draw_example(figure: Any, folder: Path, movie: Rows, pixel: tuple[int, int], frame_rate_hz: float | None) -> None:
    """Raw, denoised and what is left, of one pixel, one below the other on one scale."""
    row, column = pixel
    count = min(movie.frames, SHOWN)
    start = (movie.frames - count) // 2
    frames = slice(start, start + count)
    line = np.empty((1, movie.width, count), np.float32)
    movie.read(slice(row, row + 1), line, frames)
    raw = line[0, column]
    maps = np.load(folder / "spatial.npy", mmap_mode="r")[row, column]
    mean = np.load(folder / "mean.npy", mmap_mode="r")[row, column]
    denoised = mean + np.array(maps) @ np.load(folder / "temporal.npy", mmap_mode="r")[:, frames]
    times = np.arange(start, start + count) / (frame_rate_hz or 1)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    above.plot(times, raw, color=RAW, linewidth=0.7, label="raw")
    above.plot(times, denoised, color=DENOISED, linewidth=1.1, label="denoised")
    above.set(
        title=f"the pixel with the most signal for its noise (circle: row {row}, column {column})",
        ylabel="recording's units",
    )
    above.legend(frameon=False, ncols=2, loc="upper right")
    below.plot(times, raw - denoised, color=LEFT, linewidth=0.7)
    low, high = above.get_ylim()
    below.set(
        title="residual, on the same scale", xlabel="time (s)" if frame_rate_hz else "frame", ylabel="raw − denoised"
    )
    half = (high - low) * 0.2
    below.set_ylim(-half, half)
    above.margins(x=0.005)


def _draw_residual(folder: Path, movie: Rows, left: LeftOver, frame_rate_hz: float | None) -> None:
    figure = _page(12.5, 7.5, f"{_short(movie.name)}: what denoising left over, beside white noise")
    (map_axes, histogram), (in_time, in_space) = figure.subplots(2, 2)
    shown = map_axes.imshow(left.variance, cmap="RdBu_r", vmin=0, vmax=2)
    bar = figure.colorbar(shown, ax=map_axes, shrink=0.9, pad=0.02)
    bar.set_label("residual variance / noise variance")
    bar.outline.set_visible(False)
    map_axes.set(title="1 everywhere (white) is nothing but noise", xticks=[], yticks=[])
    map_axes.spines[:].set_visible(True)
    histogram.hist(np.clip(left.variance, 0, 3).ravel(), bins=np.linspace(0, 3, 91), color=LEFT)
    histogram.axvline(1, color="#333333", linewidth=0.9)
    histogram.set(
        title=f"over all pixels: mean {left.variance.mean():.3f}",
        xlabel="residual variance / noise variance (last bar: 3 and more)",
        ylabel="pixels",
    )
    unit = f"lag (frames of {1000 / frame_rate_hz:.3g} ms)" if frame_rate_hz else "lag (frames)"
    _correlation(in_time, left.in_time, left.band, "in time", unit)
    _correlation(in_space, left.in_space, left.band, "in space", "distance (pixels)")
    _save(figure, folder / "residual.png")


def _correlation(axes: Any, values: Array, band: float, where: str, unit: str) -> None:
    """From lag 1 on; lag 0 is 1 by definition."""
    lags = np.arange(1, len(values))
    axes.axhspan(-band, band, color="#cfd8e3", label="95 % of white noise")
    axes.axhline(0, color="#888888", linewidth=0.7)
    axes.plot(lags, values[1:], "o-", color=LEFT, markersize=4, linewidth=1, label="residual")
    low, high = (max(0.05, 1.15 * float(np.max(sign * values[1:]))) for sign in (-1, 1))
    axes.set(title=f"autocorrelation {where}", xlabel=unit, ylabel="correlation", ylim=(-low, high), xticks=lags)
    axes.legend(frameon=False, loc="upper right")


def _short(name: str) -> str:
    return name if len(name) <= 50 else f"{name[:34]}…{name[-14:]}"
