"""Looks at the drop-boxes every so often, or when something is said to be there; answers when a job has changed."""

from __future__ import annotations

import time

from neurocaas.server.chores import Chore, wake
from neurocaas.server.dropbox.boxes import open_boxes
from neurocaas.server.dropbox.hints import CHORE, listen
from neurocaas.server.dropbox.mirroring import mirror
from neurocaas.server.dropbox.sweeping import sweep
from neurocaas.server.jobs.followers import DROPBOX_ANSWERS
from neurocaas.server.site import Site

SWEEP_SECONDS = 30
ANSWER_SECONDS = 30
LISTEN_AGAIN_SECONDS = 60
# Every change of any job rings; the database is asked no more often than this for all of them together.
PACE_SECONDS = 0.5


def look(site: Site) -> None:
    """Take what was submitted, and have it answered: by the other chore, since two at once would not agree."""
    boxes = open_boxes(site)
    if boxes.boxes and sweep(boxes):
        wake(site.settings, DROPBOX_ANSWERS)


def answer(site: Site) -> None:
    boxes = open_boxes(site)
    if boxes.boxes and mirror(boxes):
        time.sleep(PACE_SECONDS)


CHORES = (
    Chore(name="dropbox-messages", every_seconds=LISTEN_AGAIN_SECONDS, work=listen),
    Chore(name=CHORE, every_seconds=SWEEP_SECONDS, work=look),
    Chore(name=DROPBOX_ANSWERS, every_seconds=ANSWER_SECONDS, work=answer),
)
