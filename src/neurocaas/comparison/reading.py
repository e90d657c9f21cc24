"""Reading result files that may be damaged or hostile: faults become sentences, and sizes are looked at first."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from neurocaas.errors import NeurocaasError, Unavailable

# A file may unpack to 1 GiB, or to as much as deflate can squeeze into it (1,032 to 1), whichever is more. What claims
# more than that is a bomb or damaged, and is not read.
UNPACKED_BYTES = 1024**3
UNPACKED_RATIO = 1_100
# What has to be in memory at once: a page of an image, a chunk, a document.
AT_ONCE_BYTES = 512 * 1024**2
LONGEST_LINE_BYTES = 64 * 1024**2
SHOWN_REASON = 200


class Unreadable(Exception):
    """A file that can't be read as its kind; the message is the comparison's sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """One of the two files. role: "expected" or "found"."""

    path: Path
    role: str
    kind: str

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever a library raises in here becomes `Unreadable` with a sentence that names this file."""
        try:
            yield
        except (Unreadable, NeurocaasError):
            raise
        except MemoryError as cause:
            raise self.unreadable("it needs more memory than this machine has") from cause
        # Given a damaged file, these libraries raise nearly anything: struct.error, KeyError, RuntimeError.
        except Exception as cause:
            raise self.unreadable(reason_of(cause)) from cause

    def unreadable(self, reason: str) -> Unreadable:
        return Unreadable(f"the {self.role} file can't be read as {self.kind}: {reason}")

    def admit(self, claimed_bytes: int, what: str, allowed_bytes: int) -> None:
        """Raise `Unreadable` if `what` claims to hold more bytes than are read from a file of this size."""
        if claimed_bytes > allowed_bytes:
            raise self.unreadable(
                f"{what} claims {claimed_bytes:,} bytes, more than the {allowed_bytes:,} that are read"
            )


def allowed_bytes(*sources: Source) -> int:
    """How many bytes the larger of these files may unpack to."""
    return max(UNPACKED_BYTES, UNPACKED_RATIO * max(source.path.stat().st_size for source in sources))


def require(libraries: Iterable[str], kind: str) -> None:
    """Raise `Unavailable` if one of these can't be imported; the comparison needs them to open files of this kind."""
    for library in libraries:
        try:
            importlib.import_module(library)
        except ImportError as cause:
            raise Unavailable(
                f"Comparing {kind} files needs the Python package {library}, which can't be imported here.",
                remedy="pip install 'neurocaas[compare]'",
            ) from cause


def lines(file: BinaryIO, source: Source) -> Iterator[bytes]:
    """The lines of a file with their ends. A line that would fill the memory is refused."""
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        if len(line) > LONGEST_LINE_BYTES:
            raise source.unreadable(f"it has a line of more than {LONGEST_LINE_BYTES:,} bytes")
        yield line


def reason_of(cause: Exception) -> str:
    text = " ".join(str(cause).split()).rstrip(".") or type(cause).__name__
    return text if len(text) <= SHOWN_REASON else f"{text[: SHOWN_REASON - 1]}…"
