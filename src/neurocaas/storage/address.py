"""From a URL to a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from neurocaas.errors import Refused
from neurocaas.storage.files import FileStore
from neurocaas.storage.store import Store

if TYPE_CHECKING:
    from neurocaas.storage.credentials import Renewed


def open_store(url: str, *, credentials: Renewed | None = None) -> Store:
    """The store at `file:///absolute/folder` (percent-encoded, as `Path.as_uri` writes it) or `s3://bucket/prefix`.

    Nothing is created or contacted yet: a folder is made by the first write. S3 takes its endpoint, region and
    credentials from the AWS_* variables, or all of them from `credentials`. Raises `Refused` for any other URL.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "file" and rest.startswith("/"):
        store = FileStore(Path(unquote(rest)))
        store.sweep()
        return store
    if separator and scheme == "s3" and rest:
        # obstore starts threads of its own and costs 30 ms to import: only sites on S3 pay for it.
        from neurocaas.storage.s3 import S3Store

        return S3Store(url, credentials=credentials)
    raise Refused(f"{url!r} is not the address of a store; write file:///absolute/folder or s3://bucket/prefix.")
