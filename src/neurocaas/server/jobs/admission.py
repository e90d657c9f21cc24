"""From a plan that was found right to the rows of a job, and the hold on its budgets, in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction

from neurocaas.errors import Refused
from neurocaas.protocol import PlannedStack
from neurocaas.reasons import Reason
from neurocaas.server.groups.deployed import deployed_profile
from neurocaas.server.jobs import ledger, reuse
from neurocaas.server.jobs.models import Dependency, Group, Job, Stack, Step
from neurocaas.server.jobs.pricing import Priced, StepRow
from neurocaas.server.jobs.status import Status

ROWS_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Admissible:
    """A job that was found right: its row, not saved yet, its steps, its stacks and their prices.

    found: what earlier results answer. max_cost_nanodollars: what any job of the analysis may cost.
    """

    group: str
    job: Job
    steps: Sequence[StepRow]
    stacks: Sequence[PlannedStack]
    priced: Priced
    found: reuse.Found
    max_cost_nanodollars: int

    @property
    def bound_nanodollars(self) -> int:
        """The most that the job can cost: nothing for what earlier results answer."""
        return sum(amount for index, amount in enumerate(self.priced.bounds) if index not in self.found.origins)


def admit(admissible: Admissible) -> Job:
    """The rows of the job and the hold on its budgets, in one transaction.

    Stacks that earlier results answer have succeeded at once, and cost nothing. Raises Refused with nothing kept.
    """
    job, bound, now = admissible.job, admissible.bound_nanodollars, datetime.now(UTC)
    profile = deployed_profile(admissible.group)
    check_cost(job.label, bound, admissible.max_cost_nanodollars)
    with transaction.atomic():
        job.group, _ = Group.objects.get_or_create(pk=admissible.group)
        job.id = f"{now:%Y%m%d}-{secrets.token_hex(4)}"
        job.bound_nanodollars = bound
        job.chained = any(stack.awaited for stack in admissible.stacks)
        job.submitted_at = now
        job.save(force_insert=True)
        ledger.reserve(job, bound, profile, now)
        steps = {one.name: _step(job, position, one) for position, one in enumerate(admissible.steps)}
        rows = [_stack(admissible, steps[one.step], one, now) for one in admissible.stacks]
        Stack.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)
        Dependency.objects.bulk_create(_dependencies(admissible.stacks, rows), batch_size=ROWS_AT_ONCE)
    return job


def check_cost(label: str, bound: int, most: int) -> None:
    """Raises Refused if a job may cost more nano-dollars than its analysis allows any job to."""
    if bound > most:
        raise Refused(
            f"limits.max_cost_dollars: the job may cost up to {ledger.shown(bound)}; "
            f"at most {ledger.shown(most)} is right for {label}."
        )


def _step(job: Job, position: int, one: StepRow) -> Step:
    return Step.objects.create(
        job=job,
        index=position,
        name=one.name,
        analysis=one.version.name,
        version=one.version.digest,
        execution_digest=one.version.execution_digest,
        label=job.label if one.version.digest == job.version else one.version.short,
        timeout_seconds=one.timeout_seconds,
        max_attempts=one.max_attempts,
        backoff_seconds=one.backoff_seconds,
        named_instance_type=one.version.blueprint.hardware.instance_type,
    )


def _stack(admissible: Admissible, step: Step, one: PlannedStack, now: datetime) -> Stack:
    priced, found = admissible.priced, admissible.found
    origin = found.origins.get(one.index)
    inputs = found.inputs[one.index] if origin is not None else one.inputs
    stack = Stack(
        job=step.job,
        step=step,
        index=one.index,
        dataset_index=one.dataset_index,
        dataset=one.dataset,
        label=one.label,
        folder=one.folder,
        inputs=[ref.model_dump() for ref in inputs],
        config=one.config,
        seed=one.seed,
        need=one.need.model_dump(),
        input_bytes=sum(ref.size_bytes for ref in inputs),
        quorum=one.quorum,
        point=one.point,
        ready=not one.awaited,
        instance_type=priced.instance_types[one.index],
        price_nanodollars_per_hour=priced.prices[one.index],
        reuse_key=found.keys.get(one.index, "") if not one.awaited else "",
        not_reused=found.why_not.get(one.index, ""),
    )
    if origin is not None:
        stack.status, stack.reused_from, stack.ended_at, stack.progress = Status.SUCCEEDED, origin.origin, now, 1.0
        stack.message = f"Answered from job {origin.origin.job_id}, stack {origin.origin.index}."
    else:
        stack.held_nanodollars = priced.bounds[one.index]
        if not stack.ready:
            stack.reason, stack.message = Reason.WAITING_FOR_STEP, "It waits for the stacks before it."
    return stack


def _dependencies(stacks: Sequence[PlannedStack], rows: Sequence[Stack]) -> Iterator[Dependency]:
    for one, row in zip(stacks, rows, strict=True):
        for needed in one.awaited:
            for index in needed.stacks:
                yield Dependency(
                    stack=row,
                    upstream=rows[index],
                    input=needed.name,
                    form=needed.form,
                    output=needed.output,
                    pattern=needed.pattern,
                )
