"""Movies: how long, how large, how encoded, whether a browser can play them, and one frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

from neurocaas.comparison.movies import LARGEST_FRAME_PIXELS
from neurocaas.server.viewers.readers.said import Said, Wanted, line, source_of
from neurocaas.server.viewers.sizes import LARGEST_SIDE

# The format is named, so that a playlist in a movie's clothes is not followed to other files.
FORMATS = {".mp4": "mov", ".mov": "mov", ".avi": "avi", ".webm": "matroska", ".mkv": "matroska"}
PLAYED = {
    ".mp4": frozenset({"h264", "av1", "vp9"}),
    ".mov": frozenset({"h264"}),
    ".webm": frozenset({"vp8", "vp9", "av1"}),
}
PLAYED_PIXELS = frozenset({"yuv420p", "yuvj420p"})
FRAMES_DECODED = 2000  # on the way from the last frame that stands by itself


def show_movie(path: Path, kind: str, wanted: Wanted) -> Said:
    source = source_of(path, kind)
    # Read through an open file, so that nothing in the movie can name another one.
    with source.reading(), path.open("rb") as file, av.open(file, mode="r", format=FORMATS[kind]) as container:
        if not container.streams.video:
            raise source.unreadable("it holds no pictures")
        stream = container.streams.video[0]
        context = stream.codec_context
        context.options = {"max_pixels": str(LARGEST_FRAME_PIXELS)}
        context.thread_count = 1
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        seconds = _seconds(container, stream)
        count = stream.frames or round(seconds * rate)
        preview: dict[str, Any] = {"form": "movie", "width": context.width, "height": context.height}
        preview |= {"frames": max(0, count), "frames_per_second": rate, "seconds": max(0.0, seconds)}
        preview |= {"codec": line(context.name, 40), "browser_can_play": _is_played(kind, context)}
        index = count // 2 if wanted.index is None else wanted.index
        index = max(0, min(index, count - 1))
        frame = _frame(container, stream, index, rate)
        if frame is None:
            raise source.unreadable("none of its frames can be decoded")
        pixels = _small(frame)
    block = {"how": "pixels", "shape": list(pixels.shape)}
    return Said(preview=preview | {"picture": True, "index": index}, block=block, numbers=pixels.tobytes())


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / av.time_base


def _is_played(kind: str, context: Any) -> bool:
    return context.name in PLAYED.get(kind, frozenset()) and context.pix_fmt in PLAYED_PIXELS


def _frame(container: Any, stream: Any, index: int, rate: float) -> Any:
    """The frame with this number, or the one that comes nearest to its time."""
    start, found = stream.start_time or 0, None
    at = start + (round(index / rate / stream.time_base) if rate and stream.time_base else 0)
    if index:
        container.seek(at, stream=stream)
    half = 0.5 / rate / stream.time_base if rate and stream.time_base else 0
    for number, frame in enumerate(container.decode(stream)):
        found = frame
        if frame.pts is None or frame.pts >= at - half or number >= FRAMES_DECODED:
            break
    return found


def _small(frame: Any) -> np.ndarray:
    share = min(1.0, LARGEST_SIDE / max(frame.width, frame.height))
    width, height = (max(1, int(side * share)) for side in (frame.width, frame.height))
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24", width=width, height=height))
