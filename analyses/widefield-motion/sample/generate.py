"""A widefield recording whose truth is known: python generate.py FOLDER [--size HEIGHT WIDTH TIMES | --paper].

session_2_120_140_uint16.dat  blue and violet frames in turn, as wfield names and stores them, 1,200 of each at 30 Hz
landmarks.json                where the four landmarks of the atlas lie in it, in pixels (x to the right, y down)
truth.npz                     what was planted (below)

120 x 140 pixels and 40 s take seconds; --paper makes 500 x 600 x 9,000 time points, 10.8 GB, in half an hour or so.

Light = brightness of the place (vessels, vignette, the brain's outline) x bleaching x (1 + blood) x, in blue only,
(1 + signal), all of it moved, with shot noise. Blood: a heart beat whose rate wanders and slow vasomotion, stronger
over vessels, in blue by a factor that varies over the cortex. Signal: regions of the schematic atlas, put into the
image by a known similarity transform, each side with a time course of its own: events at random times that rise and
fall as GCaMP6 does.

truth.npz: rate_hz; shifts (times, 2 channels, 2) pixels down and right; maps (regions, height, width) and courses
(times, regions), whose product is the signal as relative change; regions, their acronyms and sides; coefficients
(height, width), by which blood shows more in blue than in violet; heart_hz; transform (3, 3), millimetres to pixels.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the products here are too small to be shared out

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, signal

Array = np.ndarray[Any, Any]

RATE_HZ = 30.0  # of either channel; the second one's frames lie half-way between the first one's
PHOTONS = 16000.0  # electrons in a bright pixel, about half of what a camera's well holds
PER_COUNT = 0.5  # counts per electron
MARGIN = 16  # pixels around the image from which motion brings something in
ACTIVE = (
    "MOs",
    "MOp",
    "SSp-m",
    "SSp-n",
    "SSp-bfd",
    "SSp-ul",
    "SSp-ll",
    "SSp-tr",
    "VISp",
    "VISpm",
    "VISa",
    "RSPagl",
    "RSPd",
)
TILT_DEGREES = 3.0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What does not change in time, on a canvas that is MARGIN larger on each side than the image."""

    brightness: Array  # (2 channels, height, width)
    maps: Array  # (regions, height, width), at most 1
    regions: Array  # (regions,) such as "VISp left"
    beat: Array  # (height, width), how strongly the heart shows
    flow: Array  # (2, height, width), how strongly two slow rhythms show
    coefficients: Array  # (height, width)
    transform: Array  # (3, 3), millimetres to pixels of the image


@dataclass(frozen=True, kw_only=True)
class Courses:
    """What changes, at both channels' times."""

    shifts: Array  # (times, 2, 2)
    events: Array  # (times, regions), of the blue channel
    beat: Array  # (times, 2)
    flow: Array  # (times, 2, 2)
    bleaching: Array  # (times, 2)
    heart_hz: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a widefield recording with known truth.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, nargs=3, default=(120, 140, 1200), metavar=("HEIGHT", "WIDTH", "TIMES"))
    parser.add_argument("--paper", action="store_true", help="500 x 600 pixels, 9,000 time points")
    parser.add_argument("--seed", type=int, default=20261128)
    options = parser.parse_args()
    height, width, times = (500, 600, 9000) if options.paper else options.size
    options.folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(options.seed)
    scene = draw_scene(random, height, width)
    courses = draw_courses(random, times, len(scene.maps), scale=height / 120)
    path = options.folder / f"session_2_{height}_{width}_uint16.dat"
    with path.open("wb") as file:
        for frame in frames(random, scene, courses):
            file.write(frame.tobytes())
    write_truth(options.folder, scene, courses)


def frames(random: np.random.Generator, scene: Scene, courses: Courses) -> Iterator[Array]:
    """uint16 (height, width): blue and violet in turn."""
    for time in range(len(courses.shifts)):
        for channel in (0, 1):
            blood = courses.beat[time, channel] * scene.beat + np.tensordot(courses.flow[time, channel], scene.flow, 1)
            light = scene.brightness[channel] * courses.bleaching[time, channel]
            if channel == 0:
                light = light * (1 + scene.coefficients * blood)
                light *= 1 + np.tensordot(courses.events[time], scene.maps, 1)
            else:
                light = light * (1 + blood)
            moved = ndimage.shift(light, courses.shifts[time, channel], order=3, mode="nearest")
            electrons = np.maximum(moved[MARGIN:-MARGIN, MARGIN:-MARGIN], 0)
            noisy = electrons + np.sqrt(electrons + 4) * random.standard_normal(electrons.shape, np.float32)
            yield np.clip(PER_COUNT * noisy + 100, 0, 65535).astype("<u2")


