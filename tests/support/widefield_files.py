"""What the pages of `widefield` read, made up: a mean image with vessels, an atlas, and planted components.

As a module (`python -m support.widefield_files FOLDER`) it writes them, to look at the pages with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

HEIGHT, WIDTH, STEP = 240, 280, 2
FRAMES, RATE_HZ = 1500, 30.0
PIXELS_PER_MM, ROTATION, SHIFT = 17.5, 0.06, (141.0, 104.0)  # of the planted alignment, from mm to image px
LANDMARKS = {"OB_left": (-1.95, -3.45), "OB_center": (0.0, -3.45), "OB_right": (1.95, -3.45), "RSP_base": (0.0, 3.2)}
PLANTED = ("MOp", "MOs", "SSp-bfd", "SSp-ul", "VISp", "RSPd")


def to_pixels(x: Any, y: Any) -> tuple[Array, Array]:
    """Where a place of the atlas (mm) is in the image (px)."""
    image = PIXELS_PER_MM * np.exp(1j * ROTATION) * (np.asarray(x) + 1j * np.asarray(y)) + complex(*SHIFT)
    return image.real, image.imag


def planted_landmarks() -> list[dict[str, Any]]:
    places = {name: to_pixels(*place) for name, place in LANDMARKS.items()}
    return [{"name": name, "x": float(x), "y": float(y)} for name, (x, y) in places.items()]


def schematic() -> dict[str, Any]:
    """An atlas of ellipses, enough to name places by: not the one that is shipped."""
    ellipses = {  # centre and half-axes of the left one, mm
        "MOB": (-1.0, -4.3, 0.85, 0.8),
        "MOs": (-1.2, -1.9, 0.7, 1.4),
        "MOp": (-2.3, -1.1, 0.55, 1.2),
        "SSp-ul": (-2.8, 0.1, 0.4, 0.6),
        "SSp-bfd": (-3.7, 1.3, 0.7, 0.9),
        "SSp-tr": (-1.9, 1.0, 0.6, 0.4),
        "RSPd": (-0.6, 2.3, 0.4, 1.5),
        "VISp": (-2.6, 3.6, 0.9, 1.1),
    }
    angle = np.linspace(0, 2 * np.pi, 60)
    regions = []
    for label, (acronym, (x, y, a, b)) in enumerate(ellipses.items(), start=1):
        for side, sign in (("left", 1), ("right", -1)):
            edge = {"x": (sign * (x + a * np.cos(angle))).tolist(), "y": (y + b * np.sin(angle)).tolist()}
            regions.append({"acronym": acronym, "name": f"Area {acronym}", "label": label, "side": side, **edge})
    marks = [{"name": name, "x": x, "y": y} for name, (x, y) in LANDMARKS.items()]
    return {"name": "Ellipses", "schematic": True, "units": "mm", "landmarks": marks, "regions": regions}


def outlines(atlas: dict[str, Any]) -> list[dict[str, Any]]:
    """The atlas' regions in image pixels."""
    found = []
    for region in atlas["regions"]:
        x, y = to_pixels(region["x"], region["y"])
        found.append(region | {"x": np.round(x, 2).tolist(), "y": np.round(y, 2).tolist()})
    return found


def within(outline: dict[str, Any], height: int, width: int, step: int) -> Array:
    """bool (height, width): the pixels of the reduced map whose centres are inside the outline."""
    rows, columns = np.mgrid[:height, :width] * step + (step - 1) / 2
    x, y, inside = np.array(outline["x"]), np.array(outline["y"]), np.zeros((height, width), bool)
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        if y0 != y1:
            crosses = (y0 > rows) != (y1 > rows)
            inside ^= crosses & (columns < (x1 - x0) * (rows - y0) / (y1 - y0) + x0)
    return inside


