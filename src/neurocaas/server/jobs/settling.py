"""From a finished or lost attempt to its stack's end, or to its next attempt: publish, charge, record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from neurocaas.documents import canonical
from neurocaas.reasons import Reason
from neurocaas.runner.document import ExitRecord
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.failures import ACTIONS, UNCOUNTED, Action, wait_before
from neurocaas.server.jobs.launching import prefix
from neurocaas.server.jobs.models import Attempt, Stack
from neurocaas.server.jobs.status import ENDED, Status, advance
from neurocaas.storage import Store, keys


def publish(attempt: Attempt, record: ExitRecord, store: Store) -> bool:
    """Make this attempt's results the stack's, by writing its manifest. False if another attempt's already are."""
    stack, job = attempt.stack, attempt.stack.job
    key = keys.stack_manifest(job.group_id, job.id, stack.index)
    manifest = {
        "attempt": attempt.number,
        "results": keys.results(prefix(attempt)),
        "outputs": [one.model_dump() for one in record.outputs],
    }
    return store.create(key, canonical(manifest)) or json.loads(store.get(key))["attempt"] == attempt.number


def settle(attempt: Attempt, record: ExitRecord, store: Store, at: datetime) -> None:
    """End the attempt as its exit record says, charge it, and move its stack on."""
    if record.succeeded and not publish(attempt, record, store):
        end(attempt, Reason.CANCELLED, "Another attempt's results were published before.", at, record=record)
        return
    end(attempt, Reason(record.reason), record.message, at, record=record, succeeded=record.succeeded)


def end(
    attempt: Attempt,
    reason: Reason,
    message: str,
    at: datetime,
    *,
    record: ExitRecord | None = None,
    succeeded: bool = False,
) -> None:
    """End the attempt and charge it; its stack ends too, or waits for another attempt."""
    stack = attempt.stack
    outcome = _outcome(reason, succeeded=succeeded)
    if succeeded:
        then = _Move(to=outcome, fields={"progress": 1, "note": "", "published_attempt": attempt.number})
    elif stack.job.cancel_requested:
        then = _Move(to=Status.CANCELLED, reason=Reason.CANCELLED, message="Cancelled on request.")
    else:
        then = _another(stack, reason, message, at) or _Move(to=outcome, reason=reason, message=message)
    exit_record = record.model_dump(mode="json") if record else None
    with transaction.atomic():
        charge = ledger.charge(attempt, at, release=then.to in ENDED)
        advance(attempt, to=outcome, at=at, reason=reason, message=message, exit_record=exit_record, **charge.attempt)
        advance(stack, to=then.to, at=at, reason=then.reason, message=then.message, **then.fields, **charge.stack)


@dataclass(frozen=True, kw_only=True)
class _Move:
    """Where a stack goes when its attempt has ended, and what else changes in its row."""

    to: Status
    reason: Reason = Reason.NONE
    message: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


def _another(stack: Stack, reason: Reason, message: str, at: datetime) -> _Move | None:
    """The stack waits for another attempt, if the reason and the limits of its analysis permit one."""
    step, action = stack.step, ACTIONS[reason]
    tries = stack.tries + (reason not in UNCOUNTED)
    if action is Action.GIVE_UP or tries >= step.max_attempts:
        return None
    where = " elsewhere" if action is Action.RETRY_ELSEWHERE else ""
    return _Move(
        to=Status.WAITING,
        reason=Reason.RETRYING,
        message=f"{message} It is tried again{where} (attempt {tries + 1} of {step.max_attempts}).",
        fields={
            "tries": tries,
            "moves": stack.moves + (action is Action.RETRY_ELSEWHERE),
            "retry_at": at + wait_before(stack.attempts_made, step.backoff_seconds),
        },
    )


def _outcome(reason: Reason, *, succeeded: bool) -> Status:
    if succeeded:
        return Status.SUCCEEDED
    return Status.CANCELLED if reason is Reason.CANCELLED else Status.FAILED
