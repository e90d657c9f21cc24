"""Three small movies to try the analysis on: python generate.py FOLDER. The same bytes every time.

two-photon.tif   cells that flash and fade below a microscope, 15 Hz, 160 frames of 128 x 160 pixels
behaviour.mp4    a mouse from the side: paws that tread, a tail that swings, 50 Hz, 200 frames of 160 x 224 pixels
widefield.npy    slow waves over the two halves of a cortex, 240 frames of 96 x 96 pixels
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def two_photon(random: np.random.Generator) -> Array:
    """uint16 (frames, height, width): 40 cells with calcium transients over a dim background, with photon noise."""
    frames, height, width, cells = 160, 128, 160, 40
    y, x = np.mgrid[:height, :width]
    spikes = random.random((frames, cells)) < 0.02
    activity = np.zeros((frames, cells))
    for t in range(1, frames):
        activity[t] = 0.9 * activity[t - 1] + spikes[t]
    centres = random.uniform((6, 6), (height - 6, width - 6), (cells, 2))
    distance = np.hypot(y - centres[:, :1, None], x - centres[:, 1:, None])
    maps = 1 / (1 + np.exp((distance - random.uniform(4, 6, cells)[:, None, None]) / 0.7))
    background = 60 + 25 * np.sin(x / 23) * np.cos(y / 31)
    light = background + np.tensordot(15 + 160 * activity, maps, axes=1)
    photons: Array = random.poisson(light)
    return photons.astype(np.uint16)


def behaviour(random: np.random.Generator) -> Array:
    """uint8 (frames, height, width): a still body with two paws, a tail and a jaw that move, each at its own pace."""
    frames, height, width = 200, 160, 224
    y, x = np.mgrid[:height, :width]
    still = 40 + 25 * y / height + 120 * _blob(y, x, 78, 110, 30, 58) + 110 * _blob(y, x, 62, 175, 20, 24)
    movie = np.empty((frames, height, width))
    for t in range(frames):
        s = t / 50
        tread, swing, lick = (np.sin(2 * np.pi * rate * s) for rate in (2.5, 0.6, 6.0))
        movie[t] = still
        movie[t] += 100 * _blob(y, x, 122 - 6 * max(tread, 0), 145 + 14 * tread, 7, 9)
        movie[t] += 100 * _blob(y, x, 122 - 6 * max(-tread, 0), 80 - 14 * tread, 7, 9)
        movie[t] += 55 * _blob(y, x, 80 + 2 * lick, 196, 5, 7) * (0.5 < s % 2 < 1.5)
        along = np.clip((60 - x) / 60, 0, 1)
        tail = 130 * np.exp(-(((y - 88 - 26 * along**1.5 * (0.4 + swing)) / 3.5) ** 2)) * (x < 66)
        movie[t] = np.maximum(movie[t], tail)
    return np.clip(movie + random.normal(0, 2, movie.shape), 0, 255).astype(np.uint8)


def widefield(random: np.random.Generator) -> Array:
    """uint16 (frames, height, width): three bilateral patterns with slow time courses inside a cortex."""
    frames, side = 240, 96
    y, x = np.mgrid[:side, :side] / side
    cortex = ((x - 0.5) / 0.46) ** 2 + ((y - 0.5) / 0.49) ** 2 < 1
    places = ((0.25, 0.34, 0.10), (0.55, 0.24, 0.12), (0.78, 0.38, 0.09))
    maps = np.stack([_blob(y, x, cy, cx, r, r) + _blob(y, x, cy, 1 - cx, r, r) for cy, cx, r in places])
    steps = random.normal(size=(frames + 40, 3))
    courses = np.stack([np.convolve(column, np.hanning(41), "valid") for column in steps.T], axis=1)[:frames]
    light = 4000 + 1500 * np.exp(-(((y - 0.5) / 0.5) ** 2)) + np.tensordot(courses * (60, 45, 30), maps, axes=1)
    return np.where(cortex, light + random.normal(0, 30, light.shape), 300).astype(np.uint16)


def _blob(y: Array, x: Array, cy: float, cx: float, height: float, width: float) -> Array:
    """A soft ellipse, 1 in the middle."""
    return np.exp(-((((y - cy) / height) ** 2 + ((x - cx) / width) ** 2) ** 2))


def write_tiff(path: Path, movie: Array, rate_hz: float) -> None:
    import tifffile

    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TYX", "finterval": 1 / rate_hz})


def write_video(path: Path, movie: Array, rate_hz: int) -> None:
    """H.264, with the table of frames ahead of them, as for the web."""
    import av

    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate_hz, options={"crf": "18", "threads": "1"})
        stream.height, stream.width = movie.shape[1:]
        stream.pix_fmt = "yuv420p"
        for image in movie:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
        container.mux(stream.encode())


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(20260801)
    write_tiff(folder / "two-photon.tif", two_photon(random), rate_hz=15)
    write_video(folder / "behaviour.mp4", behaviour(random), rate_hz=50)
    np.save(folder / "widefield.npy", widefield(random))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python generate.py FOLDER")
    main(Path(sys.argv[1]))
