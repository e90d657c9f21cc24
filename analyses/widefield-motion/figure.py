"""One page to judge a motion correction by: the channels' mean images, their shifts, how alike the frames became."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from correction import Motion
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from recording import Recording

Array = np.ndarray[Any, Any]

CHANNEL_NAMES = ("blue (functional)", "violet (hemodynamic)")
COLOURS = ("#3b6fb6", "#8e5ea2")
MOST_POINTS = 4000  # of a line
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


def draw(path: Path, recording: Recording, motion: Motion, *, rate_hz: float) -> None:
    """Writes a PNG."""
    with rc_context(STYLE):
        figure: Any = Figure(figsize=(12.5, 9.0), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
        FigureCanvasAgg(figure)
        upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1))
        for channel, axes in enumerate(upper.subplots(1, 2)):
            _draw_mean(upper, axes, motion.mean[channel], CHANNEL_NAMES[channel])
        rows = lower.subplots(3, 1, sharex=True)
        seconds = np.arange(recording.times) / rate_hz
        for axis, (axes, where) in enumerate(zip(rows, ("down", "right"), strict=False)):
            for channel in (1, 0):
                axes.plot(
                    *_thinned(seconds, motion.shifts[:, channel, axis]),
                    color=COLOURS[channel],
                    linewidth=0.8,
                    label=CHANNEL_NAMES[channel],
                )
            axes.axhline(0, color="#bbbbbb", linewidth=0.6, zorder=0)
            axes.set_ylabel(f"{where} (px)")
        rows[0].set_title("where each frame lay, relative to the mean image; undone in the results")
        rows[0].legend(frameon=False, loc="upper right", ncols=2)
        for channel in (1, 0):
            rows[2].plot(*_thinned(seconds, motion.likeness[:, channel]), color=COLOURS[channel], linewidth=0.8)
        rows[2].set_title("likeness of each registered frame's local contrast to the mean image's (correlation)")
        rows[2].set(xlabel="time (s)", ylabel="likeness", ylim=(min(0.5, float(motion.likeness.min())) - 0.02, 1.02))
        rows[2].margins(x=0.005)
        figure.suptitle(_headline(recording, motion, rate_hz), x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(path, dpi=130, metadata={"Software": None})


def _headline(recording: Recording, motion: Motion, rate_hz: float) -> str:
    name = recording.name if len(recording.name) <= 60 else f"{recording.name[:40]}…{recording.name[-16:]}"
    height, width = recording.shape
    largest = float(np.hypot(*np.moveaxis(motion.shifts, -1, 0)).max())
    return (
        f"{name}: {recording.times:,} time points at {rate_hz:g} Hz, {width} × {height} pixels; "
        f"largest shift {largest:.1f} px"
    ).replace("$", r"\$")


def _draw_mean(figure: Any, axes: Any, mean: Array, title: str) -> None:
    low, high = np.percentile(mean, [1, 99.8])
    image = axes.imshow(mean, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
    axes.spines[:].set_visible(True)
    axes.set(title=f"mean of the registered frames, {title}", xlabel="x (px)", ylabel="y (px)")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, aspect=25)
    bar.set_label("brightness (counts)")
    bar.outline.set_visible(False)


def _thinned(seconds: Array, course: Array) -> tuple[Array, Array]:
    """A long line as the lowest and highest value of every so many points, in turn, so that no jump is lost."""
    group = 2 * len(course) // MOST_POINTS
    if group < 2:
        return seconds, course
    whole = len(course) // group * group
    groups = course[:whole].reshape(-1, group)
    return np.repeat(seconds[:whole:group], 2), np.stack([groups.min(axis=1), groups.max(axis=1)], axis=1).reshape(-1)
