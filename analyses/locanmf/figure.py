"""Two pages to judge a result by: the components on the atlas with their time courses, and how the search went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from result import Result

Array = np.ndarray[Any, Any]

NOT_ANALYSED = 0.86  # grey
SHOWN = 12  # components with a map and a time course of their own
# Okabe and Ito's colours, told apart by colour-blind people too, in lighter and darker versions for more regions.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#3a9bd0", "#8c6d00", "#5b3a8e")
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


def draw_components(path: Path, result: Result) -> None:
    """Writes a PNG: all components in one picture, and maps and time courses of those that explain most."""
    shown = _most_telling(result)
    with rc_context(STYLE):
        figure: Any = Figure(figsize=(14, 10.5), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
        FigureCanvasAgg(figure)
        upper, lower = figure.subfigures(2, 1, height_ratios=(3, 2))
        left, right = upper.subfigures(1, 2, width_ratios=(1, 1))
        _draw_all(left.subplots(), result)
        _draw_courses(right.subplots(), result, shown)
        columns = (SHOWN + 1) // 2
        cells = lower.subplots(2, columns, squeeze=False).ravel()
        for cell, k in zip(cells, shown, strict=False):
            _draw_map(cell, result, k)
        for cell in cells[len(shown) :]:
            cell.set_axis_off()
        bar = lower.colorbar(cells[0].images[0], ax=list(cells), shrink=0.8, aspect=30, pad=0.01)
        bar.set_label("weight, 1 at the map's peak")
        bar.outline.set_visible(False)
        placed = "" if result.placement.rms_px is not None else "; the atlas is NOT aligned: no landmarks were given"
        kind = " (schematic)" if result.atlas.schematic else ""
        small = f"; regions too small: {len(result.left_out)}" if result.left_out else ""
        title = (
            f"{result.count} components in {len(result.regions)} regions of {result.atlas.name}{kind}: "
            f"R² {result.r2:.3f}, {result.localization.mean():.0f} % localized{small}{placed}"
        )
        figure.suptitle(title.replace("$", r"\$"), x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(path, dpi=120, metadata={"Software": None})


def draw_fit(path: Path, result: Result) -> None:
    """Writes a PNG: objective after each sweep, R² of each region, localization of each component."""
    with rc_context(STYLE):
        figure: Any = Figure(figsize=(12.5, 8), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
        FigureCanvasAgg(figure)
        upper, lower = figure.subfigures(2, 1)
        _draw_objective(upper.subplots(), result)
        left, right = lower.subplots(1, 2)
        _draw_r2(left, result)
        _draw_localization(right, result)
        figure.savefig(path, dpi=120, metadata={"Software": None})


def _most_telling(result: Result) -> list[int]:
    """The largest component of as many regions as there is room for, then the others, by explained variance."""
    order = np.argsort(-result.explained)
    first = {int(result.region[k]): int(k) for k in order[::-1]}
    best = sorted(first.values(), key=lambda k: -result.explained[k])[:SHOWN]
    rest = [int(k) for k in order if int(k) not in best]
    return [*best, *rest][:SHOWN]


def _colour(result: Result, k: int) -> str:
    """One colour for an area, on both sides."""
    acronyms = list(dict.fromkeys(region.acronym for region in result.regions))
    return COLOURS[acronyms.index(result.regions[result.region[k]].acronym) % len(COLOURS)]


def _draw_all(axes: Any, result: Result) -> None:
    """Each pixel in the colour of its strongest component, as strong as that is; a region's second one is paler.

    What the atlas has and the mask has not is grey.
    """
    strongest = result.maps.argmax(axis=0)
    weight = result.maps[strongest, np.arange(result.movie.pixels)]
    tints, seen = [], dict.fromkeys(range(len(result.regions)), 0)
    for k, region in enumerate(result.region):
        colour = np.array(to_rgb(_colour(result, k)))
        tints.append(colour + (1 - colour) * 0.5 * (seen[int(region)] % 2))
        seen[int(region)] += 1
    image = np.ones((*result.movie.inside.shape, 3))
    hidden = (result.labels > 0) & ~result.movie.inside
    image[hidden] = NOT_ANALYSED
    image[result.movie.inside] = 1 + weight[:, None] * (np.array(tints)[strongest] - 1)
    axes.imshow(image, interpolation="nearest")
    _draw_outlines(axes, result, colour="#222222", width=0.8)
    for region in result.regions:
        rows, columns = np.nonzero(result.labels == result.outlines.index(region) + 1)
        at = complex(columns.mean(), rows.mean())
        axes.text(
            at.real, at.imag, region.acronym, ha="center", va="center", fontsize=7, color="#111111",
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.65},
        )  # fmt: skip
    _frame(axes, result)
    words = "paler: further ones of the region" + ("; grey: not in the mask" if hidden.any() else "")
    axes.set_title(f"all components, each in its region's colour ({words})")


def _draw_map(axes: Any, result: Result, k: int) -> None:
    image = np.where(result.movie.inside, result.image(k), np.nan)
    axes.imshow(image, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    _draw_outlines(axes, result, colour="#9a9a9a", width=0.5)
    outline = result.regions[result.region[k]].outline
    closed = np.append(outline, outline[0])
    axes.plot(closed.real, closed.imag, color=_colour(result, k), linewidth=1.4)
    _frame(axes, result)
    name = result.regions[result.region[k]].title
    shares = f"{result.localization[k]:.0f} % inside, {100 * result.explained[k]:.1f} % of var."
    axes.set_title(f"{k}: {name}\n{shares}", color=_colour(result, k), fontsize=8.5)


def _draw_outlines(axes: Any, result: Result, *, colour: str, width: float) -> None:
    for region in result.outlines:
        closed = np.append(region.outline, region.outline[0])
        axes.plot(closed.real, closed.imag, color=colour, linewidth=width)


def _frame(axes: Any, result: Result) -> None:
    """An image has a border all round and no ticks, and outlines that leave it are cut."""
    height, width = result.movie.inside.shape
    axes.spines[:].set_visible(True)
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_courses(axes: Any, result: Result, shown: list[int]) -> None:
    """One row per component, in its own standard deviations; the first minute, or 900 frames, so that shapes show."""
    rate = result.sampling_rate_hz
    frames = min(result.movie.frames, int(60 * rate) if rate else 900)
    times = np.arange(frames) / (rate or 1)
    spacing = 5.0  # standard deviations between rows
    for row, k in enumerate(shown):
        course = result.courses[k]
        spread = course.std() or 1.0
        axes.plot(
            times, (course[:frames] - course.mean()) / spread - spacing * row, color=_colour(result, k), linewidth=0.8
        )
    axes.set(
        title=f"time courses of the components below (rows are {spacing:g} standard deviations apart)",
        xlabel="time (s)" if rate else "frame",
        yticks=[-spacing * row for row in range(len(shown))],
        yticklabels=[f"{k}: {result.regions[result.region[k]].title}" for k in shown],
    )
    for label, k in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color(_colour(result, k))
    axes.margins(x=0.005, y=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=not rate))


def _draw_objective(axes: Any, result: Result) -> None:
    start = 1
    for phase in result.phases:
        if not phase.objective:
            continue
        sweeps = np.arange(start, start + len(phase.objective))
        colour = COLOURS[(phase.round - 1) % 2]
        axes.plot(
            sweeps, np.array(phase.objective) / result.energy, color=colour, marker="o", markersize=2.5, linewidth=1
        )
        if phase.step == 1:
            axes.axvline(start - 0.5, color="#cccccc", linewidth=0.7, zorder=0)
            axes.annotate(
                f"{phase.components}", (start - 0.3, 1.0), xycoords=("data", "axes fraction"), fontsize=7.5,
                color="#555555", va="top",
            )  # fmt: skip
        start += len(phase.objective)
    axes.set(
        title="objective after each sweep: it never rises along a line; gaps: other penalties or (grey) another number "
        "of components, which stands on top",
        xlabel="sweep",
        ylabel="objective / energy of the recording",
        yscale="log",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_r2(axes: Any, result: Result) -> None:
    places = np.arange(len(result.regions))
    threshold = float(result.config["r2_thresh"])
    colours = [COLOURS[0] if r2 >= threshold else COLOURS[4] for r2 in result.region_r2]
    axes.vlines(places, min(0.9 * result.region_r2.min(), threshold), result.region_r2, color="#dddddd", linewidth=1)
    axes.scatter(places, result.region_r2, c=colours, s=18 + 10 * result.region_components, zorder=3)
    axes.axhline(threshold, color="#555555", linewidth=0.8, linestyle="--")
    low = min(float(result.region_r2.min()), threshold)
    axes.set(
        title=f"R² of each region (dashed: the {threshold:g} asked for; larger dots have more components)",
        xticks=places,
        ylabel="R²",
        ylim=(low - 0.15 * (1 - low) - 0.002, 1 + 0.05 * (1 - low)),
    )
    labels = [f"{region.acronym} {region.side[0].upper()}" for region in result.regions]
    axes.set_xticklabels(labels, rotation=90, fontsize=7 if len(labels) > 25 else 8)


def _draw_localization(axes: Any, result: Result) -> None:
    threshold = float(result.config["loc_thresh"])
    axes.scatter(
        result.relative_penalty, result.localization, c=[_colour(result, k) for k in range(result.count)], s=22
    )
    axes.axhline(threshold, color="#555555", linewidth=0.8, linestyle="--")
    axes.set(
        title=f"each component's localization and its penalty (dashed: the {threshold:g} % asked for)",
        xlabel="penalty λ per pixel of distance, relative to the recording",
        ylabel="energy inside the region (%)",
        xscale="log",
        xlim=(0.7 * result.relative_penalty.min(), 1.4 * result.relative_penalty.max()),
        ylim=(min(threshold, float(result.localization.min())) - 3, 101),
    )
    axes.tick_params(axis="x", which="minor", labelsize=6.5)
