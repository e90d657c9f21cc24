"""Two-channel recordings of every accepted kind, read in blocks of time points, so that none has to fit in memory.

The same file serves `widefield-overview` and `widefield-motion`.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job import Failure

Array = np.ndarray[Any, Any]
Pages = Callable[[int, int], Array]  # first and behind the last page -> (pages, height, width)

CHANNELS = 2
LARGEST = np.finfo(np.float32).max  # frames are worked on in single precision
# As wfield names its files: frames_2_540_640_uint16.dat, with anything before and a file number behind.
DAT_NAME = re.compile(r"(?:^|_)(\d+)_(\d+)_(\d+)_(u?int8|u?int16|float32)(?:_\d+)*$")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Time points of two channels; the first one that `read` returns is the functional (blue) one."""

    name: str
    times: int  # time points; each is one frame of either channel
    shape: tuple[int, int]  # height and width of a frame
    dtype: np.dtype[Any]
    read: Callable[[int, int], Array]  # start, stop -> (stop - start, 2, height, width), from several processes

    @property
    def bytes_per_time(self) -> int:
        return CHANNELS * self.shape[0] * self.shape[1] * self.dtype.itemsize

    def block(self, start: int, stop: int) -> Array:
        """(stop - start, 2, height, width) as stored, or a Failure that names the file and where in it."""
        try:
            block = self.read(start, stop)
        except (Failure, MemoryError):
            raise
        except Exception as error:
            raise Failure(f"{self.name} is damaged after time point {start}: {_reason(error)}.") from error
        if block.shape != (stop - start, CHANNELS, *self.shape):
            raise Failure(
                f"{self.name} is cut short: it ends before time point {stop}, of {self.times} that it declares."
            )
        if block.dtype.kind == "f" and not (np.abs(block) <= LARGEST).all():
            raise Failure(
                f"{self.name} holds values that are not finite numbers (NaN, infinity, or too large for 32 bits) "
                f"between time points {start} and {stop}; numbers are needed everywhere."
            )
        return block


def open_recording(path: Path, *, frame_order: str, blue_channel: int) -> Recording:
    """The recording in a .dat, .npy, .tif, .tiff, .h5 or .hdf5 file; a Failure that names the file if there is none.

    frame_order: "interleaved" or "sequential", for files that hold their frames in one row. blue_channel: 1 or 2.
    """
    kind = path.suffix.lower()
    opener = {
        ".dat": _open_dat,
        ".npy": _open_npy,
        ".tif": _open_tiff,
        ".tiff": _open_tiff,
        ".h5": _open_hdf5,
        ".hdf5": _open_hdf5,
    }.get(kind)
    if opener is None:
        raise Failure(f"{path.name} is not a recording; a .dat, .npy, .tif, .tiff, .h5 or .hdf5 file is needed.")
    try:
        dtype, shape, pages, axis_order = opener(path)
    except (Failure, MemoryError):
        raise
    except Exception as error:
        raise Failure(f"{path.name} cannot be read as a {kind} file, it may be cut short: {_reason(error)}.") from error
    if dtype.kind not in "uif":
        raise Failure(f"{path.name} holds {dtype} values; real numbers are needed.")
    count, height, width = shape
    if count % CHANNELS:
        raise Failure(
            f"{path.name} holds {count} frames, an odd number; one of either channel per time point is needed."
        )
    if count < 2 * CHANNELS or min(height, width) < 16:
        raise Failure(
            f"{path.name} holds {count // CHANNELS} time points of {height} x {width} pixels; at least 2 of "
            "16 x 16 are needed."
        )
    read = _by_time(pages, count // CHANNELS, axis_order or frame_order, blue_first=blue_channel == 1)
    return Recording(name=path.name, times=count // CHANNELS, shape=(height, width), dtype=dtype, read=read)


def _by_time(pages: Pages, times: int, order: str, *, blue_first: bool) -> Callable[[int, int], Array]:
    """Time points out of frames in one row: channels in turn ("interleaved") or one after the other ("sequential")."""

    def read(start: int, stop: int) -> Array:
        if order == "interleaved":
            row = pages(CHANNELS * start, CHANNELS * stop)
            block = row.reshape(-1, CHANNELS, *row.shape[1:])
        else:
            block = np.stack([pages(channel * times + start, channel * times + stop) for channel in (0, 1)], axis=1)
        return block if blue_first else block[:, ::-1]

    return read


Opened = tuple[np.dtype[Any], tuple[int, int, int], Pages, str | None]  # None: the file does not tell its frame order


def _open_dat(path: Path) -> Opened:
    found = DAT_NAME.search(path.stem)
    if not found:
        raise Failure(
            f"{path.name} does not tell its shape; a name that ends in CHANNELS_HEIGHT_WIDTH_TYPE, such as "
            "mouse_2_540_640_uint16.dat, is needed."
        )
    channels, height, width = (int(number) for number in found.groups()[:3])
    if channels != CHANNELS:
        raise Failure(f"{path.name} says that it has {channels} channel(s); 2 are needed.")
    dtype = np.dtype(found[4]).newbyteorder("<")
    frame_bytes = height * width * dtype.itemsize
    size = path.stat().st_size
    if not frame_bytes or size % (CHANNELS * frame_bytes):
        raise Failure(
            f"{path.name} has {size:,} bytes, which is no whole number of time points of 2 x {height} x {width} "
            f"{dtype.name} values; it is cut short, or its name tells another shape."
        )
    shape = (size // frame_bytes, height, width)
    return dtype, shape, _mapped(path, dtype, shape, 0), "interleaved"


def _open_npy(path: Path) -> Opened:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise Failure(f"{path.name} is an archive of arrays (.npz); one array saved with numpy.save is needed.")
    if not array.flags.c_contiguous:
        raise Failure(
            f"{path.name} keeps its array in Fortran order; numpy.save of numpy.ascontiguousarray(x) is needed."
        )
    shape, order = _row_of_frames(path.name, array.shape)
    return array.dtype, shape, _mapped(path, array.dtype, shape, array.offset), order


def _row_of_frames(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], str | None]:
    """The shape as frames in one row, and their order if the shape tells it."""
    if len(shape) == 4 and shape[1] == CHANNELS:
        return (CHANNELS * shape[0], *shape[2:]), "interleaved"
    if len(shape) == 4 and shape[0] == CHANNELS:
        return (CHANNELS * shape[1], *shape[2:]), "sequential"
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2]), None
    raise Failure(
        f"{name} has the shape {shape}; times x 2 channels x height x width, or frames of both channels x height x "
        "width, is needed."
    )


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> Pages:
    """Frames that lie uncompressed in a file. Read, not mapped: mapped pages would count as this process' memory."""
    frame = shape[1] * shape[2]

    def pages(start: int, stop: int) -> Array:
        at = offset + start * frame * dtype.itemsize
        return np.fromfile(path, dtype, (stop - start) * frame, offset=at).reshape(-1, *shape[1:])

    return pages


