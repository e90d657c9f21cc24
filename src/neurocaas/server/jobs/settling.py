"""From a finished or lost attempt to its stack's end, or to its next attempt: publish, charge, record."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from django.db import transaction

from neurocaas.documents import canonical
from neurocaas.reasons import Reason
from neurocaas.runner.document import ExitRecord
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.launching import prefix
from neurocaas.server.jobs.models import Attempt
from neurocaas.server.jobs.status import Status, advance
from neurocaas.storage import Store, keys

# What is worth another attempt: the machine failed, not the workflow.
RETRIED = frozenset({Reason.INSTANCE_LOST, Reason.INTERRUPTED})
FIRST_RETRY_SECONDS = 1


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
    stack, job = attempt.stack, attempt.stack.job
    outcome = _outcome(reason, succeeded=succeeded)
    with transaction.atomic():
        exit_record = record.model_dump(mode="json") if record else None
        advance(attempt, to=outcome, at=at, reason=reason, message=message, exit_record=exit_record)
        ledger.charge(attempt, job, at)
        if succeeded:
            advance(stack, to=outcome, at=at, progress=1, note="", published_attempt=attempt.number)
        elif job.cancel_requested:
            advance(stack, to=Status.CANCELLED, at=at, reason=Reason.CANCELLED, message="Cancelled on request.")
        elif reason in RETRIED and stack.attempts_made < job.max_attempts:
            wait = timedelta(seconds=FIRST_RETRY_SECONDS * 2 ** (stack.attempts_made - 1))
            again = f"{message} It is tried again (attempt {stack.attempts_made + 1} of {job.max_attempts})."
            advance(stack, to=Status.WAITING, at=at, reason=Reason.RETRYING, message=again, retry_at=at + wait)
        else:
            advance(stack, to=outcome, at=at, reason=reason, message=message)


def _outcome(reason: Reason, *, succeeded: bool) -> Status:
    if succeeded:
        return Status.SUCCEEDED
    return Status.CANCELLED if reason is Reason.CANCELLED else Status.FAILED
