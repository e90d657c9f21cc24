"""Movies of every accepted kind, read as blocks of frames, so that none has to fit in memory."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from job import Failure

Array = np.ndarray[Any, Any]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as the video decoder itself uses


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the values of a movie (frames, height, width) lie uncompressed in a file."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, int, int]
    offset: int  # bytes
    order: Literal["C", "F"]  # F: time is the fastest axis

    def map(self) -> Array:
        """Mapped anew for every reading: pages of a mapping that stays open count as this process' memory."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A movie (frames, height, width[, colours])."""

    name: str
    frames: int
    shape: tuple[int, ...]  # of one frame
    dtype: np.dtype[Any]
    frame_rate_hz: float | None  # None: the file does not say
    read: Callable[[int], Iterator[Array]]  # frames per block -> blocks, in order, from the first frame
    layout: Layout | None = None  # None: rows cannot be read without the frames before and around them

    @property
    def values_per_frame(self) -> int:
        return int(np.prod(self.shape))

    def blocks(self, frames_per_block: int) -> Iterator[tuple[int, Array]]:
        """(index of the first frame, block) over the whole recording, or a Failure: never only a part of it."""
        seen = 0
        blocks = self.read(frames_per_block)
        while True:
            try:
                block = next(blocks, None)
            except (Failure, MemoryError):
                raise
            except Exception as error:
                raise Failure(f"{self.name} is damaged after frame {seen}: {_reason(error)}.") from error
            if block is None:
                break
            if block.shape[1:] != self.shape:
                raise Failure(f"{self.name} changes its frame size after frame {seen}; all frames must be alike.")
            yield seen, block
            seen += len(block)
        if seen != self.frames:
            raise Failure(_cut_short(self.name, found=seen, declared=self.frames))


def open_recording(path: Path) -> Recording:
    """The recording in a .npy, .tif, .tiff, .mp4 or .avi file; a Failure naming the file if there is none."""
    opener = {
        ".npy": _open_npy,
        ".tif": _open_tiff,
        ".tiff": _open_tiff,
        ".mp4": _open_video,
        ".avi": _open_video,
    }.get(path.suffix.lower())
    if opener is None:
        raise Failure(f"{path.name} is not a recording; a .npy, .tif, .tiff, .mp4 or .avi file is needed.")
    try:
        recording = opener(path)
    except (Failure, MemoryError):
        raise
    except Exception as error:
        kind = path.suffix.lower()
        raise Failure(f"{path.name} cannot be read as a {kind} file, it may be cut short: {_reason(error)}.") from error
    if recording.frames < 2 or not recording.values_per_frame:
        raise Failure(f"{path.name} holds {recording.frames} frame(s); at least 2 are needed.")
    return recording


def luminance(recording: Recording) -> Recording:
    """Colour movies as brightness; an alpha channel is dropped. Others as they are."""
    if len(recording.shape) < 3:
        return recording

    def read(size: int) -> Iterator[Array]:
        return (block[..., :3] @ LUMINANCE for block in recording.read(size))

    return replace(recording, shape=recording.shape[:2], dtype=np.dtype(np.float32), read=read, layout=None)


def _open_npy(path: Path) -> Recording:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise Failure(f"{path.name} is an archive of arrays (.npz); one array saved with numpy.save is needed.")
    shape = array.shape
    if array.dtype.kind not in "buif":
        raise Failure(f"{path.name} holds {array.dtype} values; real numbers are needed.")
    if len(shape) != 3 and not (len(shape) == 4 and shape[3] in (3, 4)):
        raise Failure(
            f"{path.name} has the shape {shape}; frames x height x width, or the same x 3 colours, is needed."
        )

    def read(size: int) -> Iterator[Array]:
        for start in range(0, shape[0], size):
            yield np.array(np.load(path, mmap_mode="r")[start : start + size])

    layout = None
    if len(shape) == 3:
        order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
        layout = Layout(path=path, dtype=array.dtype, shape=shape, offset=array.offset, order=order)
    return Recording(
        name=path.name,
        frames=shape[0],
        shape=shape[1:],
        dtype=array.dtype,
        frame_rate_hz=None,
        read=read,
        layout=layout,
    )