def _open_tiff(path: Path) -> Opened:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs every odd tag; what matters is checked below
    with tifffile.TiffFile(path) as tiff:
        page, series = tiff.pages.first, tiff.series
        if _next_directory(tiff):
            raise Failure(f"{path.name} is cut short: frames are missing after frame {len(tiff.pages)}.")
        if page.axes != "YX" or any(one.shape != series[0].shape for one in series):
            raise Failure(
                f"{path.name} holds images along the axes {series[0].axes}; grey frames of one size are needed."
            )
        dtype, offset = np.dtype(page.dtype).newbyteorder(tiff.byteorder), page.dataoffsets[0]
        # ImageJ describes stacks above 4 GiB by one page, after which all frames follow uncompressed.
        one_page = len(tiff.pages) == 1 and series[0].ndim > page.ndim
        whole = series[0].shape if one_page or len(series) == 1 else (len(tiff.pages), *page.shape)
    shape, order = _row_of_frames(path.name, whole)
    if one_page:
        if offset + np.prod(shape) * dtype.itemsize > path.stat().st_size:
            raise Failure(f"{path.name} is cut short: it declares {shape[0]} frames and ends before the last of them.")
        return dtype, shape, _mapped(path, dtype, shape, offset), order

    def pages(start: int, stop: int) -> Array:
        with tifffile.TiffFile(path) as tiff:
            return np.stack([page.asarray() for page in tiff.pages[start:stop]])

    return dtype, shape, pages, order


def _next_directory(tiff: Any) -> int:
    """Where the last page that could be read says the next one is: 0 in a complete file."""
    layout, file = tiff.tiff, tiff.filehandle
    offset = tiff.pages[-1].offset
    file.seek(offset)
    (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(offset + layout.tagnosize + tags * layout.tagsize)
    (link,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    return int(link)


def _open_hdf5(path: Path) -> Opened:
    import h5py

    movies: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, one: movies.append(name) if getattr(one, "ndim", 0) in (3, 4) else None)
        if len(movies) != 1:
            held = f"the arrays {', '.join(movies)}" if movies else "no array"
            raise Failure(
                f"{path.name} holds {held} of three or four dimensions; exactly one, the recording, is needed."
            )
        dataset = file[movies[0]]
        dtype, whole = dataset.dtype, dataset.shape
    shape, order = _row_of_frames(f"{movies[0]} in {path.name}", whole)
    cells = shape[0] // CHANNELS

    def pages(start: int, stop: int) -> Array:
        with h5py.File(path) as file:
            dataset = file[movies[0]]
            if len(whole) == 3:
                return np.asarray(dataset[start:stop])
            if order == "sequential":
                return np.asarray(dataset[start // cells, start % cells : start % cells + stop - start])
            first = start // CHANNELS
            return np.asarray(dataset[first : (stop + 1) // CHANNELS]).reshape(-1, *shape[1:])

    return dtype, shape, pages, order


def _reason(error: Exception) -> str:
    """The first sentence of what a library says, without the full stop and without our paths."""
    said = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return said.splitlines()[0].partition(". ")[0].rstrip(".")
