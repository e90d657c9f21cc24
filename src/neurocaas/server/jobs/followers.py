"""Who follows a job is told of each change at once, by a bell in the site's run folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from neurocaas.bell import Bell, ring
from neurocaas.server.chores import wake
from neurocaas.settings import Settings

CHANGED = "changed"
ENDED = "ended"
EVERYBODY = "every"
DROPBOX_ANSWERS = "dropbox-answers"  # the chore that writes into drop-boxes what became of jobs


def _folder(settings: Settings) -> Path:
    return settings.run / "followers"


class Followers:
    """The manager's end: rings everybody who follows a job, and whoever sends messages when one has ended."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._folder = settings, _folder(settings)
        self._folder.mkdir(parents=True, exist_ok=True)

    def tell(self, job_id: str, what: str) -> None:
        """Ring all followers of the job. What they then see, they read from the database."""
        for name in os.listdir(self._folder):  # noqa: PTH208 (called for every change; Path objects cost more)
            if name.startswith(job_id):
                ring(self._folder / name, what)
            elif name.startswith(EVERYBODY):
                ring(self._folder / name, f"{job_id} {what}")
        if what == ENDED:
            wake(self._settings, "notifications")
        if self._settings.site.dropboxes:
            wake(self._settings, DROPBOX_ANSWERS)


def everybody(settings: Settings) -> Path:
    """The bell of a process that follows every job: it is told which one changed."""
    return _folder(settings) / f"{EVERYBODY}.{os.getpid()}"


@contextlib.contextmanager
def follow(settings: Settings, job_id: str) -> Iterator[Bell]:
    """A bell that rings when the job changes or ends, for as long as the block lasts."""
    bell = Bell(_folder(settings) / f"{job_id}.{os.getpid()}")
    try:
        yield bell
    finally:
        bell.close()
