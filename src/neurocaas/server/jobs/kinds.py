"""What a file is, by its first bytes: a wrong kind is refused before anything runs."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 16
ZIP_TAIL_BYTES = (1 << 16) + 22  # the longest comment, and the record before it

# The first bytes of formats that have a signature; a kind that is not here is taken by its ending alone.
SIGNATURES: dict[str, tuple[bytes, ...]] = {
    ".npy": (b"\x93NUMPY",),
    ".npz": (b"PK\x03\x04", b"PK\x05\x06"),
    ".zip": (b"PK\x03\x04", b"PK\x05\x06"),
    ".tif": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ".tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ".avi": (b"RIFF",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".hdf5": (b"\x89HDF\r\n\x1a\n",),
    ".nwb": (b"\x89HDF\r\n\x1a\n",),
}
TEXT = frozenset({".csv", ".tsv", ".txt", ".json", ".yaml", ".yml"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What tells a file's kind: its first bytes, and whether a zip archive's directory ends it."""

    head: bytes
    zip: bool


def look(path: Path) -> Look:
    """Look at a file; only one that begins as a zip archive is read at its end too."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return Look(head=head, zip=head.startswith(b"PK") and zipfile.is_zipfile(path))


def contradiction(seen: Look, kind: str) -> str:
    """Why a file that looks so can't be of this kind, as the end of a sentence; empty if it can."""
    head = seen.head
    if kind in SIGNATURES and not head.startswith(SIGNATURES[kind]):
        return f"its contents are not those of a {kind} file"
    if kind in {".mp4", ".mov"} and head[4:8] not in {b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"}:
        return f"its contents are not those of a {kind} file"
    if kind in TEXT and b"\0" in head:
        return f"its contents are not text, as those of a {kind} file are"
    if kind == ".zip" and not seen.zip:
        return "it is not a whole zip archive"
    return ""
