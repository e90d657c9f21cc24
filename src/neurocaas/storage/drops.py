"""Places that other programs write to by names of their own: listed, read and answered without trusting any name.

A `Store` refuses keys that it could not have built; here a stranger built them. So nothing in this module parses a key,
and on a disk no link is followed, at whatever part of a path it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from neurocaas.errors import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """One object. mark: is another once the content is; on S3 the entity tag, on a disk what the file system says."""

    key: str
    size_bytes: int
    mark: str
    modified_at: datetime


class Drops(Protocol):
    """One bucket (or a part of one), or one folder. Messages are sentences; a lost connection raises StorageFailed."""

    @property
    def url(self) -> str:
        """What `open_drops` takes to open it again."""
        ...

    @property
    def settles(self) -> bool:
        """Whether an object may be seen half written, as on a disk, until it has been left alone for a moment."""
        ...

    def folders(self) -> list[str]:
        """The names at the top that something lies below, sorted."""
        ...

    def listed(self, prefix: str) -> Iterator[Drop]:
        """Everything whose key begins with `prefix`, which ends in a slash. Nothing is not an error."""
        ...

    def find(self, key: str) -> Drop | None:
        """What is at this key; None for nothing, for a folder, and for what is reached by a link."""
        ...

    def read(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start`, which is below its size or 0, to before `end` or its own. Raises NotFound."""
        ...

    def fetch(self, key: str, path: Path) -> None:
        """Bring the object to `path`, which is replaced. Raises NotFound."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write an object at once, in place of any that was there."""
        ...

    def put_file(self, path: Path, key: str) -> None:
        """The same from a file on this machine, which stays."""
        ...


def open_drops(url: str) -> Drops:
    """The place at `file:///absolute/folder` or `s3://bucket/prefix`. Contacts nothing. Raises Refused for other URLs.

    S3 takes its endpoint, region and credentials from the AWS_* variables.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "file" and rest.startswith("/"):
        from neurocaas.storage.file_drops import FileDrops

        return FileDrops(Path(unquote(rest)))
    if separator and scheme == "s3" and rest.strip("/"):
        from neurocaas.storage.s3_drops import S3Drops

        return S3Drops(url)
    raise Refused(f"{url!r} is not the address of a drop-box; write file:///absolute/folder or s3://bucket/prefix.")
