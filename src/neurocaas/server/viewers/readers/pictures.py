"""Images (.png, .jpg, …) and stacks of them (.tif): what a browser can't show becomes a picture of few bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neurocaas.comparison.images import frames, opened_image
from neurocaas.server.viewers.readers.said import Said, Wanted, finite, source_of
from neurocaas.server.viewers.sizes import LARGEST_SIDE

# What browsers show as it is meant; of other modes, such as 16 bits of grey, they make nearly black.
BROWSER_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
LARGEST_IN_PAGE = 25_000_000  # pixels that a phone still takes
DARKEST, BRIGHTEST = 0.1, 99.9  # percentiles that become black and white
NAMES = {
    "1": "black and white", "L": "8-bit grey", "LA": "8-bit grey and transparency", "P": "palette", "PA": "palette",
    "RGB": "8-bit colour", "RGBA": "8-bit colour and transparency", "CMYK": "8-bit CMYK", "F": "32-bit grey (float)",
    "I": "32-bit grey",
}  # fmt: skip


def show_image(path: Path, kind: str, _: Wanted) -> Said:
    source = source_of(path, kind)
    with opened_image(source) as image:
        mode = image.mode
        preview: dict[str, Any] = {"form": "image", "width": image.width, "height": image.height}
        preview |= {"pixels": "16-bit grey" if mode.startswith("I;16") else NAMES.get(mode, mode)}
        is_large = image.width * image.height > LARGEST_IN_PAGE
        if mode in BROWSER_MODES and not is_large:
            with source.reading():
                image.load()
            return Said(preview=preview | {"browser_shows": True})
        with source.reading():
            if mode not in BROWSER_MODES and mode != "CMYK":
                (pixels,) = frames(source, image, [0])
            else:
                pixels = np.asarray(_small(image.convert("L" if mode in ("1", "L", "LA") else "RGB")))
        note = f"Shown smaller than its {image.width:,} × {image.height:,} pixels." if is_large else ""
        return _pictured(preview | {"browser_shows": False, "note": note}, pixels)


def show_tiff(path: Path, kind: str, wanted: Wanted) -> Said:
    from neurocaas.comparison.stacks import decoded, mapped_pages, opened_tiff

    source = source_of(path, kind)
    with opened_tiff(source) as file:
        with source.reading():
            count = len(file.pages)
            if not count:
                raise source.unreadable("it has no page")
            mapped = mapped_pages(source, file) if count == 1 and file.is_imagej else None
        pages = count if mapped is None else len(mapped)
        index = min(wanted.index or 0, pages - 1)
        pixels = next(decoded(source, file, [index])) if mapped is None else np.asarray(mapped[index])
        pixels = _plane(pixels)
        height, width = pixels.shape[:2]
        what = f"{pixels.dtype.itemsize * 8}-bit {'colour' if pixels.ndim == 3 else 'grey'}"
        preview = {
            "form": "image", "width": width, "height": height, "pages": pages, "index": index,
            "pixels": f"{what} (float)" if pixels.dtype.kind == "f" else what, "browser_shows": False,
        }  # fmt: skip
        return _pictured(preview, pixels)


def _plane(pixels: np.ndarray) -> np.ndarray:
    """Rows and columns, with three colours behind them if it is coloured."""
    pixels = np.squeeze(pixels)
    if pixels.ndim < 2:
        pixels = np.atleast_2d(pixels)
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[-1] not in (3, 4):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        return pixels[..., :3]
    while pixels.ndim > 2:
        pixels = pixels[0]
    return pixels


def _pictured(preview: dict[str, Any], pixels: np.ndarray) -> Said:
    # A part of the pixels tells as well as all of them where black and white should be.
    step = max(1, max(pixels.shape[:2]) // (2 * LARGEST_SIDE))
    pixels = pixels[::step, ::step]
    if pixels.dtype != np.uint8:
        pixels, low, high = stretched(pixels)
        preview |= {"minimum": low, "maximum": high}
    small = np.ascontiguousarray(np.asarray(_small(Image.fromarray(np.ascontiguousarray(pixels)))))
    block = {"how": "pixels", "shape": list(small.shape)}
    return Said(preview=preview | {"picture": True}, block=block, numbers=small.tobytes())


def stretched(pixels: np.ndarray) -> tuple[np.ndarray, float | None, float | None]:
    """Bytes in which nearly all of the values that occur lie between black and white, and what these stand for."""
    if pixels.dtype.kind == "c":
        pixels = np.abs(pixels)
    with np.errstate(all="ignore"):
        values = pixels.astype(np.float64)
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, (DARKEST, BRIGHTEST)) if known.size else (0.0, 1.0)
        if high <= low:
            low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
        scaled = (np.nan_to_num(values, nan=low) - low) / ((high - low) or 1.0)
        bytes_ = (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)
    return bytes_, finite(low), finite(high)


def _small(image: Image.Image) -> Image.Image:
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return image
