"""One figure per recording: channels with their gaps, reconstruction and states with 95 % bands, fit and dynamics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from model import Array
from numpy.typing import NDArray
from reading import Observations

if TYPE_CHECKING:
    from estimation import Smoothed

mpl.use("Agg")
import matplotlib.pyplot as plt

BAND = 1.959964  # Standard deviations either side of the mean that hold 95 % of a Gaussian.
MOST_CHANNELS, MOST_STATES, MOST_POINTS = 4, 4, 600
INK, DATA, GAP = "#1b2a41", "#6b7a8f", "#fbeed5"
COLOURS = ("#1f77b4", "#d1495b", "#2a9d8f", "#8e6c8a")


def draw(
    path: Path,
    *,
    observations: Observations,
    states: Smoothed,
    predictions: dict[str, Array],
    log_likelihood: Array,
    eigenvalues: NDArray[np.complex128],
    rate_hz: float,
) -> None:
    """Write the figure as PNG. Shows one trial, and of a long recording the stretch around its longest gap."""
    seen = np.isfinite(observations.values)
    trial, window = _stretch(seen)
    shown = _channels(seen[trial, window])
    count = min(states.means.shape[2], MOST_STATES)
    time = np.arange(seen.shape[1])[window] / (rate_hz or 1)
    rows = len(shown) + 2
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK}):
        figure = plt.figure(figsize=(12, 1.3 * rows + 1.3), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.02, hspace=0.0)
        grid = figure.add_gridspec(rows, 2, width_ratios=(3.1, 1))
        first: Any = None
        for row, channel in enumerate(shown):
            first = axes = figure.add_subplot(grid[row, 0], sharex=first)
            _channel(axes, observations, predictions, trial, window, channel, time)
            axes.tick_params(labelbottom=False)
            if row == 0:
                axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, borderaxespad=0.1)
        bottom = figure.add_subplot(grid[len(shown) :, 0], sharex=first)
        _shade(bottom, np.logical_not(seen[trial, window].any(axis=1)), time)
        _states(bottom, states, trial, window, time, count)
        bottom.set_xlabel("time (s)" if rate_hz else "time point")
        half = rows // 2
        _curve(figure.add_subplot(grid[:half, 1]), log_likelihood)
        _dynamics(figure.add_subplot(grid[half:, 1]), eigenvalues, rate_hz)
        figure.align_ylabels(figure.axes[: len(shown) + 1])
        figure.suptitle(_title(observations, trial, window), color=INK, fontsize=11, x=0.01, ha="left")
        figure.savefig(path, dpi=130, metadata={"Software": None})
        plt.close(figure)


def _stretch(seen: NDArray[np.bool_]) -> tuple[int, slice]:
    """The trial with the most gaps, and the time points to show of it."""
    trial = int((~seen).sum(axis=(1, 2)).argmax())
    points = seen.shape[1]
    if points <= MOST_POINTS:
        return trial, slice(0, points)
    load = np.convolve((~seen[trial]).any(axis=1), np.ones(MOST_POINTS), mode="valid")
    middle_of_best = int(np.median(np.flatnonzero(load == load.max()))) if load.any() else 0
    return trial, slice(middle_of_best, middle_of_best + MOST_POINTS)


def _channels(seen: NDArray[np.bool_]) -> list[int]:
    """Channels to show: those with the most gaps in view, in the recording's order."""
    missing = (~seen).sum(axis=0)
    return sorted(np.argsort(-missing, kind="stable")[:MOST_CHANNELS].tolist())


def _channel(
    axes: Any,
    observations: Observations,
    predictions: dict[str, Array],
    trial: int,
    window: slice,
    channel: int,
    time: Array,
) -> None:
    values = observations.values[trial, window, channel]
    mean = predictions["reconstruction"][trial, window, channel]
    gap = ~np.isfinite(values)
    # In a gap the band is that of the missing value itself, which channels seen at that moment can narrow.
    centre = np.where(gap, predictions["filled"][trial, window, channel], mean)
    spread = predictions["reconstruction_sd"][trial, window, channel]
    spread = BAND * np.where(gap, predictions["filled_sd"][trial, window, channel], spread)
    _shade(axes, gap, time)
    axes.fill_between(time, centre - spread, centre + spread, color=COLOURS[0], alpha=0.25, lw=0, label="95 % band")
    axes.plot(time, centre, color=COLOURS[0], lw=1.3, label="reconstruction")
    axes.plot(time, values, ".", color=DATA, ms=2.6, label="observed", zorder=3)
    axes.set_ylabel(_short(observations.channels[channel]), color=INK)
    axes.margins(x=0.005)


