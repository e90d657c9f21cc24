"""Compare two result files: their bytes first, and if these differ, by their kind."""

from __future__ import annotations

from pathlib import Path

from neurocaas.comparison.apart import compare_apart
from neurocaas.comparison.kinds import compare_here, libraries_of
from neurocaas.comparison.reading import Source, require
from neurocaas.comparison.verdict import SAME_BYTES, Comparison, equal
from neurocaas.errors import NotFound, Refused, StorageFailed

BUFFER_BYTES = 1 << 20


def compare(expected: Path, found: Path, *, kind: str = "") -> Comparison:
    """Whether the file found says what the expected one says. kind: a file's ending, as ".npy"; by default its own.

    A file that can't be read as its kind is different, and the detail says why. Raises `NotFound` or `Refused` if one
    of them is no file, `StorageFailed` if the disk can't be read, `Unavailable` if a library that opens this kind is
    not installed.
    """
    for path in (expected, found):
        if not path.is_file():
            fault = NotFound if not path.exists() else Refused
            raise fault(f"{path} is not a file; two result files are compared.")
    try:
        if same_bytes(expected, found):
            return equal(SAME_BYTES)
    except OSError as cause:
        raise StorageFailed(f"{cause.filename or found} can't be read: {cause.strerror}.") from cause
    kind = (kind or expected.suffix).lower()
    kind = kind if kind.startswith(".") or not kind else f".{kind}"
    libraries = libraries_of(kind)
    require(libraries, kind)
    sources = Source(expected, "expected", kind), Source(found, "found", kind)
    # An array of NumPy's is its bytes; the other libraries have decoders, and a damaged file may crash one.
    return compare_apart(*sources) if set(libraries) - {"numpy"} else compare_here(*sources)


def same_bytes(expected: Path, found: Path) -> bool:
    if expected.stat().st_size != found.stat().st_size:
        return False
    with expected.open("rb") as one, found.open("rb") as other:
        while block := one.read(BUFFER_BYTES):
            if block != other.read(BUFFER_BYTES):
                return False
        return not other.read(1)
