"""Images, stacks of them and movies."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from neurocaas.server.viewers.readers import pictures
from neurocaas.server.viewers.sizes import LARGEST_SIDE
from unit.server.viewers.conftest import Seen

See = Callable[..., Seen]
RANDOM = np.random.default_rng(4)
COLOURED = RANDOM.integers(0, 255, (30, 40, 3), np.uint8)
STACK = RANDOM.integers(100, 900, (5, 30, 40), np.uint16)


def image(pixels: Any, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(out, form, **options)
    return out.getvalue()


def pixels_of(seen: Seen) -> Any:
    return np.frombuffer(seen.numbers, np.uint8).reshape(seen.block.shape)


@pytest.mark.parametrize(
    ("name", "form"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.gif", "GIF"), ("a.webp", "WEBP"), ("a.bmp", "BMP")]
)
def test_a_browser_shows_common_images_itself(see: See, name: str, form: str) -> None:
    preview = see(name, image(COLOURED, form)).preview
    assert (preview.form, preview.width, preview.height) == ("image", 40, 30)
    assert (preview.browser_shows, preview.picture) == (True, False)


def test_sixteen_bits_are_stretched_between_black_and_white(see: See) -> None:
    seen = see("a.png", image(STACK[0]))
    assert (seen.preview.pixels, seen.preview.browser_shows) == ("16-bit grey", False)
    assert 100 <= seen.preview.minimum < 130
    assert 870 < seen.preview.maximum <= 900
    assert (pixels_of(seen).min(), pixels_of(seen).max()) == (0, 255)
    assert seen.draw()[0] == seen.draw()[1]


def test_colours_of_print_are_turned_into_those_of_a_screen(see: See) -> None:
    seen = see("a.jpg", image(Image.fromarray(COLOURED).convert("CMYK"), "JPEG"))
    assert (seen.preview.browser_shows, seen.block.shape) == (False, (30, 40, 3))


def test_an_image_too_large_for_a_page_is_made_smaller(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LARGEST_IN_PAGE", 10_000)
    seen = see("a.png", image(np.zeros((40, 3000), np.uint8)))
    assert seen.preview.note == "Shown smaller than its 3,000 × 40 pixels."
    assert max(seen.block.shape) == LARGEST_SIDE


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that claims this many black pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    ends = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ends) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (13_300, 13_300), (2**31 - 1, 1)])
def test_an_image_that_claims_too_many_pixels_is_not_unpacked(see: See, size: tuple[int, int]) -> None:
    assert see("a.png", bomb(*size)).preview.form == "not shown"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.tif"])
@pytest.mark.parametrize("content", [b"", b"not an image", image(COLOURED)[:-200], image(COLOURED, "JPEG")[:-400]])
def test_a_damaged_image_is_a_sentence(see: See, name: str, content: bytes) -> None:
    preview = see(name, content).preview
    assert preview.form == "not shown"
    assert name[1:] in preview.sentence


def tiff(pixels: Any, **options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, pixels, **options)


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"compression": "zlib"}, {"bigtiff": True}])
def test_a_stack_is_seen_page_by_page(see: See, options: dict[str, Any]) -> None:
    seen = see("a.tif", tiff(STACK, **options), index=3)
    preview = seen.preview
    assert (preview.width, preview.height, preview.pages, preview.index) == (40, 30, 5, 3)
    expected, low, high = pictures.stretched(STACK[3])
    assert np.array_equal(pixels_of(seen), expected)
    assert (preview.minimum, preview.maximum) == (low, high)
    assert see("a.tiff", tiff(STACK, **options), index=99).preview.index == 4


@pytest.mark.parametrize(
    ("pixels", "shape", "said"),
    [
        (COLOURED, (30, 40, 3), "8-bit colour"),
        (COLOURED.astype(np.uint16) * 200, (30, 40, 3), "16-bit colour"),
        (np.float32(STACK[0]), (30, 40), "32-bit grey (float)"),
        (np.full((30, 40), np.nan, np.float32), (30, 40), "32-bit grey (float)"),
        (np.full((30, 40), 7, np.int16), (30, 40), "16-bit grey"),
        (STACK[0] > 500, (30, 40), "8-bit grey"),
    ],
)
def test_every_kind_of_page_becomes_a_picture(see: See, pixels: Any, shape: tuple[int, ...], said: str) -> None:
    seen = see("a.tif", tiff(pixels))
    assert (seen.block.shape, seen.preview.pixels) == (shape, said)
    assert all(seen.draw())


def test_a_page_that_claims_too_many_pixels_is_not_unpacked(see: See) -> None:
    def write(path: Path) -> None:
        tifffile.imwrite(path, np.zeros((16, 16), np.uint8))
        with tifffile.TiffFile(path, mode="r+") as file:
            for tag in ("ImageWidth", "ImageLength"):
                file.pages[0].tags[tag].overwrite(60_000)

    assert "claims 3,600,000,000 bytes" in see("a.tif", write).preview.sentence


def movie(codec: str, pixels: str, count: int = 30, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=10, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64), 8 * number, np.uint8), format="gray")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return write


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "plays"),
    [
        ("a.mp4", "libx264", "yuv420p", True),
        ("a.mov", "libx264", "yuv420p", True),
        ("a.mp4", "libx264", "yuv444p", False),
        ("a.mp4", "mpeg4", "yuv420p", False),
        ("a.webm", "libvpx-vp9", "yuv420p", True),
        ("a.mkv", "libx264", "yuv420p", False),
        ("a.avi", "ffv1", "gray", False),
    ],
)
def test_a_movie_says_whether_a_browser_plays_it_and_shows_its_middle(
    see: See, name: str, codec: str, pixels: str, plays: bool
) -> None:
    seen = see(name, movie(codec, pixels))
    preview = seen.preview
    assert (preview.width, preview.height, preview.frames, preview.frames_per_second) == (64, 48, 30, 10)
    assert (preview.browser_can_play, preview.index) == (plays, 15)
    assert abs(int(np.median(pixels_of(seen))) - 8 * 15) <= 12


@pytest.mark.parametrize("index", [0, 7, 29, 10**9])
def test_any_frame_can_be_asked_for(see: See, index: int) -> None:
    seen = see("a.avi", movie("ffv1", "gray"), index=index)
    assert seen.preview.index == min(index, 29)
    assert abs(int(np.median(pixels_of(seen))) - 8 * min(index, 29)) <= 1


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm", "a.mkv", "a.avi"])
@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n/etc/passwd\n", bytes(5000)])
def test_what_is_no_movie_is_a_sentence(see: See, name: str, content: bytes) -> None:
    assert see(name, content).preview.form == "not shown"


def test_a_movie_that_breaks_off_is_never_more_than_a_sentence(see: See, tmp_path: Path) -> None:
    movie("libx264", "yuv420p")(tmp_path / "whole.mp4")
    whole = (tmp_path / "whole.mp4").read_bytes()
    for length in (40, len(whole) // 2, len(whole) - 10):
        assert see("a.mp4", whole[:length]).preview.form in ("movie", "not shown")
