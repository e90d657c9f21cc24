"""Where a job, stack or attempt is, and the one table and one function that move it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import QuerySet

from neurocaas.errors import IllegalTransition
from neurocaas.reasons import Reason

if TYPE_CHECKING:
    from neurocaas.server.jobs.models import Attempt, Job, Stack


class Status(models.TextChoices):
    """One vocabulary for jobs, stacks and attempts."""

    WAITING = "waiting"
    LAUNCHING = "launching"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
LIVE = frozenset({Status.LAUNCHING, Status.RUNNING})

_END = {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}
TRANSITIONS: dict[str, dict[Status, set[Status]]] = {
    "Job": {
        Status.WAITING: {Status.RUNNING, *_END},
        Status.RUNNING: _END,
    },
    "Stack": {
        # A waiting stack succeeds without running when an earlier job's results are those it would have.
        Status.WAITING: {Status.LAUNCHING, *_END},
        # A launching or running stack waits again when its instance was lost and it may be tried once more.
        Status.LAUNCHING: {Status.RUNNING, Status.WAITING, *_END},
        Status.RUNNING: {Status.WAITING, *_END},
    },
    "Attempt": {
        Status.LAUNCHING: {Status.RUNNING, *_END},
        Status.RUNNING: _END,
    },
}


def advance(
    row: Job | Stack | Attempt,
    *,
    to: Status,
    at: datetime,
    reason: Reason = Reason.NONE,
    message: str = "",
    **fields: Any,
) -> None:
    """Move a row to another status, with the reason, in the database and in memory.

    Raises IllegalTransition if the table does not hold the move, or if another process moved the row first.
    """
    before = Status(row.status)
    if to not in TRANSITIONS[type(row).__name__].get(before, set()):
        raise IllegalTransition(f"{row} is {before}; it can't become {to}.")
    changes: dict[str, Any] = {"status": to, "reason": reason, "message": message, **fields}
    if to in ENDED:
        changes["ended_at"] = at
    elif to is Status.RUNNING and row.started_at is None:
        changes["started_at"] = at
    moved = type(row)._default_manager.filter(pk=row.pk, status=before).update(**changes)
    if not moved:
        raise IllegalTransition(f"{row} is no longer {before}; another process moved it.")
    for name, value in changes.items():
        setattr(row, name, value)


def advance_all(
    rows: QuerySet[Stack], *, start: Status, to: Status, at: datetime, reason: Reason = Reason.NONE, message: str = ""
) -> int:
    """Move every stack of a query that is at `start`, at once. Returns how many moved."""
    if to not in TRANSITIONS["Stack"].get(start, set()):
        raise IllegalTransition(f"A stack that is {start} can't become {to}.")
    changes: dict[str, Any] = {"status": to, "reason": reason, "message": message}
    if to in ENDED:
        changes["ended_at"] = at
    return rows.filter(status=start).update(**changes)
