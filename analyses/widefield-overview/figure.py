"""mean.png: both channels' mean images, and the atlas that was handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Array = np.ndarray[Any, Any]

CHANNEL_NAMES = ("blue (functional)", "violet (hemodynamic)")
NAMED_AREA, NAMED_WIDTH = 0.35, 0.5  # mm², mm: regions smaller or narrower than this get no name
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


def draw(path: Path, headline: str, mean: Array, atlas: dict[str, Any], mask: Array | None) -> None:
    """mean: (2, height, width). mask: (height, width), drawn as a line around what is not 0; None to draw none."""
    with rc_context(STYLE):
        figure: Any = Figure(figsize=(14, 5), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
        FigureCanvasAgg(figure)
        *images, map_axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
        for axes, image, name in zip(images, mean, CHANNEL_NAMES, strict=True):
            low, high = np.percentile(image, [1, 99.8])
            shown = axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
            axes.set(title=f"mean image, {name}", xlabel="x (px)", ylabel="y (px)")
            if mask is not None:
                _draw_rim(axes, mask)
            bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02, aspect=25)
            bar.set_label("brightness (counts)")
            bar.outline.set_visible(False)
        _draw_atlas(map_axes, atlas)
        figure.suptitle(headline.replace("$", r"\$"), x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(path, dpi=130, metadata={"Software": None})


def _draw_rim(axes: Any, mask: Array) -> None:
    """The line between what is in the mask and what is not; along the image's border where the mask reaches it."""
    padded = np.pad(mask, 1)
    places = [np.arange(-1, size + 1) for size in reversed(mask.shape)]
    axes.contour(*places, padded, levels=[0.5], colors=["#f0b93a"], linewidths=1.2)
    axes.plot([], [], color="#f0b93a", linewidth=1.2, label="mask")
    axes.legend(loc="lower right", fontsize=7, framealpha=0.8)


def _draw_atlas(axes: Any, atlas: dict[str, Any]) -> None:
    for region in atlas["regions"]:
        x, y = np.array(region["x"]), np.array(region["y"])
        axes.plot(x, y, color="#555555", linewidth=0.7)
        area, centre = _area_and_centre(x, y)
        if region["side"] == "right" and area >= NAMED_AREA and np.ptp(x) >= NAMED_WIDTH:
            axes.text(*centre, region["acronym"], fontsize=6, ha="center", va="center", color="#333333")
    marks = atlas["landmarks"]
    places = [[one["x"] for one in marks], [one["y"] for one in marks]]
    axes.plot(*places, "o", color="#d1495b", markersize=5, label="landmarks")
    axes.plot(0, 0, "+", color="#3b6fb6", markersize=8, label="bregma")
    kind = "schematic, not a measured atlas" if atlas["schematic"] else atlas["name"]
    axes.set(title=f"atlas: {kind}", xlabel="mm to the right of bregma", ylabel="mm behind bregma", aspect="equal")
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower center", fontsize=7, ncols=2, bbox_to_anchor=(0.5, 0))
    axes.margins(0.06, 0.1)


def _area_and_centre(x: Array, y: Array) -> tuple[float, tuple[float, float]]:
    """Of a closed polygon."""
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    area = cross.sum() / 2
    if not area:
        return 0.0, (float(x.mean()), float(y.mean()))
    centre = (((x[:-1] + x[1:]) * cross).sum() / (6 * area), ((y[:-1] + y[1:]) * cross).sum() / (6 * area))
    return abs(float(area)), (float(centre[0]), float(centre[1]))
