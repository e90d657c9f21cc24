"""One page to judge a hemodynamic correction by: where violet explains blue, a pixel before and after, the spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from decomposed import Decomposed
from hemodynamics import Corrected, Filters, Spectra
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Array = np.ndarray[Any, Any]

BEFORE, AFTER, VIOLET = "#3b6fb6", "#2f8f6b", "#8e5ea2"
SHOWN_SECONDS = 12.0
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


def draw(path: Path, data: Decomposed, corrected: Corrected, spectra: Spectra, filters: Filters) -> None:
    """Writes a PNG."""
    with rc_context(STYLE):
        figure: Any = Figure(figsize=(12.5, 9.5), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
        FigureCanvasAgg(figure)
        upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1))
        left, middle, right = upper.subplots(1, 3, width_ratios=(1, 1, 1.1))
        y, x = _example(corrected)
        seen = corrected.explained > 0
        high = float(np.percentile(corrected.coefficients[seen], 99)) if seen.any() else 1.0
        low = min(0.0, float(np.percentile(corrected.coefficients[seen], 1))) if seen.any() else 0.0
        _draw_map(
            upper, left, corrected.coefficients, "violet's coefficient in blue", "coefficient", (low, high), (x, y)
        )
        _draw_map(upper, middle, 100 * corrected.explained, "variance of blue taken off", "%", (0, 100), (x, y))
        _draw_spectrum(right, spectra)
        _draw_pixel(lower.subplots(2, 1, sharex=True), data, corrected, filters, (y, x))
        figure.suptitle(_headline(data, spectra, filters), x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(path, dpi=130, metadata={"Software": None})


def _headline(data: Decomposed, spectra: Spectra, filters: Filters) -> str:
    height, width, rank = data.shape
    removed = 1 - spectra.after.sum() / spectra.before.sum()
    beat = spectra.heart_hz
    heart = f"; {spectra.left_at(beat):.0%} of the power around {beat:.1f} Hz is left" if beat else ""
    return (
        f"{data.blue.shape[1]:,} time points at {filters.sampling_rate_hz:g} Hz, {width} × {height} pixels, "
        f"rank {rank}: {removed:.0%} of blue's variance taken off{heart}"
    )


def _example(corrected: Corrected) -> tuple[int, int]:
    """(y, x) of a pixel where much was taken off and much is left."""
    taken = corrected.variance * corrected.explained
    score = np.minimum(taken, corrected.variance - taken)
    y, x = np.unravel_index(np.argmin(np.abs(score - np.percentile(score, 99.5))), score.shape)
    return int(y), int(x)


def _draw_map(
    figure: Any, axes: Any, values: Array, title: str, label: str, limits: tuple[float, float], mark: tuple[int, int]
) -> None:
    image = axes.imshow(values, cmap="viridis", vmin=limits[0], vmax=max(limits[1], limits[0] + 1e-9))
    axes.plot(*mark, marker="s", markersize=7, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.5)
    axes.spines[:].set_visible(True)
    axes.set(title=title, xlabel="x (px)", ylabel="y (px)")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02, aspect=25, location="bottom")
    bar.set_label(label)
    bar.outline.set_visible(False)


def _draw_spectrum(axes: Any, spectra: Spectra) -> None:
    shown = spectra.frequencies_hz > 0
    beat = spectra.heart_hz
    if beat:
        width = spectra.HALF_WIDTH_HZ
        axes.axvspan(beat - width, beat + width, color="#eeeeee", label=f"heart beat, {beat:.1f} Hz")
    for power, colour, label in (
        (spectra.violet, VIOLET, "violet"),
        (spectra.before, BEFORE, "blue before"),
        (spectra.after, AFTER, "blue after"),
    ):
        axes.semilogy(spectra.frequencies_hz[shown], power[shown], color=colour, linewidth=1.2, label=label)
    axes.set(title="power, mean over pixels", xlabel="frequency (Hz)", ylabel="(ΔF/F)² per Hz")
    lowest = min(spectra.before[shown].min(), spectra.after[shown].min())
    axes.set_ylim(0.3 * lowest, None)  # where violet is smoothed away it falls without end
    axes.margins(x=0.01)
    axes.legend(frameon=False, loc="best")


def _draw_pixel(rows: Any, data: Decomposed, corrected: Corrected, filters: Filters, place: tuple[int, int]) -> None:
    """The stretch in the middle of the recording, in per cent."""
    y, x = place
    weights = np.load(data.path, mmap_mode="r")[y, x].astype(float)
    times = data.blue.shape[1]
    length = min(times, int(SHOWN_SECONDS * filters.sampling_rate_hz))
    part = slice((times - length) // 2, (times - length) // 2 + length)
    seconds = np.arange(times)[part] / filters.sampling_rate_hz
    blue, violet, after = (
        100 * (weights @ one[:, part]) for one in (corrected.blue, corrected.violet, corrected.courses)
    )
    coefficient = corrected.coefficients[y, x]
    rows[0].plot(seconds, blue, color=BEFORE, linewidth=1, label="blue before")
    rows[0].plot(seconds, coefficient * violet, color=VIOLET, linewidth=1, label=f"violet × {coefficient:.2f}")
    rows[1].plot(seconds, after, color=AFTER, linewidth=1, label="blue after: the corrected signal")
    rows[0].set_title(f"the marked pixel (x {x}, y {y}), {seconds[0]:.0f} to {seconds[-1]:.0f} s")
    rows[1].set_xlabel("time (s)")
    limits = [min(blue.min(), after.min()), max(blue.max(), after.max())]
    for axes in rows:
        axes.set(ylabel="ΔF/F (%)", ylim=(limits[0] - 0.1, limits[1] + 0.1))
        axes.margins(x=0.005)
        axes.legend(frameon=False, loc="lower right", ncols=2, bbox_to_anchor=(1, 1), borderaxespad=0.1)
