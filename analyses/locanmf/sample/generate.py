"""A widefield recording with planted regional components: python generate.py FOLDER [--full]. The same every time.

U.npy            height x width x rank    spatial components of the denoised recording
SVTcorr.npy      rank x frames            their time courses
atlas.json       an atlas of 16 invented regions (cells of a Voronoi diagram in two hemispheres), millimetres
config.json      parameters: where the atlas' landmarks are in the image, and the sampling rate
mask.npy         height x width           brain pixels; one corner is hidden
truth.npz        A (height x width x components), C, and each component's region and side

80 x 96 pixels and 900 frames; with --full, the paper's 500 x 600 pixels and 9,000 frames at rank 200, in some minutes
and 3 GiB of memory. Maps are patches that are smooth at their rims and leave their region a little; six of the sixteen
regions hold two. Time courses are signals of 0.1 to 3 Hz that share much with each other, most with the other
hemisphere's. White noise is added to every pixel before the recording is cut to its rank.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LANDMARKS = {"OB_left": (-1.95, -3.45), "OB_center": (0.0, -3.45), "OB_right": (1.95, -3.45), "RSP_base": (0.0, 3.2)}
CENTRES = ((0.9, -2.6), (2.2, -2.0), (0.9, -0.8), (3.0, -0.5), (1.8, 0.6), (3.3, 1.4), (0.8, 2.2), (2.3, 2.8))  # mm
DOUBLE = {"P2", "P4", "P5"}  # regions with two components in each hemisphere
TILT_DEGREES = 4.0
SAMPLING_RATE_HZ = 15.0
NOISE = 0.4  # its standard deviation in a pixel, relative to that of a component at its peak
BLOCK = 4000  # pixels
SEED = 20200413


@dataclass(frozen=True, kw_only=True)
class Size:
    height: int = 80
    width: int = 96
    frames: int = 900
    rank: int = 26


FULL = Size(height=500, width=600, frames=9000, rank=200)


@dataclass(frozen=True, kw_only=True)
class Planted:
    atlas: dict[str, Any]
    landmarks: list[dict[str, Any]]
    maps: Array  # (K, H, W)
    courses: Array  # (K, T)
    regions: list[tuple[str, str]]  # acronym and side of each component
    mask: Array
    noise: float


def plant(size: Size, *, seed: int = SEED, noise: float = NOISE) -> Planted:
    random = np.random.default_rng(seed)
    turn, shift = _placement(size)
    outlines = {(f"P{n + 1}", side): _cell(n, side) for n in range(len(CENTRES)) for side in ("left", "right")}
    atlas = {
        "name": "planted Voronoi atlas",
        "schematic": True,
        "units": "mm",
        "landmarks": [{"name": name, "x": x, "y": y} for name, (x, y) in LANDMARKS.items()],
        "regions": [
            {
                "acronym": acronym,
                "name": f"planted region {acronym[1:]}",
                "label": int(acronym[1:]),
                "side": side,
                "x": outline.real.round(4).tolist(),
                "y": outline.imag.round(4).tolist(),
            }
            for (acronym, side), outline in outlines.items()
        ],
    }
    maps, regions = [], []
    for key, outline in outlines.items():
        for one in _patches(turn * outline + shift, size, 2 if key[0] in DOUBLE else 1, abs(turn)):
            maps.append(one)
            regions.append(key)
    mask = np.ones((size.height, size.width), bool)
    mask[: size.height // 5, : size.width // 4] = False
    marks = [(name, turn * complex(*place) + shift) for name, place in LANDMARKS.items()]
    return Planted(
        atlas=atlas,
        landmarks=[{"name": n, "x": round(z.real, 3), "y": round(z.imag, 3)} for n, z in marks],
        maps=np.stack(maps),
        courses=_courses(random, regions, size.frames),
        regions=regions,
        mask=mask,
        noise=noise,
    )


def components(planted: Planted, rank: int) -> tuple[Array, Array]:
    """U (H, W, rank) and V (rank, T) float32: the truncated SVD of the noisy recording, from blocks of its pixels."""
    height, width = planted.mask.shape
    random = np.random.default_rng(1)
    frames = planted.courses.shape[1]
    basis = random.normal(size=(frames, min(rank + 10, frames))).astype(np.float32)
    for _ in range(3):  # power iterations: the noise of all pixels together is as strong as a component
        products = sum(block.T @ (block @ basis) for block in _blocks(planted))
        basis = np.linalg.qr(products)[0].astype(np.float32)
    points = np.concatenate([block @ basis for block in _blocks(planted)]).astype(np.float64)
    values, vectors = np.linalg.eigh(points.T @ points)
    vectors = vectors[:, np.argsort(values)[::-1][:rank]]
    U = (points @ vectors).reshape(height, width, rank)
    return U.astype(np.float32), (basis @ vectors).T.astype(np.float32)


def _blocks(planted: Planted) -> Iterator[Array]:
    """(pixels, T) float32 of the noisy recording, the same noise whenever it is asked for."""
    flat = planted.maps.reshape(len(planted.maps), -1).astype(np.float32)
    courses = planted.courses.astype(np.float32)
    for start in range(0, flat.shape[1], BLOCK):
        block = flat[:, start : start + BLOCK].T @ courses
        random = np.random.default_rng([7, start])
        yield block + np.float32(planted.noise) * random.standard_normal(block.shape, dtype=np.float32)


def save(folder: Path, planted: Planted, rank: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    U, V = components(planted, rank)
    np.save(folder / "U.npy", U)
    np.save(folder / "SVTcorr.npy", V)
    np.save(folder / "mask.npy", planted.mask)
    np.savez_compressed(
        folder / "truth.npz",
        A=planted.maps.transpose(1, 2, 0).astype(np.float32),
        C=planted.courses.astype(np.float32),
        region=np.array([acronym for acronym, _ in planted.regions]),
        side=np.array([side for _, side in planted.regions]),
    )
    config = {"landmarks": planted.landmarks, "sampling_rate_hz": SAMPLING_RATE_HZ}
    (folder / "atlas.json").write_text(json.dumps(planted.atlas) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _placement(size: Size) -> tuple[complex, complex]:
    """Similarity transform from millimetres to pixels: bregma a little off the image's middle, the head tilted."""
    scale = 0.098 * min(size.width, 1.2 * size.height)
    return scale * np.exp(1j * np.deg2rad(TILT_DEGREES)), complex(0.5 * size.width, 0.46 * size.height)


