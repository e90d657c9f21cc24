"""Small copies of the result for a page in a browser: maps, time courses, and what correlation maps of a pixel need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from atlas import Region
from result import Result

Array = np.ndarray[Any, Any]

LARGEST = 160  # pixels along the longer side
MOST_FRAMES = 20_000
MOST_DIRECTIONS, ENOUGH_VARIANCE = 64, 0.999
OUTLINE_STEP_PX = 0.75


def write_explore(folder: Path, result: Result) -> None:
    """explore.json, A (K, h, w) uint8, C (K, T/n), U (h, w, R), V (R, T/n) and mask (h, w) as .npy.

    V's rows are orthonormal over all frames with mean zero, so the correlation of pixels p and q is the cosine of U[p]
    and U[q], and the time course of p is U[p] @ V. They leave at most 0.1 % of the variance out, or hold 64 directions.
    """
    folder.mkdir()
    inside = result.movie.inside
    height, width = inside.shape
    step = -(-max(height, width) // LARGEST)
    every = -(-result.movie.frames // MOST_FRAMES)
    area = shrunk(np.ones((height, width)), step)
    brain = shrunk(inside.astype(float), step)
    maps = np.stack([shrunk(result.image(k).astype(float), step) / area for k in range(result.count)])
    scales = maps.max(axis=(1, 2)) / 255
    U, V = _directions(result, step, brain)
    np.save(folder / "A.npy", np.round(maps / np.where(scales > 0, scales, 1)[:, None, None]).astype(np.uint8))
    np.save(folder / "C.npy", thinned(result.courses, every).astype(np.float32))
    np.save(folder / "U.npy", U.astype(np.float32))
    np.save(folder / "V.npy", thinned(V, every).astype(np.float32))
    np.save(folder / "mask.npy", (2 * brain >= area).astype(np.uint8))
    document = {
        "format": 1,
        "height": height,
        "width": width,
        "step": step,
        "map_height": maps.shape[1],
        "map_width": maps.shape[2],
        "frames": result.movie.frames,
        "sampling_rate_hz": result.sampling_rate_hz,
        "sample_step": every,
        "unit": "ΔF/F",
        "atlas": result.atlas.name,
        "schematic": result.atlas.schematic,
        "placement": "centred" if result.placement.rms_px is None else "landmarks",
        "pixels_per_mm": result.placement.pixels_per_mm,
        "mirrored": result.placement.mirrored,
        "rms_px": result.placement.rms_px,
        "loc_thresh": float(result.config["loc_thresh"]),
        "min_region_px": int(result.config["min_region_px"]),
        "left_out": [{"acronym": one.acronym, "side": one.side, "pixels": pixels} for one, pixels in result.left_out],
        "r2": result.r2,
        "components": [_component(result, k, float(scales[k])) for k in range(result.count)],
        "outlines": [_outline(region) for region in result.outlines],
    }
    (folder / "explore.json").write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


def shrunk(image: Array, step: int) -> Array:
    """Sums over squares of `step` pixels, (..., H, W) to (..., h, w), smaller ones at the lower and right rim."""
    rows = np.add.reduceat(image, np.arange(0, image.shape[-2], step), axis=-2)
    return np.add.reduceat(rows, np.arange(0, image.shape[-1], step), axis=-1)


def thinned(courses: Array, every: int) -> Array:
    """Means over every so many frames; a rest at the end is left out."""
    frames = courses.shape[1] // every * every
    means: Array = courses[:, :frames].reshape(len(courses), -1, every).mean(axis=2)
    return means


def _directions(result: Result, step: int, brain: Array) -> tuple[Array, Array]:
    """U (h, w, R) and V (R, T) of the recording without its mean, pixels averaged over those of the brain."""
    movie = result.movie
    basis, triangle = np.linalg.qr(movie.basis - movie.offset)
    points = triangle @ movie.points
    image = np.zeros((len(points), *movie.inside.shape), np.float32)
    image[:, movie.inside] = points
    small = shrunk(image, step).astype(np.float64) / np.maximum(brain, 1)
    flat = small.reshape(len(small), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    enough = int(np.searchsorted(np.cumsum(values), ENOUGH_VARIANCE * values.sum())) + 1
    chosen = vectors[:, : min(enough, MOST_DIRECTIONS, len(values))]
    return np.tensordot(small, chosen, axes=(0, 0)), chosen.T @ basis.T


def _component(result: Result, k: int, scale: float) -> dict[str, Any]:
    region = result.regions[result.region[k]]
    return {
        "index": k,
        "region": region.acronym,
        "side": region.side,
        "name": region.name,
        "localization": float(result.localization[k]),
        "explained_variance": float(result.explained[k]),
        "region_r2": float(result.region_r2[result.region[k]]),
        "lambda": float(result.penalty[k]),
        "scale": scale,
        "peak": result.peak(k),
    }


def _outline(region: Region) -> dict[str, Any]:
    """The polygon in pixels, without points nearer to the last than the eye can tell."""
    kept = [region.outline[0]]
    for point in region.outline[1:]:
        if abs(point - kept[-1]) >= OUTLINE_STEP_PX:
            kept.append(point)
    outline = np.array(kept)
    return {
        "acronym": region.acronym,
        "name": region.name,
        "side": region.side,
        "label": region.label,
        "x": outline.real.round(2).tolist(),
        "y": outline.imag.round(2).tolist(),
    }
