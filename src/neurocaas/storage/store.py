"""What every store promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One object: its key (relative to the store) and how large it is."""

    key: str
    size_bytes: int


class Store(Protocol):
    """Objects named by keys. An object is there whole or not at all, whoever is killed at whatever moment.

    Keys are built by `neurocaas.storage.keys`; anything else is refused (`Refused`). A full disk, a missing
    permission or a lost connection raises `StorageFailed`; every message is a sentence.
    """

    @property
    def url(self) -> str:
        """What `open_store` takes to open this store again, in any process."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write the object at once, replacing any that was there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write the object only if there is none; False, and nothing changed, if there is. One of many callers wins."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object. Raises `NotFound`."""
        ...

    def blocks(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The object from byte `start` to before `end`, block by block. Raises `NotFound` as it is read."""
        ...

    def head(self, key: str) -> Entry | None:
        """What is at this key; None for nothing (a prefix is nothing)."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Everything below `prefix + "/"`, or everything for "", sorted by key (code points)."""
        ...

    def delete(self, key: str) -> None:
        """Remove one object. Quiet if it is already gone."""
        ...

    def delete_below(self, prefix: str) -> None:
        """Remove everything below `prefix + "/"`. Quiet if there is nothing. The whole store ("") is refused."""
        ...

    def put_file(self, path: Path, key: str, *, move: bool = False) -> None:
        """Store a regular file (a link or device is refused). With `move` the file is gone from `path` afterwards."""
        ...

    def get_file(self, key: str, path: Path) -> None:
        """Fetch the object to `path`, where it appears at once and whole. Raises `NotFound`."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Where the object or prefix lies on this machine, to be read or bind-mounted; None if it lies elsewhere."""
        ...
