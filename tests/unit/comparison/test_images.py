"""Images: .png, .jpg, .tif."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from neurocaas.comparison import Sameness
from unit.comparison.conftest import Compared

PICTURE = np.arange(120, dtype=np.uint8).reshape(10, 12)
STACK = np.arange(3 * 120, dtype=np.uint16).reshape(3, 10, 12)


def _image(pixels: Any, **options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def _tif(pixels: Any, **options: Any) -> Callable[[Path], None]:
    options = {"photometric": "minisblack", **options}
    return lambda path: tifffile.imwrite(path, pixels, **options)


def _changed(pixels: Any, place: Any, by: Any) -> Any:
    changed = pixels.copy()
    changed[place] += by
    return changed


def test_metadata_and_compression_of_a_png_do_not_count(compared: Compared) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("date", "today")
    answer = compared("a.png", _image(PICTURE), _image(PICTURE, pnginfo=notes, compress_level=1))
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same numbers in other bytes")


@pytest.mark.parametrize(
    ("name", "write", "pixels"),
    [
        ("a.png", _image, PICTURE),
        ("a.png", _image, STACK[0]),
        ("a.tif", _tif, PICTURE),
        ("a.tiff", _tif, STACK[1]),
        ("a.tif", _tif, STACK[1].astype(np.int32)),
    ],
)
def test_one_grey_level_is_within_tolerance_and_two_are_not(
    compared: Compared, name: str, write: Any, pixels: Any
) -> None:
    answer = compared(name, write(pixels), write(_changed(pixels, (3, 4), 1)))
    assert (answer.verdict, answer.detail) == (Sameness.WITHIN_TOLERANCE, "largest difference 1.0")
    answer = compared(name, write(pixels), write(_changed(pixels, (3, 4), 2)))
    value = pixels[3, 4]
    assert answer.detail == (
        f"1 of 120 pixel values differs, by 2.0 at [3, 4] ({value} was expected, {value + 2} found)"
    )
    assert answer.largest == 2.0


def test_shape_and_type_of_a_picture_are_compared_first(compared: Compared) -> None:
    assert compared("a.png", _image(PICTURE), _image(PICTURE.T)).detail == "shape (10, 12) was expected, (12, 10) found"
    colours = np.dstack([PICTURE] * 3)
    assert (
        compared("a.png", _image(PICTURE), _image(colours)).detail == "shape (10, 12) was expected, (10, 12, 3) found"
    )
    assert compared("a.tif", _tif(PICTURE), _tif(PICTURE.astype("f4"))).detail == (
        "the type uint8 was expected, float32 found"
    )


def test_black_and_white_is_exact(compared: Compared) -> None:
    one = np.zeros((8, 8), bool)
    answer = compared("a.png", _image(one), _image(~one))
    assert (answer.verdict, answer.largest) == (Sameness.DIFFERENT, 1.0)


def test_the_order_of_a_palette_does_not_count(compared: Compared) -> None:
    def palette(colours: list[int], pixels: Any) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            image = Image.frombytes("P", pixels.shape[::-1], pixels.tobytes())
            image.putpalette(colours)
            image.save(path)

        return write

    pixels = np.array([[0, 1], [1, 0]], np.uint8)
    one, other = palette([0, 0, 0, 255, 0, 0], pixels), palette([255, 0, 0, 0, 0, 0], 1 - pixels)
    assert compared("a.png", one, other).verdict is Sameness.EQUAL
    assert compared("a.png", one, palette([0, 0, 0, 255, 0, 9], pixels)).verdict is Sameness.DIFFERENT


def test_a_jpeg_is_compared_by_its_pixels(compared: Compared) -> None:
    assert compared("a.jpg", _image(PICTURE), _image(PICTURE, comment="today")).verdict is Sameness.EQUAL
    assert compared("a.jpeg", _image(PICTURE), _image(255 - PICTURE)).verdict is Sameness.DIFFERENT


def test_pages_are_compared_one_by_one(compared: Compared) -> None:
    answer = compared("a.tif", _tif(STACK), _tif(_changed(STACK, (2, 9, 11), 40)))
    assert answer.detail == "1 of 360 pixel values differs, by 40.0 at [2, 9, 11] (359 was expected, 399 found)"
    assert compared("a.tif", _tif(STACK), _tif(STACK[:2])).detail == "3 pages were expected, 2 found"
    moving = [Image.fromarray(page) for page in STACK.astype(np.uint8)]
    answer = compared(
        "a.png",
        lambda path: moving[0].save(path, save_all=True, append_images=moving[1:]),
        lambda path: moving[0].save(path, save_all=True, append_images=[moving[2], moving[1]]),
    )
    assert answer.verdict is Sameness.DIFFERENT
    assert "240 of 360 pixel values differ, by at most 136.0 at [1, " in answer.detail


def test_metadata_byte_order_and_compression_of_a_tif_do_not_count(compared: Compared) -> None:
    lzw = [Image.fromarray(page) for page in STACK]
    for other in (
        _tif(STACK, description="today", metadata=None),
        _tif(STACK, compression="zlib", byteorder=">", bigtiff=True),
        _tif(STACK, ome=True),
        _tif(STACK, imagej=True),
        lambda path: lzw[0].save(path, compression="tiff_lzw", save_all=True, append_images=lzw[1:]),
    ):
        assert compared("a.tif", _tif(STACK), other).verdict is Sameness.EQUAL


def test_a_long_imagej_stack_has_pages_behind_its_only_page(compared: Compared) -> None:
    one, other = (_tif(stack, imagej=True, truncate=True) for stack in (STACK, _changed(STACK, (1, 2, 3), 9)))
    answer = compared("a.tif", one, other)
    assert answer.detail == "1 of 360 pixel values differs, by 9.0 at [1, 2, 3] (147 was expected, 156 found)"
    assert compared("a.tif", one, _tif(STACK)).verdict is Sameness.EQUAL


def test_floating_point_pictures_have_the_tolerance_of_their_precision(compared: Compared) -> None:
    one = STACK.astype(np.float32)
    assert compared("a.tif", _tif(one), _tif(one * np.float32(1 + 1e-6))).verdict is Sameness.WITHIN_TOLERANCE
    assert compared("a.tif", _tif(one), _tif(one * np.float32(1 + 1e-4))).verdict is Sameness.DIFFERENT


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [12_000, 10**6])
def test_a_png_that_claims_millions_of_pixels_takes_no_room(compared: Compared, side: int) -> None:
    def bomb(path: Path) -> None:
        header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b""))

    answer = compared("a.png", _image(PICTURE), bomb)
    assert answer.detail.startswith("the found file can't be read as .png: it claims ")


@pytest.mark.parametrize(("name", "write"), [("a.png", _image), ("a.jpg", _image), ("a.tif", _tif)])
def test_a_picture_that_is_cut_short_is_a_sentence(compared: Compared, name: str, write: Any) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)

    def cut(path: Path) -> None:
        write(noise)(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    answer = compared(name, write(noise), cut)
    assert answer.verdict is Sameness.DIFFERENT
    assert answer.detail.startswith(f"the found file can't be read as {name[1:]}: ")


def test_a_page_that_claims_more_than_memory_is_not_read(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurocaas.comparison.stacks.AT_ONCE_BYTES", 200)
    answer = compared("a.tif", _tif(PICTURE), _tif(STACK[0]))
    assert answer.detail == (
        "the found file can't be read as .tif: page 0 claims 240 bytes, more than the 200 that are read"
    )
