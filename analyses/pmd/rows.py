"""A movie on disk whose rows can be read over all its frames, which is how blocks need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recording import Array, Layout, Recording

AT_ONCE = 32 * 2**20  # bytes read in one piece


@dataclass(frozen=True, kw_only=True)
class Rows:
    """frames x height x width, in the file it came in or in a copy."""

    name: str
    layout: Layout
    frame_rate_hz: float | None

    @property
    def frames(self) -> int:
        return self.layout.shape[0]

    @property
    def height(self) -> int:
        return self.layout.shape[1]

    @property
    def width(self) -> int:
        return self.layout.shape[2]

    @property
    def size_bytes(self) -> int:
        return self.frames * self.height * self.width * self.layout.dtype.itemsize

    def read(self, rows: slice, out: Array, frames: slice = slice(None)) -> None:
        """The rows over the frames into out (rows, width, frames), float32."""
        first, last, _ = frames.indices(self.frames)
        size = max(1, AT_ONCE // (8 * len(out) * self.width))
        for start in range(first, last, size):
            stop = min(start + size, last)
            piece = self.layout.map()[start:stop, rows]
            out[:, :, start - first : stop - first] = np.moveaxis(piece, 0, 2)


def as_rows(recording: Recording, scratch: Path, progress: Callable[[float, str], None]) -> Rows:
    """As it lies, or, where rows cannot be read alone, from an uncompressed copy that is written to `scratch`."""
    layout = recording.layout
    if layout is None:
        height, width = recording.shape
        path = scratch / "frames.raw"
        at_once = max(1, AT_ONCE // (8 * height * width))
        with path.open("wb") as file:
            for start, block in recording.blocks(at_once):
                np.ascontiguousarray(block, recording.dtype).tofile(file)
                progress((start + len(block)) / recording.frames, "unpacking the frames")
        shape = (recording.frames, height, width)
        layout = Layout(path=path, dtype=recording.dtype, shape=shape, offset=0, order="C")
    return Rows(name=recording.name, layout=layout, frame_rate_hz=recording.frame_rate_hz)
