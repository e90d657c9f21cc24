"""Result files as files of this machine, for viewers and comparisons: where they lie, or fetched and kept a while."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from neurocaas.errors import Refused
from neurocaas.server.jobs.deliverables import Deliverable
from neurocaas.server.site import Site

LARGEST_FETCHED = 1 << 30  # a larger one is downloaded by whoever wants to see it
MOST_FETCHED = 8 << 30
MOST_PREVIEWS = 2 << 30


def previews(site: Site) -> Path:
    """Where previews are kept; it may be emptied at any time."""
    return site.settings.state / "cache" / "previews"


def fetched(site: Site) -> Path:
    """Where files of a store elsewhere are kept while they are looked at; it may be emptied at any time."""
    return site.settings.state / "cache" / "results"


def here(site: Site, file: Deliverable) -> Path:
    """The file on this machine. Raises NotFound, and Refused if it is too large to be fetched from elsewhere."""
    path = site.store.local_path(file.key)
    if path is not None:
        return path
    if (file.size_bytes or 0) > LARGEST_FETCHED:
        raise Refused(f"{file.path} is too large to be shown here.", remedy="Download it.")
    name = file.sha256 or hashlib.sha256(file.key.encode()).hexdigest()
    kept = fetched(site) / name[:2] / name
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        site.store.get_file(file.key, kept)
    with contextlib.suppress(OSError):
        os.utime(kept)  # what is looked at is kept longest
    return kept


def digest(site: Site, file: Deliverable) -> str:
    """The file's SHA-256: known for results, read for the certificate, which is small."""
    return file.sha256 or hashlib.sha256(site.store.get(file.key)).hexdigest()


def forget_fetched(site: Site, most_bytes: int = MOST_FETCHED) -> None:
    """Remove what was looked at longest ago until no more than this is left."""
    held = []
    for path in fetched(site).glob("*/*"):
        with contextlib.suppress(OSError):
            said = path.stat()
            held.append((said.st_atime, said.st_size, path))
    left = sum(size for _, size, _ in held)
    for _, size, path in sorted(held):
        if left <= most_bytes:
            return
        path.unlink(missing_ok=True)
        left -= size