def mean_image(atlas: dict[str, Any], random: np.random.Generator) -> Array:
    """float32 (2, HEIGHT, WIDTH): a bright cortex with dark vessels in blue light, darker and smoother in violet."""
    cortex = np.zeros((HEIGHT, WIDTH), bool)
    for outline in outlines(atlas):
        cortex |= within(outline, HEIGHT, WIDTH, 1)
    light = blurred(cortex.astype(float), 9)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    light = 300 + 9000 * light * np.exp(-(((y - 120) / 190) ** 2) - ((x - 140) / 200) ** 2)
    dark = np.zeros((HEIGHT, WIDTH))
    along = np.linspace(-5.2, 4.8, 900)
    _vessel(dark, *to_pixels(0.04 * np.sin(along), along), 0.9)  # the superior sagittal sinus
    for side in (-1, 1):
        for start in np.linspace(-4.0, 4.2, 9):
            turn = np.cumsum(random.normal(0, 0.02, 400))
            reach = np.linspace(0, 4.3, 400)
            away = side * reach * np.cos(0.5 + turn)
            _vessel(dark, *to_pixels(away, start + reach * np.sin(0.35 + turn) * (0.6 - 0.25 * start)), 0.45)
    light *= 1 - 0.55 * np.clip(blurred(dark, 3) * 2.4, 0, 1)
    violet = 0.35 * blurred(light, 3)
    noise = random.normal(0, 25, (2, HEIGHT, WIDTH))
    return (np.stack([light, violet]) + noise).astype(np.float32)