def _open_tiff(path: Path) -> Recording:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs every odd tag; what matters is checked below
    with tifffile.TiffFile(path) as tiff:
        page, series = tiff.pages.first, tiff.series
        if _next_directory(tiff):
            raise Failure(f"{path.name} is cut short: frames are missing after frame {len(tiff.pages)}.")
        leading = series[0].axes.removesuffix("S").removesuffix("YX")
        if page.axes not in ("YX", "YXS") or len(leading) > 1 or any(s.shape != series[0].shape for s in series):
            raise Failure(f"{path.name} holds images along the axes {series[0].axes}; one stack of frames is needed.")
        interval = (tiff.imagej_metadata or {}).get("finterval") or 0
        # ImageJ describes stacks above 4 GiB by one page, after which all frames follow uncompressed.
        one_page = len(tiff.pages) == 1 and series[0].ndim > page.ndim
        shape = series[0].shape if one_page else (len(tiff.pages), *page.shape)
        offset, dtype = page.dataoffsets[0], np.dtype(page.dtype).newbyteorder(tiff.byteorder)
    layout = None
    if one_page and len(shape) == 3:
        layout = Layout(path=path, dtype=dtype, shape=shape, offset=offset, order="C")
    if one_page and offset + np.prod(shape) * dtype.itemsize > path.stat().st_size:
        raise Failure(f"{path.name} is cut short: it declares {shape[0]} frames and ends before the last of them.")

    def read(size: int) -> Iterator[Array]:
        with tifffile.TiffFile(path) as tiff:
            for start in range(0, shape[0], size):
                if one_page:
                    yield np.array(np.memmap(path, dtype, "r", offset, shape)[start : start + size])
                else:
                    yield np.stack([page.asarray() for page in tiff.pages[start : start + size]])

    return Recording(
        name=path.name,
        frames=shape[0],
        shape=shape[1:],
        dtype=dtype,
        frame_rate_hz=1 / interval if interval > 0 else None,
        read=read,
        layout=layout,
    )


def _next_directory(tiff: Any) -> int:
    """Where the last page that could be read says the next one is: 0 in a complete file."""
    layout, file = tiff.tiff, tiff.filehandle
    offset = tiff.pages[-1].offset
    file.seek(offset)
    (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(offset + layout.tagnosize + tags * layout.tagsize)
    (link,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    return int(link)


def _open_video(path: Path) -> Recording:
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise Failure(f"{path.name} holds no video.")
        stream: Any = container.streams.video[0]
        declared, rate, pixel_format = stream.frames, stream.average_rate, stream.codec_context.format
        shape = (stream.height, stream.width)
        # Decoders hide damage: a file cut in half plays to its middle without an error. So count before decoding.
        packets = intact = frames = 0
        for packet in container.demux(stream):
            packets += packet.size > 0
            intact += packet.size > 0 and not packet.is_corrupt
            frames += packet.size > 0 and not packet.is_discard
        if intact < max(declared, packets):
            raise Failure(_cut_short(path.name, found=intact, declared=max(declared, packets)))
    deep = any(component.bits > 8 for component in pixel_format.components)

    def read(size: int) -> Iterator[Array]:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            block = []
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise ValueError("the decoder reports missing data")
                block.append(frame.to_ndarray(format="gray16le" if deep else "gray"))
                if len(block) == size:
                    yield np.stack(block)
                    block = []
            if block:
                yield np.stack(block)

    return Recording(
        name=path.name,
        frames=frames,
        shape=shape,
        dtype=np.dtype("<u2" if deep else "u1"),
        frame_rate_hz=float(rate) if rate else None,
        read=read,
    )


def _cut_short(name: str, *, found: int, declared: int) -> str:
    return f"{name} is cut short or damaged: {found} of the {declared} frames it declares can be read."


def _reason(error: Exception) -> str:
    """The first sentence of what a library says, without the full stop and without our paths."""
    said = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return said.splitlines()[0].partition(". ")[0].rstrip(".")