def _shade(axes: Any, gap: NDArray[np.bool_], time: Array) -> None:
    half = 0.5 * (time[1] - time[0])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], gap, [False]])))
    for number, (start, stop) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        label = {"label": "gap"} if number == 0 else {}
        axes.axvspan(time[start] - half, time[stop - 1] + half, color=GAP, lw=0, zorder=0, **label)


def _states(axes: Any, states: Smoothed, trial: int, window: slice, time: Array, count: int) -> None:
    means = np.asarray(states.means)[trial, window]
    variances = np.diagonal(np.asarray(states.covariances)[trial, window], axis1=1, axis2=2)
    deviations = np.sqrt(np.maximum(variances, 0.0))
    for state in range(count):
        colour = COLOURS[state % len(COLOURS)]
        low, high = (means[:, state] + sign * BAND * deviations[:, state] for sign in (-1, 1))
        axes.fill_between(time, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(time, means[:, state], color=colour, lw=1.4, label=f"state {state + 1}")
    more = means.shape[1] - count
    axes.set_ylabel("smoothed states" + (f" ({more} more)" if more else ""), color=INK)
    lines, names = axes.get_legend_handles_labels()
    own = [(line, "nothing observed" if name == "gap" else name) for line, name in zip(lines, names, strict=True)]
    axes.legend(
        *zip(*own, strict=True),
        ncols=count + 1,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        frameon=False,
        borderaxespad=0.1,
    )
    axes.margins(x=0.005)


def _curve(axes: Any, log_likelihood: Array) -> None:
    axes.set_title("log-likelihood", loc="left", color=INK, fontsize=9)
    if len(log_likelihood) == 1:
        axes.axis("off")
        axes.text(0, 0.9, f"{log_likelihood[0]:.2f}\n(parameters were given)", va="top", transform=axes.transAxes)
        return
    axes.plot(log_likelihood, "-", color=INK, lw=1.3, marker=".", ms=3)
    axes.set_xlabel("EM iteration")
    axes.set_ylim(*_limits(log_likelihood))
    axes.text(
        0.97,
        0.06,
        f"{log_likelihood[0]:.1f} → {log_likelihood[-1]:.1f}",
        transform=axes.transAxes,
        ha="right",
        color=INK,
    )


def _limits(curve: Array) -> tuple[float, float]:
    margin = 0.06 * max(float(np.ptp(curve)), 1e-9)
    return float(curve.min()) - 3 * margin, float(curve.max()) + margin


def _dynamics(axes: Any, eigenvalues: NDArray[np.complex128], rate_hz: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 400)
    axes.plot(np.cos(turn), np.sin(turn), color=DATA, lw=0.8)
    axes.axhline(0, color=DATA, lw=0.4)
    axes.axvline(0, color=DATA, lw=0.4)
    axes.plot(eigenvalues.real, eigenvalues.imag, "o", color=COLOURS[1], ms=5)
    axes.set_title("eigenvalues of the dynamics F", loc="left", color=INK, fontsize=9)
    axes.set_aspect("equal")
    axes.set_xlabel("real")
    axes.set_ylabel("imaginary")
    leading = eigenvalues[0]
    cycles = abs(np.angle(leading)) / (2 * np.pi)
    text = f"|λ₁| = {abs(leading):.4f}"
    if cycles > 0:
        text += f"\n{cycles * rate_hz:.3g} Hz" if rate_hz else f"\nperiod {1 / cycles:.1f} points"
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=INK, backgroundcolor="white")


def _title(observations: Observations, trial: int, window: slice) -> str:
    points = observations.values.shape[1]
    title = f"{_short(observations.filename, 60)}: Kalman smoother"
    if not observations.single:
        title += f", trial {trial + 1} of {observations.values.shape[0]}"
    if window.stop - window.start < points:
        title += f", time points {window.start + 1}–{window.stop} of {points}"
    return title


def _short(text: str, length: int = 18) -> str:
    """Names are shown as they are: a dollar sign must not start mathematics."""
    return (text if len(text) <= length else text[: length - 1] + "…").replace("$", r"\$")
