"""before-after.mp4: raw, denoised and what is left over, side by side, as H.264 that browsers play."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import numpy as np
from recording import Array
from residual import strips, window
from rows import Rows

MOST_FRAMES = 200
LARGEST_SIDE = 240  # pixels of each of the three pictures
GAP = 4  # pixels between them
FRAME_RATE_HZ = 30  # when the movie's is not known


def show(folder: Path, movie: Rows, frame_rate_hz: float | None) -> None:
    """Writes the film of up to 200 frames in the middle of the movie, from the results in the folder.

    Raw and denoised share one scale, from dark to bright; the residual has a scale of the same width, 0 in the middle.
    """
    frames = window(movie, MOST_FRAMES)
    step = ceil(max(movie.height, movie.width) / LARGEST_SIDE)
    zoom = max(1, LARGEST_SIDE // max(movie.height, movie.width))
    raws, denoiseds = [], []
    for _, raw, denoised in strips(movie, frames, folder, size=step * max(1, 16 // step)):
        raws.append(_small(raw, step))
        denoiseds.append(_small(denoised, step))
    before, after = np.concatenate(raws), np.concatenate(denoiseds)
    low, high = np.percentile(before[:, :, :: max(1, before.shape[2] // 50)], [0.5, 99.7])
    width = max(high - low, 1e-9)
    pictures = [(before - low) / width, (after - low) / width, (before - after) / width + 0.5]
    gap = np.ones((len(before), max(1, GAP // zoom), before.shape[2]), np.float32)
    whole = np.concatenate([pictures[0], gap, pictures[1], gap, pictures[2]], axis=1)
    _write(folder / "before-after.mp4", (255 * np.clip(whole, 0, 1)).astype(np.uint8), zoom, frame_rate_hz)


def _small(strip: Array, step: int) -> Array:
    """Averaged over squares; what is left over at the edges is dropped, unless it is all there is."""
    height, width = strip.shape[0] // step * step, strip.shape[1] // step * step
    cut = strip[:height, :width]
    return cut.reshape(height // step, step, width // step, step, -1).mean(axis=(1, 3))


def _write(path: Path, movie: Array, zoom: int, frame_rate_hz: float | None) -> None:
    """movie: (height, width, frames) uint8, each pixel shown as a square of zoom x zoom."""
    # Containers count in whole ticks; a rate beyond what screens show is told as it is, and played as well as it goes.
    rate = Fraction(frame_rate_hz or FRAME_RATE_HZ).limit_denominator(1000)
    large = np.kron(movie[:, :, 0], np.ones((zoom, zoom), np.uint8))
    height, width = (side + side % 2 for side in large.shape)  # H.264 halves the colours' resolution
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "27", "preset": "veryfast", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for picture in np.moveaxis(movie, 2, 0):
            image = np.full((height, width), 255, np.uint8)
            image[: large.shape[0], : large.shape[1]] = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
        container.mux(stream.encode())