def _cell(number: int, side: str) -> Array:
    """(N,) complex outline: one hemisphere, half of an ellipse, cut by the lines midway to the other centres."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 60)
    outline = 0.08 + 4.1 * np.cos(angles) + 1j * (0.3 + 4.2 * np.sin(angles))
    own = complex(*CENTRES[number])
    for x, y in CENTRES:
        if (other := complex(x, y)) != own:
            outline = _cut(outline, (own + other) / 2, own - other)
    return outline if side == "right" else -np.conj(outline)[::-1]  # the same way round


def _cut(outline: Array, through: complex, towards: complex) -> Array:
    """The part of a convex polygon on one side of a line."""
    height = ((outline - through) * np.conj(towards)).real
    kept: list[complex] = []
    for i in range(len(outline)):
        j = (i + 1) % len(outline)
        if height[i] >= 0:
            kept.append(outline[i])
        if (height[i] >= 0) != (height[j] >= 0):
            kept.append(outline[i] + (outline[j] - outline[i]) * height[i] / (height[i] - height[j]))
    return np.array(kept)


def _patches(outline: Array, size: Size, count: int, pixels_per_mm: float) -> list[Array]:
    """Maps (H, W) with maximum 1: the region with soft rims 0.15 mm outside of it, cut in two along its longer side."""
    y, x = np.mgrid[: size.height, : size.width]
    pixels = x + 1j * y
    depth = np.full(pixels.shape, np.inf)  # distance to the nearest side, positive inside
    for start, stop in zip(outline, np.roll(outline, -1), strict=True):
        along = (stop - start) / max(abs(stop - start), 1e-12)
        depth = np.minimum(depth, (1j * along * np.conj(pixels - start)).real)
    parts = [depth]
    if count == 2:
        centred = outline - outline.mean()
        axis = np.exp(0.5j * np.angle(np.sum(centred**2)))
        across = ((pixels - outline.mean()) * np.conj(axis)).real
        parts = [np.minimum(depth, across), np.minimum(depth, -across)]
    rim = 0.15 * pixels_per_mm
    maps = [np.clip((part + rim) / (4 * rim), 0, 1) for part in parts]
    return [one / one.max() for one in maps]


def _courses(random: np.random.Generator, regions: list[tuple[str, str]], frames: int) -> Array:
    """(K, T) with mean 0 and standard deviation 1."""
    shared = _signals(random, 2, frames)
    pairs: dict[tuple[str, int], Array] = {}
    courses, seen = [], dict.fromkeys(regions, 0)
    for acronym, side in regions:
        number = seen[acronym, side]
        seen[acronym, side] += 1
        pair = pairs.setdefault((acronym, number), _signals(random, 1, frames)[0])
        course = 0.5 * random.normal(size=2) @ shared + 0.8 * pair + 0.6 * _signals(random, 1, frames)[0]
        courses.append((course - course.mean()) / course.std())
    return np.stack(courses)


def _signals(random: np.random.Generator, count: int, frames: int) -> Array:
    """(count, T) noise with a spectrum that falls from 0.1 to 3 Hz."""
    frequencies = np.fft.rfftfreq(frames, 1 / SAMPLING_RATE_HZ)
    shape = (frequencies > 0.05) * (frequencies < 3) / (0.3 + frequencies)
    spectrum = shape * (random.normal(size=(count, len(shape))) + 1j * random.normal(size=(count, len(shape))))
    signals: Array = np.fft.irfft(spectrum, frames)
    return signals / signals.std(axis=1, keepdims=True)


if __name__ == "__main__":
    arguments = [one for one in sys.argv[1:] if one != "--full"]
    if len(arguments) != 1:
        sys.exit("Usage: python generate.py FOLDER [--full]")
    size = FULL if "--full" in sys.argv[1:] else Size()
    save(Path(arguments[0]), plant(size), size.rank)
