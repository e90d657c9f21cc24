"""Stacks of images (.tif): page by page; metadata and compression do not count."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import tifffile

from neurocaas.comparison.images import compare_pages, frames, opened_image
from neurocaas.comparison.reading import AT_ONCE_BYTES, Source
from neurocaas.comparison.verdict import Comparison

# Pages are taken as the file holds them: descriptions by makers of microscopes may point into other files.
AS_PAGES: dict[str, Any] = {"is_ome": False, "is_mmstack": False, "is_scanimage": False, "is_ndtiff": False}
# What tifffile logs about a damaged file is said in the comparison's sentence, and not to standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def compare_tiff(expected: Source, found: Source) -> Comparison:
    with ExitStack() as stack:
        opened = [stack.enter_context(opened_tiff(source)) for source in (expected, found)]
        counts = [0, 0]
        pages = []
        for side, (source, file) in enumerate(zip((expected, found), opened, strict=True)):
            counts[side], iterator = _pages(source, file)
            pages.append(iterator)
        return compare_pages(counts, *pages)


@contextmanager
def opened_tiff(source: Source) -> Iterator[tifffile.TiffFile]:
    """A file of pages, none of which has been read yet."""
    with source.reading():
        file = tifffile.TiffFile(source.path, **AS_PAGES)
    with file:
        yield file


def _pages(source: Source, file: tifffile.TiffFile) -> tuple[int, Iterator[np.ndarray]]:
    with source.reading():
        count = len(file.pages)
        if count == 0:
            raise source.unreadable("it has no page")
        mapped = mapped_pages(source, file) if count == 1 and file.is_imagej else None
    if mapped is not None:
        return len(mapped), iter(mapped)
    return count, decoded(source, file, range(count))


def mapped_pages(source: Source, file: tifffile.TiffFile) -> Any:
    """The pages of an ImageJ stack beyond 4 GiB, which says that it has one and holds the others behind it."""
    series, page = file.series[0], file.pages.first
    if series.dataoffset is None or series.size <= page.size:
        return None
    if series.dataoffset + series.nbytes > source.path.stat().st_size:
        raise source.unreadable("it is shorter than its header says")
    dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
    return np.memmap(source.path, dtype, "r", series.dataoffset, (series.size // page.size, *page.shape))


def decoded(source: Source, file: tifffile.TiffFile, numbers: Iterable[int]) -> Iterator[np.ndarray]:
    """These pages, one after the other."""
    for number in numbers:
        with source.reading():
            page: Any = file.pages[number]
            source.admit(page.nbytes, f"page {number}", AT_ONCE_BYTES)
            if page.dtype is None:
                raise source.unreadable(f"page {number} has no known type")
            try:
                pixels = page.asarray()
            except ValueError as cause:
                if "imagecodecs" not in str(cause):
                    raise
                pixels = None
        if pixels is None:  # compressed in a way that tifffile needs a further package for, and Pillow does not
            with opened_image(source) as image:
                (pixels,) = frames(source, image, [number])
        yield pixels
