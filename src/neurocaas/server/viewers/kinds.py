"""Which endings are shown, with which reader, and how a file of that ending may be served to a browser."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

OCTETS = "application/octet-stream"
PLAIN = "text/plain; charset=utf-8"


class ContentType(NamedTuple):
    """name: for the header; inline: False where a browser may only save the file."""

    name: str
    inline: bool


class Kind(NamedTuple):
    """reader: the part of the worker that opens it; "frame" is shown by the page in a sandboxed frame, unopened."""

    reader: str
    content: ContentType = ContentType(OCTETS, inline=False)


def _inline(reader: str, name: str) -> Kind:
    return Kind(reader, ContentType(name, inline=True))


def _saved(reader: str, name: str) -> Kind:
    return Kind(reader, ContentType(name, inline=False))


UNKNOWN = Kind("text")
# Nothing that can hold a script is served inline: markup is saved, or seen in a frame that may run nothing here.
KINDS: dict[str, Kind] = {
    ".png": _inline("image", "image/png"),
    ".jpg": _inline("image", "image/jpeg"),
    ".jpeg": _inline("image", "image/jpeg"),
    ".gif": _inline("image", "image/gif"),
    ".webp": _inline("image", "image/webp"),
    ".bmp": _inline("image", "image/bmp"),
    ".tif": _saved("tiff", "image/tiff"),
    ".tiff": _saved("tiff", "image/tiff"),
    ".mp4": _inline("movie", "video/mp4"),
    ".mov": _inline("movie", "video/quicktime"),
    ".webm": _inline("movie", "video/webm"),
    ".mkv": _saved("movie", "video/x-matroska"),
    ".avi": _saved("movie", "video/x-msvideo"),
    ".csv": _inline("table", PLAIN),
    ".tsv": _inline("table", PLAIN),
    ".npy": Kind("npy"),
    ".npz": Kind("npz"),
    ".h5": Kind("hdf5"),
    ".hdf5": Kind("hdf5"),
    ".nwb": Kind("hdf5"),
    ".mat": Kind("mat"),
    ".html": _saved("frame", "text/html; charset=utf-8"),
    ".htm": _saved("frame", "text/html; charset=utf-8"),
    ".svg": _saved("frame", "image/svg+xml"),
    ".pdf": _saved("nothing", "application/pdf"),
    ".zip": _saved("nothing", "application/zip"),
    ".json": _inline("json", PLAIN),
    **dict.fromkeys(
        (".txt", ".log", ".yaml", ".yml", ".md", ".jsonl", ".toml", ".ini", ".cfg", ".py", ".m", ".r", ".tex", ".bib"),
        _inline("text", PLAIN),
    ),
}


def viewer_for(filename: str) -> str:
    """The kind of a file: its ending as it stands in `KINDS`, or nothing if no viewer is for it."""
    ending = PurePosixPath(filename).suffix.lower()
    return ending if ending in KINDS else ""


def content_type_for(filename: str) -> ContentType:
    """How a file of this name may be served. Send it with `X-Content-Type-Options: nosniff` all the same."""
    return KINDS.get(viewer_for(filename), UNKNOWN).content