def _vessel(dark: Array, x: Array, y: Array, strength: float) -> None:
    rows, columns = np.round(y).astype(int), np.round(x).astype(int)
    inside = (rows >= 0) & (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
    dark[rows[inside], columns[inside]] = np.maximum(dark[rows[inside], columns[inside]], strength)


def blurred(image: Array, width: int) -> Array:
    """Two passes of a running mean along each axis."""
    for axis in (0, 1, 0, 1):
        wide = np.pad(image, [(width, width) if axis == each else (0, 0) for each in (0, 1)], "edge")
        sums = np.cumsum(np.moveaxis(wide, axis, 0), axis=0)
        means = (sums[width:] - sums[:-width]) / width
        before = width - (width + 1) // 2
        image = np.moveaxis(means[before : before + image.shape[axis]], 0, axis)
    return image


def write_overview(folder: Path, atlas: dict[str, Any], mask: Array | None = None) -> None:
    """What the step `overview` leaves: mean.npy, atlas.json, overview.json, and mask.npy if one was given."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "mean.npy", mean_image(atlas, np.random.default_rng(1)))
    (folder / "atlas.json").write_text(json.dumps(atlas))
    if mask is not None:
        np.save(folder / "mask.npy", mask.astype(np.uint8))
    about = {"channels": 2, "frames": FRAMES, "height": HEIGHT, "width": WIDTH, "sampling_rate_hz": RATE_HZ}
    (folder / "overview.json").write_text(json.dumps(about))


def write_exploration(folder: Path, atlas: dict[str, Any], *, spread: float = 5, seed: int = 2, less: int = 0) -> None:
    """What locanmf leaves in `explore/`: a component in each planted region of each half, of which `less` are missing.

    spread: how far the maps reach over the region's edge, in reduced pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random, edges = np.random.default_rng(seed), outlines(atlas)
    height, width = HEIGHT // STEP, WIDTH // STEP
    chosen = [one for name in PLANTED for one in edges if one["acronym"] == name][: 2 * len(PLANTED) - less]
    maps, mask = [], np.zeros((height, width), bool)
    for outline in edges:
        mask |= within(outline, height, width, STEP)
    for outline in chosen:
        one = blurred(within(outline, height, width, STEP).astype(float), round(spread)) * mask
        maps.append(one / one.max())
    courses = _courses(len(chosen), np.random.default_rng(7))
    spatial = np.array(maps)
    (pixels_basis, first), (times_basis, second) = (
        np.linalg.qr(spatial.reshape(len(maps), -1).T),
        np.linalg.qr(courses.T),
    )
    turned, singular, back = np.linalg.svd(first @ second.T)
    left, rows, rank = pixels_basis @ turned, back @ times_basis.T, len(singular)
    noise = random.normal(0, 0.02 * singular[0] / np.sqrt(mask.size), (height * width, rank))
    pixels = (left * singular + noise).reshape(height, width, rank) * mask[..., None]
    np.save(folder / "A.npy", np.round(255 * spatial).astype(np.uint8))
    np.save(folder / "C.npy", courses.astype(np.float32))
    np.save(folder / "U.npy", pixels.astype(np.float32))
    np.save(folder / "V.npy", rows.astype(np.float32))
    np.save(folder / "mask.npy", mask.astype(np.uint8))
    variance = (spatial**2).sum(axis=(1, 2)) * courses.var(axis=1)
    about = [
        _about(k, outline, maps[k], variance[k] / variance.sum(), within(outline, height, width, STEP))
        for k, outline in enumerate(chosen)
    ]
    document = {
        "format": 1, "height": HEIGHT, "width": WIDTH, "step": STEP, "map_height": height, "map_width": width,
        "frames": FRAMES, "sampling_rate_hz": RATE_HZ, "sample_step": 1, "schematic": atlas["schematic"],
        "atlas": atlas["name"], "pixels_per_mm": PIXELS_PER_MM, "rms_px": 0.4, "unit": "ΔF/F", "min_region_px": 300,
        "left_out": [{"acronym": "SSp-tr", "side": side, "pixels": 231} for side in ("left", "right")],
        "components": about, "outlines": edges,
    }  # fmt: skip
    (folder / "explore.json").write_text(json.dumps(document))


def _courses(number: int, random: np.random.Generator) -> Array:
    """float (number, FRAMES), zero-mean: transients that decay; neighbours in pairs share half of theirs."""
    events = random.random((number, FRAMES)) < 0.012
    events[1::2] |= events[::2][: len(events[1::2])] & (random.random((len(events[1::2]), FRAMES)) < 0.6)
    kernel = np.exp(-np.arange(90) / 18) * (1 - np.exp(-np.arange(90) / 3))
    courses = np.array([np.convolve(row * 0.03, kernel)[:FRAMES] for row in events.astype(float)])
    courses += random.normal(0, 0.0008, courses.shape)
    result: Array = courses - courses.mean(axis=1, keepdims=True)
    return result


def _about(index: int, outline: dict[str, Any], one: Array, share: float, inside: Array) -> dict[str, Any]:
    row, column = np.unravel_index(int(one.argmax()), one.shape)
    return {
        "index": index, "region": outline["acronym"], "side": outline["side"], "name": outline["name"],
        "localization": round(100 * float((one[inside] ** 2).sum() / (one**2).sum()), 2),
        "explained_variance": round(float(share), 5), "scale": 1 / 255,
        "peak": [column * STEP + (STEP - 1) / 2, row * STEP + (STEP - 1) / 2],
    }  # fmt: skip


def allen(folder: Path) -> dict[str, Any]:
    """The atlas in wfield's format, as the overview writes it."""
    marks = json.loads((folder / "dorsal_cortex_landmarks.json").read_text())["landmarks"]
    regions = [
        {key: region[key] for key in ("acronym", "name", "label")}
        | {"side": side, "x": region[f"{side}_x"], "y": region[f"{side}_y"]}
        for region in json.loads((folder / "dorsal_cortex_ccf_labels.json").read_text())
        for side in ("left", "right")
    ]
    places = zip(marks["name"], marks["x"], marks["y"], strict=True)
    marked = [{"name": name, "x": x, "y": y} for name, x, y in places]
    return {"name": "Allen CCF", "schematic": False, "units": "mm", "landmarks": marked, "regions": regions}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    used = allen(Path(sys.argv[2])) if len(sys.argv) > 2 else schematic()
    write_overview(target / "overview", used)
    write_exploration(target / "a" / "locanmf" / "explore", used)
    write_exploration(target / "b" / "locanmf" / "explore", used, spread=9, seed=3, less=2)
