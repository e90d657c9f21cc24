"""The look at all drop-boxes that is the truth, however many messages were lost."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable

from neurocaas.errors import NeurocaasError
from neurocaas.server.dropbox.boxes import Box, Boxes
from neurocaas.server.dropbox.bringing import work_folder
from neurocaas.server.dropbox.models import Arrival, Submission
from neurocaas.server.dropbox.taking import PATIENCE, given_up, mark_of, refuse, take
from neurocaas.server.jobs.status import Status
from neurocaas.storage.drops import Drop

log = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
_KEYS_AT_ONCE = 500  # a database bounds the parameters of one query
_PLATFORM_FAILED = "The platform failed while it took this submission; an operator finds why in its log."


def sweep(boxes: Boxes) -> int:
    """Take every submission that was not taken yet, the oldest first. Returns how many there were.

    Lists only what groups wrote, and reads only what is new: a version of an object that was read is never read again.
    """
    # Never done twice at the same time, so whatever lies there was left by a process that died.
    shutil.rmtree(work_folder(boxes.site), ignore_errors=True)
    taken = 0
    for box in boxes.boxes:
        try:
            for drop in _new(boxes, box):
                taken += _take(boxes, box, drop)
        except NeurocaasError as fault:
            log.warning("the drop-box of %s could not be looked at: %s", box.analysis, fault)
    # Who died between a job's admission and the ring for it left it to nobody; and a manager ends when it is idle.
    if Submission.objects.filter(done=False, job__status=Status.WAITING).exists():
        boxes.wake()
    return taken


def _new(boxes: Boxes, box: Box) -> list[Drop]:
    now = boxes.clock()
    found = [
        one
        for one in box.submissions()
        # On a disk it may still be being written. A time in the future is another clock's, and says nothing.
        if not box.drops.settles or not 0 <= (now - one.modified_at).total_seconds() < SETTLE_SECONDS
    ]
    read = {(key, mark) for keys in _chunks([one.key for one in found]) for key, mark in _read(box, keys)}
    new = [one for one in found if (one.key, mark_of(one)) not in read]
    return sorted(new, key=lambda one: (one.modified_at, one.key))


def _read(box: Box, keys: list[str]) -> Iterable[tuple[str, str]]:
    return Arrival.objects.filter(analysis=box.analysis, key__in=keys).values_list("key", "mark")


def _chunks(keys: list[str]) -> Iterable[list[str]]:
    return (keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE))


def _take(boxes: Boxes, box: Box, drop: Drop) -> bool:
    """Take one; a fault of something else holds up no other, and is told if it lasts."""
    try:
        take(boxes, box, drop)
    except NeurocaasError as fault:
        log.warning("%s in the drop-box of %s is tried again: %s", drop.key, box.analysis, fault)
        message = str(fault)
    except Exception:
        log.exception("%s in the drop-box of %s could not be taken", drop.key, box.analysis)
        message = _PLATFORM_FAILED
    else:
        return True
    if boxes.clock() - drop.modified_at < PATIENCE:
        return False
    refuse(boxes, box, drop, given_up(drop), message)
    return True
