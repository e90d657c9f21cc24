"""Backups and deletions exclude each other: what the backed-up database names must still be there to be copied."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from neurocaas.settings import Settings


@contextlib.contextmanager
def backing_up(settings: Settings) -> Iterator[None]:
    """No chore deletes anything while the block lasts; waits for one that does now."""
    settings.run.mkdir(parents=True, exist_ok=True)
    with (settings.run / "backup.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def deleting(settings: Settings) -> Iterator[bool]:
    """Yields whether things may be deleted now, which is not while a backup is being written. Never waits."""
    with (settings.run / "backup.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
