"""The housekeeping process: does every app's chores when they are due, or at once when its bell names one.

`python -m neurocaas.server.serving.housekeeping ROOT`. One leads per site. It may be killed at any moment: what a chore
has to do stands in the database, so the next process does it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from neurocaas.bell import Bell, ring
from neurocaas.errors import NeurocaasError
from neurocaas.server.chores import Chore, bell_path
from neurocaas.server.logs import log_to
from neurocaas.server.serving.backup_lock import deleting
from neurocaas.server.site import Site
from neurocaas.settings import Settings, read_settings

log = logging.getLogger(__name__)

STOP = "stop"
DONE = "done"
WAIT_SECONDS = 60.0
FINISH_SECONDS = 5.0


@dataclass
class _Kept:
    """A chore, when it is due (on the clock of `ticks`), and its thread while it is being done."""

    chore: Chore
    due: float
    thread: threading.Thread | None = None


class Housekeeping:
    """The chores and when each is due."""

    def __init__(
        self,
        chores: Iterable[Chore],
        *,
        perform: Callable[[Chore], object],
        ticks: Callable[[], float] = time.monotonic,
        done: Callable[[], object] = lambda: None,
    ) -> None:
        """perform: does one chore. done: called in the chore's thread after it."""
        self._kept = {chore.name: _Kept(chore, due=ticks()) for chore in chores}
        self._perform = perform
        self._ticks = ticks
        self._done = done

    def turn(self, named: Iterable[str] = ()) -> float:
        """Begin what is due or named and not being done already. Returns the seconds until the next is due."""
        now = self._ticks()
        for name in named:
            if kept := self._kept.get(name):
                kept.due = now
        for kept in self._kept.values():
            if kept.due <= now and (kept.thread is None or not kept.thread.is_alive()):
                # Set before it begins: who rings while it is being done has it done once more afterwards.
                kept.due = now + kept.chore.every_seconds
                kept.thread = threading.Thread(target=self._do, args=(kept.chore,), name=kept.chore.name, daemon=True)
                kept.thread.start()
        waits = [kept.due - now for kept in self._kept.values() if kept.due > now]
        return min([WAIT_SECONDS, *waits])

    def finish(self, seconds: float) -> bool:
        """Give what is being done this long to end. Returns whether all has."""
        give_up = time.monotonic() + seconds
        threads = [kept.thread for kept in self._kept.values() if kept.thread is not None]
        for thread in threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _do(self, chore: Chore) -> None:
        try:
            self._perform(chore)
        except NeurocaasError as fault:
            log.warning("a chore failed and is tried again later: %s", fault, extra={"chore": chore.name})
        except Exception:
            # A fault of one chore must stop neither the others nor its own next turn.
            log.exception("a chore failed and is tried again later", extra={"chore": chore.name})
        finally:
            self._done()


def perform(chore: Chore, site: Site) -> None:
    """Do one chore, with a database connection of its own; one that deletes waits while a backup is written."""
    from django.db import connections

    try:
        with _permission(chore, site.settings) as granted:
            if granted:
                chore.work(site)
    finally:
        connections.close_all()


def found_chores() -> list[Chore]:
    """The chores of all installed apps and of serving itself. Raises NeurocaasError if two have the same name."""
    from django.apps import apps
    from django.utils.module_loading import module_has_submodule

    from neurocaas.server.serving.chores import CHORES

    chores = list(CHORES)
    for app in apps.get_app_configs():
        if app.name.startswith("neurocaas.") and app.module is not None and module_has_submodule(app.module, "chores"):
            chores.extend(importlib.import_module(f"{app.name}.chores").CHORES)
    names = [chore.name for chore in chores]
    if twice := {name for name in names if names.count(name) > 1}:
        raise NeurocaasError(f"Two chores are called {min(twice)!r}; each needs a name of its own.")
    return chores


def main(root: str) -> int:
    """Do the site's chores until SIGTERM."""
    settings = read_settings(Path(root))
    settings.run.mkdir(parents=True, exist_ok=True)
    with (settings.run / "housekeeping.lock").open("a+", encoding="utf-8") as lock:
        # One before this one may still be ending.
        fcntl.flock(lock, fcntl.LOCK_EX)
        lead(lock)
        log_to(settings.state / "logs" / "housekeeping.log")
        from neurocaas.server.serving.configuration import connect_fully

        site = connect_fully(settings)
        keep(site, found_chores())
    return 0


def lead(lock: TextIO) -> None:
    """Write into the lock, which is held, who holds it."""
    lock.truncate(0)
    lock.write(json.dumps({"pid": os.getpid()}))
    lock.flush()


def keep(site: Site, chores: Iterable[Chore]) -> None:
    """Do these chores until SIGTERM; only for whoever holds the lock."""
    bell = Bell(bell_path(site.settings))
    signal.signal(signal.SIGTERM, lambda *_: ring(bell.path, STOP))
    keeping = Housekeeping(chores, perform=partial(perform, site=site), done=lambda: ring(bell.path, DONE))
    messages: list[str] = []
    while STOP not in messages:
        messages = bell.wait(keeping.turn(messages))
    bell.close()
    finished = keeping.finish(FINISH_SECONDS)
    logging.shutdown()
    if not finished:
        # A thread that is in the middle of something would be torn out of an interpreter that is ending.
        os._exit(0)


def _permission(chore: Chore, settings: Settings) -> contextlib.AbstractContextManager[bool]:
    return deleting(settings) if chore.deletes else contextlib.nullcontext(enter_result=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except NeurocaasError as fault:
        sys.exit(str(fault))
