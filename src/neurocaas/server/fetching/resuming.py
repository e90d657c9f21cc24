"""What a process notes of a file that it fetches, so that another one can go on if it is killed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Note:
    """Which version of the remote file the bytes are of: its entity tag.

    Good until the machine starts anew: a power cut may leave a file as long as it was with zeros in it.
    """

    path: Path

    def write(self, etag: str) -> None:
        """Before the first byte of this version is written, and after those of another are gone."""
        self.path.write_text(json.dumps([etag, _boot()]), encoding="utf-8")

    def etag(self) -> str:
        """The version, or "" if there is none to go on with."""
        try:
            etag, boot = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):  # none, or killed while it was written
            return ""
        return str(etag) if boot == _boot() else ""


def digested(descriptor: int) -> tuple[int, hashlib._Hash]:
    """How much is in the file, and the state of its SHA-256; the next byte is written behind it."""
    digest, size_bytes = hashlib.sha256(), 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    while block := os.read(descriptor, _BLOCK_BYTES):
        digest.update(block)
        size_bytes += len(block)
    return size_bytes, digest


def _boot() -> str:
    return _BOOT.read_text(encoding="ascii").strip()
