"""How far a job is, in numbers: two queries, whether it has three stacks or ten thousand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.db.models import Count, Sum

from neurocaas.server.jobs.models import Dependency, Job, Stack, Step
from neurocaas.server.jobs.status import ENDED, Status

JOBS_REMEMBERED = 1024


@dataclass(frozen=True, kw_only=True)
class Part:
    """A step with how many of its stacks are where."""

    step: Step
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True)
class State:
    """A job's steps with their counts; done: of `total` stacks, those that run counted by their own progress."""

    job: Job
    parts: tuple[Part, ...]
    edges: tuple[tuple[int, int], ...]
    total: int
    done: float
    cost_nanodollars: int
    held_nanodollars: int

    @property
    def counts(self) -> dict[str, int]:
        """How many stacks have each status; those that none has are left out."""
        found = {status: sum(part.counts.get(status, 0) for part in self.parts) for status in Status.values}
        return {status: count for status, count in found.items() if count}

    @property
    def ended(self) -> bool:
        return self.job.status in ENDED


def state_of(job: Job) -> State:
    """How the job is now."""
    rows = (
        Stack.objects.filter(job=job)
        .order_by()
        .values_list("step_id", "status")
        .annotate(
            count=Count("pk"),
            progress=Sum("progress"),
            charged=Sum("charged_nanodollars"),
            held=Sum("held_nanodollars"),
        )
    )
    counts: dict[int, dict[str, int]] = {}
    total = cost = held = 0
    done = 0.0
    for step, status, count, progress, charged, holding in rows:
        counts.setdefault(step, {})[status] = count
        total, cost, held = total + count, cost + charged, held + holding
        done += count if status in ENDED else progress
    parts = tuple(
        Part(step=one, counts=counts.get(one.pk, {})) for one in Step.objects.filter(job=job).order_by("index")
    )
    return State(
        job=job,
        parts=parts,
        edges=edges_of(job.id) if job.chained else (),
        total=total,
        done=done,
        cost_nanodollars=cost,
        held_nanodollars=held,
    )


@lru_cache(JOBS_REMEMBERED)
def edges_of(job_id: str) -> tuple[tuple[int, int], ...]:
    """Which steps take what which others write, by their keys. A plan never changes, so it is read once."""
    found = Dependency.objects.filter(stack__job_id=job_id).order_by()
    return tuple(sorted(set(found.values_list("upstream__step_id", "stack__step_id").distinct())))
