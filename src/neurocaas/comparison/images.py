"""Images (.png, .jpg): shape and type, then pixel values; metadata do not count."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from PIL import Image

from neurocaas.comparison.blocks import add, compare_form, differences, places
from neurocaas.comparison.numbers import Differences
from neurocaas.comparison.reading import AT_ONCE_BYTES, Source
from neurocaas.comparison.verdict import Comparison, different, together

# One grey level is what rounding to whole numbers makes of the smallest difference before it.
GREY_LEVELS = 1
FORMATS = {
    ".png": ("PNG",),
    ".jpg": ("JPEG", "MPO"),
    ".jpeg": ("JPEG", "MPO"),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
    ".gif": ("GIF",),
    ".webp": ("WEBP",),
    ".bmp": ("BMP",),
}


def compare_images(expected: Source, found: Source) -> Comparison:
    with ExitStack() as stack:
        opened = [stack.enter_context(opened_image(source)) for source in (expected, found)]
        counts = [getattr(image, "n_frames", 1) for image in opened]
        return compare_pages(
            counts, frames(expected, opened[0], range(counts[0])), frames(found, opened[1], range(counts[1]))
        )


def compare_pages(counts: list[int], expected: Iterable[np.ndarray], found: Iterable[np.ndarray]) -> Comparison:
    """Page by page, one of each in memory. counts: how many pages each file has."""
    if counts[0] != counts[1]:
        return different(f"{counts[0]:,} pages were expected, {counts[1]:,} found")
    accounts: dict[Any, Differences] = {}
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        fault = compare_form(one, other)
        if fault is not None:
            return different(f"page {number}: {fault.detail}" if counts[0] > 1 else fault.detail)
        account = accounts.setdefault(one.dtype, differences(one.dtype, GREY_LEVELS, "pixel values"))
        for place in places(one.shape):
            starts = [axis.start for axis in place]
            if counts[0] > 1:
                add(account, one[place][np.newaxis], other[place][np.newaxis], [number, *starts])
            else:
                add(account, one[place], other[place], starts)
    return together(("", account.comparison()) for account in accounts.values())


@contextmanager
def opened_image(source: Source) -> Iterator[Image.Image]:
    """An image whose pixels have not been read yet; one that claims too many is refused."""
    with source.reading(), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(source.path, formats=FORMATS[source.kind])
        except Image.DecompressionBombError as cause:
            raise source.unreadable("it claims more pixels than are read from one image") from cause
    with image:
        number_bytes = 4 if image.mode in ("I", "F") else 2 if image.mode.startswith("I;16") else 1
        source.admit(image.width * image.height * len(image.getbands()) * number_bytes, "it", AT_ONCE_BYTES)
        yield image


def frames(source: Source, image: Image.Image, numbers: Iterable[int]) -> Iterator[np.ndarray]:
    for number in numbers:
        with source.reading(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, which do not count
            if number:
                image.seek(number)
            if image.mode in ("P", "PA"):  # the order of the colours in a palette is no part of the picture
                page = image.convert("RGBA" if image.has_transparency_data else "RGB")
            else:
                page = image
            pixels = np.asarray(page)
        yield pixels
