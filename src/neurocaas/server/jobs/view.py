"""A job as people and programs are shown it: one description behind the command line, the API and the pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from neurocaas.errors import Ambiguous, NotFound
from neurocaas.reasons import REMEDY, Reason
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.server.jobs.status import ENDED


def find_job(job_id: str, group: str) -> Job:
    """The group's job with this id, or the only one whose id begins or ends so. Raises NotFound or Ambiguous."""
    mine = Job.objects.filter(group_id=group)
    exact = mine.filter(pk=job_id).first()
    if exact is not None:
        return exact
    near = list((mine.filter(pk__startswith=job_id) | mine.filter(pk__endswith=job_id))[:2]) if len(job_id) >= 4 else []
    if not near:
        raise NotFound(f"There is no job {job_id!r} in group {group}.", remedy="neurocaas jobs lists them.")
    if len(near) > 1:
        raise Ambiguous(f"{job_id!r} fits more than one job; give more of its id.")
    return near[0]


def summary(job: Job) -> dict[str, Any]:
    """One line about a job."""
    return {
        "job": job.id,
        "analysis": job.label,
        "status": job.status,
        "reason": job.reason,
        "message": job.message,
        "user": job.user,
        "submitted_at": timestamp(job.submitted_at),
        "started_at": timestamp(job.started_at),
        "ended_at": timestamp(job.ended_at),
    }


def description(job: Job) -> dict[str, Any]:
    """Everything about a job: its stacks with their attempts, and its cost."""
    stacks = list(job.stacks.select_related("job", "step", "reused_from").order_by("index"))
    return {
        **summary(job),
        "version": job.version,
        "git_commit": job.git_commit or None,
        "config": job.config,
        "sweep": job.points,
        "seed": job.seed,
        "price": job.price,
        "provider": job.provider,
        "retry_of": job.retry_of_id,
        "bound_dollars": str(ledger.dollars(job.bound_nanodollars)),
        "held_dollars": str(ledger.dollars(sum(stack.held_nanodollars for stack in stacks))),
        "cost_dollars": str(ledger.dollars(sum(stack.charged_nanodollars for stack in stacks))),
        "steps": [
            {
                "name": step.name,
                "analysis": step.label,
                "version": step.version,
                "environment": step.environment_digest or None,
            }
            for step in job.steps.order_by("index")
        ],
        "outputs": job.outputs,
        "stacks": described_stacks(stacks, Attempt.objects.filter(stack__job=job)),
    }


def described_stacks(stacks: Sequence[Stack], attempts: QuerySet[Attempt]) -> list[dict[str, Any]]:
    """Each stack with those of the attempts that are its own."""
    made: dict[int, list[Attempt]] = {}
    for attempt in attempts.order_by("number"):
        made.setdefault(attempt.stack_id, []).append(attempt)
    return [_stack(stack, made.get(stack.pk, [])) for stack in stacks]


def _stack(stack: Stack, attempts: list[Attempt]) -> dict[str, Any]:
    end = stack.ended_at or datetime.now(UTC)
    return {
        "index": stack.index,
        "step": stack.step.name,
        "name": stack.name,
        "dataset": stack.dataset,
        "label": stack.label,
        "folder": stack.folder,
        "status": stack.status,
        "reason": stack.reason,
        "message": stack.message,
        "remedy": REMEDY[Reason(stack.reason)],
        "progress": stack.progress,
        "note": stack.note if stack.status not in ENDED else "",
        "started_at": timestamp(stack.started_at),
        "ended_at": timestamp(stack.ended_at),
        "seconds": round((end - stack.started_at).total_seconds(), 3) if stack.started_at else None,
        "reused_from": (
            {"job": stack.reused_from.job_id, "stack": stack.reused_from.index} if stack.reused_from else None
        ),
        "not_reused": stack.not_reused,
        "cost_dollars": str(ledger.dollars(stack.charged_nanodollars)),
        "attempts": [_attempt(one) for one in attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    record = attempt.exit_record or {}
    return {
        "number": attempt.number,
        "status": attempt.status,
        "reason": attempt.reason,
        "message": attempt.message,
        "provider": attempt.provider,
        "instance_type": attempt.instance_type,
        "price": attempt.price,
        "started_at": timestamp(attempt.started_at),
        "ended_at": timestamp(attempt.ended_at),
        "exit_code": record.get("exit_code"),
        "usage": record.get("usage"),
        "cost_dollars": str(ledger.dollars(attempt.cost_nanodollars)),
    }


def timestamp(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
