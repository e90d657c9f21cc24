"""How a job ended: what became of its stacks, and which failures its plan allows."""

from __future__ import annotations

from neurocaas.reasons import Reason
from neurocaas.server.jobs.models import Dependency, Job, Stack
from neurocaas.server.jobs.status import Status


def verdict(job: Job) -> tuple[Status, Reason, str]:
    """Status, reason and message of a job whose stacks have all ended.

    A stack that failed does not count where all that waited for it succeeded without it, as a consensus does.
    """
    stacks = list(job.stacks.order_by("index").only("job", "status", "reason", "message", "dataset", "label"))
    failed = [one for one in stacks if one.status == Status.FAILED]
    allowed = _allowed(job, failed) if job.chained else set()
    counted = [one for one in failed if one.pk not in allowed]
    if counted:
        cause = _cause(counted)
        if cause.reason == Reason.TOO_FEW_SUCCEEDED:
            return Status.FAILED, Reason.TOO_FEW_SUCCEEDED, cause.message
        noun = "stacks" if job.chained or job.points else "datasets"
        return (
            Status.FAILED,
            Reason(cause.reason),
            f"{len(failed)} of {len(stacks)} {noun} failed; the first: {cause.message}",
        )
    if any(one.status == Status.CANCELLED for one in stacks):
        return Status.CANCELLED, Reason.CANCELLED, "Cancelled on request."
    if failed:
        named = ", ".join(one.label or one.dataset for one in failed)
        return (
            Status.SUCCEEDED,
            Reason.NONE,
            f"{len(failed)} of {len(stacks)} stacks failed, as the plan allows: {named}.",
        )
    return Status.SUCCEEDED, Reason.NONE, ""


def _allowed(job: Job, failed: list[Stack]) -> set[int]:
    """The failed stacks that others waited for, all of which succeeded."""
    after = Dependency.objects.filter(upstream__job=job, upstream__in=failed)
    outcomes: dict[int, set[str]] = {}
    for upstream, status in after.values_list("upstream_id", "stack__status"):
        outcomes.setdefault(upstream, set()).add(status)
    return {upstream for upstream, statuses in outcomes.items() if statuses == {Status.SUCCEEDED}}


def _cause(failed: list[Stack]) -> Stack:
    """The failure to speak of: that too few succeeded says more than each of those that failed; else the first."""
    return next((one for one in failed if one.reason == Reason.TOO_FEW_SUCCEEDED), failed[0])