def draw_scene(random: np.random.Generator, height: int, width: int) -> Scene:
    atlas = json.loads(Path(__file__).with_name("schematic.json").read_text(encoding="utf-8"))
    scale = min(height / 10.9, width / 11.5)  # pixels per millimetre
    transform = similarity(scale, TILT_DEGREES, (width / 2 + 1.3, height / 2 + 0.02 * scale))
    shape = (height + 2 * MARGIN, width + 2 * MARGIN)
    filled = {(one["acronym"], one["side"]): fill(one, transform, shape) for one in atlas["regions"]}
    brain = smooth(np.clip(sum(filled.values()), 0, 1), 0.15 * scale)
    vessels = draw_vessels(random, shape, scale)
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(y - shape[0] / 2, x - shape[1] / 2) / max(shape)
    vignette = np.exp(-((away / 0.62) ** 2))
    place = (0.06 + 0.94 * brain) * vignette * np.exp(-0.55 * vessels)
    tissue = 1 + 0.05 * noise_field(random, shape, 0.25 * scale)
    active = [(acronym, side) for acronym in ACTIVE for side in ("left", "right")]
    pattern = [noise_field(random, shape, 1.5 * scale) for _ in range(3)]
    return Scene(
        brightness=(PHOTONS * place * tissue * np.array([1.0, 0.7])[:, None, None]).astype(np.float32),
        maps=np.stack([smooth(filled[one], 0.12 * scale) for one in active]).astype(np.float32),
        regions=np.array([f"{acronym} {side}" for acronym, side in active]),
        beat=(brain * (0.6 + 0.9 * vessels)).astype(np.float32),
        flow=np.stack([brain * (1 + 0.5 * vessels + 0.3 * pattern[0]), brain * pattern[1]]).astype(np.float32),
        coefficients=(1.25 + 0.15 * np.clip(pattern[2], -2, 2)).astype(np.float32),
        transform=transform,
    )


