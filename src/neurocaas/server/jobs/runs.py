"""A job as its analysis' page sees it: one run for each dataset and point of a sweep, with the files of its steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from neurocaas.errors import NotFound
from neurocaas.server.jobs.deliverables import Deliverable, deliverables, job_stacks
from neurocaas.server.jobs.delivered import chunks
from neurocaas.server.jobs.models import Dependency, Job, Stack
from neurocaas.server.jobs.status import Status
from neurocaas.storage import Store


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """path: within the run, `mean.npy`, or `STEP/mean.npy` of a job of several steps. file: as the job delivers it."""

    path: str
    file: Deliverable


def runs(job: Job) -> QuerySet[Stack]:
    """The stacks that no other waits for, in order: each stands for the run that ends with it."""
    return job_stacks(job).filter(feeds=None)


def run(job: Job, index: int | None) -> Stack:
    """The run that ends with this stack; without an index the first one that has something to show, else the first.

    Raises NotFound if there is none.
    """
    found = runs(job)
    if index is not None:
        one = found.filter(index=index).first()
    else:
        one = found.filter(status=Status.SUCCEEDED).first() or found.first()
    if one is None:
        raise NotFound(f"Job {job.id} has no run {index}.")
    return one


def config_of(job: Job, one: Stack) -> dict[str, Any]:
    """Every parameter of a run, by the names that a form gives them."""
    return {**job.config, **one.point}


def run_files(store: Store, job: Job, last: Stack) -> list[RunFile]:
    """The files that the run's stacks have written by now. A few queries for each level of the plan."""
    stacks = list(job_stacks(job).filter(pk__in=_with_those_before(last)).select_related("step"))
    several = job.steps.count() > 1
    return list(_named(store, job, stacks, several=several))


def stack_files(store: Store, stack: Stack) -> list[RunFile]:
    """The files of one stack alone."""
    return list(_named(store, stack.job, [stack], several=False))


def _named(store: Store, job: Job, stacks: Collection[Stack], *, several: bool) -> Iterator[RunFile]:
    times = Counter(one.step_id for one in stacks)
    succeeded = [one for one in stacks if one.status == Status.SUCCEEDED]
    folders = {f"{one.folder}/": _inside(job, one, several=several, alone=times[one.step_id] == 1) for one in succeeded}
    for file in deliverables(store, job, succeeded):
        if file.key:  # a log has none
            folder = next(one for one in folders if file.path.startswith(one))
            yield RunFile(path=folders[folder] + file.path.removeprefix(folder), file=file)


def _inside(job: Job, stack: Stack, *, several: bool, alone: bool) -> str:
    """The folder of a stack within its run, with a slash behind it; "" where the run has one stack only."""
    if not several:
        return ""
    label = [] if alone else stack.label.split("/")
    if job.points and label and "=" in label[0]:
        label = label[1:]  # at which point of a sweep the whole run is
    return "".join(f"{part}/" for part in (stack.step.name, *label))


def _with_those_before(last: Stack) -> set[int]:
    """The keys of a stack and of all whose results came to it."""
    found, new = {last.pk}, {last.pk}
    while new:
        before: set[int] = set()
        for some in chunks(sorted(new)):
            before |= set(Dependency.objects.filter(stack__in=some).values_list("upstream_id", flat=True))
        new = before - found
        found |= new
    return found
