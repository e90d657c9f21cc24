"""What is done again and again in the background: every app's `chores` module says what, housekeeping does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neurocaas.bell import ring
from neurocaas.settings import Settings

if TYPE_CHECKING:
    from neurocaas.server.site import Site


@dataclass(frozen=True, kw_only=True)
class Chore:
    """One of them. An app lists its own as `CHORES = (Chore(...), ...)` in its module `chores`.

    work: called with the site, in a thread of the chore's own, never twice at the same time. It may be killed at any
    line and is then simply called again, so it must find what is to be done in the database. deletes: it removes what
    the database may still name in a backup that is being written, so it waits until none is.
    """

    name: str
    every_seconds: float
    work: Callable[[Site], object]
    deletes: bool = False


def bell_path(settings: Settings) -> Path:
    return settings.run / "housekeeping.bell"


def wake(settings: Settings, name: str) -> bool:
    """Have the chore of this name done now. False if no housekeeping runs; it will then be done when one does."""
    return ring(bell_path(settings), name)