def draw_courses(random: np.random.Generator, times: int, regions: int, *, scale: float) -> Courses:
    """scale: of motion, in pixels relative to the test size."""
    moments = (np.arange(times)[:, None] + np.array([0, 0.5])) / RATE_HZ  # seconds, (times, 2)
    fine = np.arange(2 * times) / (2 * RATE_HZ)

    def at(course: Array) -> Array:
        return course.reshape(times, 2)

    heart_hz = 9.6
    rate = heart_hz + 0.35 * slow(random, 2 * times, 0.05)
    phase = 2 * np.pi * np.cumsum(rate) / (2 * RATE_HZ)
    beat = 0.008 * (np.sin(phase) + 0.1 * np.sin(2 * phase))
    flow = np.stack([0.015 * slow(random, 2 * times, 0.5), 0.008 * slow(random, 2 * times, 1.0)], axis=1)
    drift = np.stack(
        [slow(random, 2 * times, 0.1) * 0.9 + slow(random, 2 * times, 1.5) * 0.35 for _ in range(2)], axis=1
    )
    # The animal runs now and then, and the whole picture steps aside.
    runs = sum(
        np.outer((fine > start) & (fine < start + 1.5), step)
        for start, step in zip(
            random.uniform(0, fine[-1], max(2, times // 200)),
            random.normal(0, 0.9, (max(2, times // 200), 2)),
            strict=True,
        )
    )
    limit = MARGIN / 2
    shifts = np.clip(
        scale**0.5 * (drift + ndimage.gaussian_filter1d(np.asarray(runs, float), 3, axis=0)), -limit, limit
    )
    shifts -= np.median(shifts, axis=0)
    return Courses(
        shifts=shifts.reshape(times, 2, 2),
        events=draw_events(random, times, regions).astype(np.float32),
        beat=at(beat).astype(np.float32),
        flow=flow.reshape(times, 2, 2).astype(np.float32),
        bleaching=(0.97 + 0.03 * np.exp(-moments / 60)).astype(np.float32),
        heart_hz=heart_hz,
    )


def draw_events(random: np.random.Generator, times: int, regions: int) -> Array:
    """(times, regions) relative change: both sides of a region share half of their events."""
    lag = np.arange(int(3 * RATE_HZ)) / RATE_HZ
    kernel = (1 - np.exp(-lag / 0.05)) * np.exp(-lag / 0.35)
    before = len(lag)
    drive = random.exponential(1, (times + before, regions)) * (
        random.random((times + before, regions)) < 0.9 / RATE_HZ
    )
    shared = random.exponential(1, (times + before, regions // 2)) * (
        random.random((times + before, regions // 2)) < 0.9 / RATE_HZ
    )
    events = signal.fftconvolve(drive + np.repeat(shared, 2, axis=1), kernel[:, None], axes=0)[before : before + times]
    return np.asarray(0.035 * events)


def slow(random: np.random.Generator, samples: int, cutoff_hz: float) -> Array:
    """White noise below a frequency, with standard deviation 1."""
    b, a = signal.butter(2, cutoff_hz / RATE_HZ)
    course = signal.filtfilt(b, a, random.normal(size=samples + 400))[200:-200]
    return np.asarray((course - course.mean()) / course.std())


def draw_vessels(random: np.random.Generator, shape: tuple[int, int], scale: float) -> Array:
    """Darkness (height, width) of branching vessels of three widths, about 1 in the middle of the widest."""
    total = np.zeros(shape)
    for count, width_mm in ((9, 0.12), (34, 0.07), (130, 0.045)):
        drawn = np.zeros(shape)
        for _ in range(count):
            place = random.uniform((0, 0), shape)
            heading = random.uniform(0, 2 * np.pi)
            for turn in random.normal(0, 0.12, int(random.uniform(3, 7) * scale * 2)):
                row, column = place.astype(int)
                if not (0 <= row < shape[0] and 0 <= column < shape[1]):
                    break
                drawn[row, column] = 1
                heading += turn
                place = place + 0.5 * np.array([np.sin(heading), np.cos(heading)])
        width = max(width_mm * scale, 0.8)
        total += smooth(drawn, width) * width * 1.6
    return np.clip(total, 0, 1.5)


def noise_field(random: np.random.Generator, shape: tuple[int, int], width: float) -> Array:
    field = smooth(random.normal(size=shape), width)
    return np.asarray((field - field.mean()) / field.std())


def smooth(image: Array, width: float) -> Array:
    return np.asarray(ndimage.gaussian_filter(np.asarray(image, float), width, mode="nearest"))


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> Array:
    """(3, 3), of (x, y, 1)."""
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]], [0, 0, 1]])


def fill(region: dict[str, Any], transform: Array, shape: tuple[int, int]) -> Array:
    """1 inside a region's polygon on the canvas: where a ray to the left crosses its border an odd number of times."""
    x, y, _ = transform @ np.stack([region["x"], region["y"], np.ones(len(region["x"]))]) + MARGIN
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    inside = np.zeros(shape, bool)
    for x0, y0, x1, y1 in zip(x[:-1], y[:-1], x[1:], y[1:], strict=True):
        if y0 != y1:
            inside ^= ((y0 <= rows) != (y1 <= rows)) & (columns > x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return inside.astype(float)


def write_truth(folder: Path, scene: Scene, courses: Courses) -> None:
    atlas = json.loads(Path(__file__).with_name("schematic.json").read_text(encoding="utf-8"))
    landmarks = []
    for one in atlas["landmarks"]:
        x, y, _ = scene.transform @ np.array([one["x"], one["y"], 1])
        landmarks.append({"name": one["name"], "x": round(float(x), 3), "y": round(float(y), 3)})
    (folder / "landmarks.json").write_text(json.dumps({"landmarks": landmarks}, indent=1) + "\n", encoding="utf-8")
    inner = np.s_[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    np.savez_compressed(
        folder / "truth.npz",
        rate_hz=RATE_HZ,
        shifts=courses.shifts.astype(np.float32),
        maps=scene.maps[inner],
        courses=courses.events,
        regions=scene.regions,
        coefficients=scene.coefficients[inner],
        heart_hz=courses.heart_hz,
        transform=scene.transform,
    )


if __name__ == "__main__":
    main()
