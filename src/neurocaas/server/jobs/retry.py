"""Run again what failed or was cancelled, and nothing else: a new job that takes over what succeeded (paper §2.2.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from neurocaas.blueprint import Need
from neurocaas.errors import Refused
from neurocaas.protocol import Awaited, DataRef, Form, PlannedStack
from neurocaas.server.jobs import ledger, reuse
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.jobs.models import Dependency, Job, Stack
from neurocaas.server.jobs.pricing import StepRow, price
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.site import Site

FORMS: dict[str, Form] = {"file": "file", "folder": "folder", "zip": "zip"}


def prepare_retry(site: Site, job: Job, user: str) -> Admissible:
    """The job that runs again what did not succeed in `job`, with what is to be admitted.

    Raises Refused if that job goes on, or if all of it succeeded.
    """
    if job.status not in ENDED:
        raise Refused(f"Job {job.id} is {job.status}; one that has ended is right. Cancel it first: neurocaas cancel.")
    rows = list(job.stacks.select_related("step", "job", "reused_from__job").order_by("index"))
    succeeded = {one.index: one for one in rows if one.status == Status.SUCCEEDED}
    if len(succeeded) == len(rows):
        raise Refused(f"All {len(rows)} stacks of job {job.id} succeeded; there is nothing to run again.")
    version = site.analyses.version(job.analysis, job.version)
    steps = [
        StepRow(
            name=step.name,
            version=site.analyses.version(step.analysis, step.version),
            timeout_seconds=step.timeout_seconds,
            max_attempts=step.max_attempts,
            backoff_seconds=step.backoff_seconds,
        )
        for step in job.steps.order_by("index")
    ]
    stacks = list(_planned(job, rows, {step.name: step for step in steps}))
    again = Job(
        user=user,
        analysis=job.analysis,
        version=job.version,
        execution_digest=job.execution_digest,
        label=job.label,
        git_commit=job.git_commit,
        config=job.config,
        seed=job.seed,
        points=job.points,
        timeout_minutes=job.timeout_minutes,
        price=job.price,
        fresh=job.fresh,
        private=job.private,
        provider=job.provider,
        retry_of=job,
        max_instances=version.blueprint.limits.max_instances,
    )
    found = reuse.look_up(job.group_id, steps, stacks, fresh=job.fresh, given=succeeded)
    for one in rows:
        if one.index not in found.origins:
            found.why_not[one.index] = (
                f"It {'was cancelled' if one.status == Status.CANCELLED else 'failed'} in job {job.id}."
            )
    return Admissible(
        group=job.group_id,
        job=again,
        steps=steps,
        stacks=stacks,
        priced=price(site.providers.of(job.provider), steps, stacks, save=job.price == "save"),
        found=found,
        max_cost_nanodollars=ledger.nanodollars(version.blueprint.limits.max_cost_dollars),
    )


def _planned(job: Job, rows: list[Stack], steps: dict[str, StepRow]) -> Iterator[PlannedStack]:
    """The stacks of a job as they were planned, before anything ran."""
    awaited: dict[int, dict[str, list[Dependency]]] = defaultdict(lambda: defaultdict(list))
    for one in Dependency.objects.filter(stack__job=job).select_related("upstream").order_by("pk"):
        awaited[one.stack_id][one.input].append(one)
    for row in rows:
        inputs = tuple(DataRef(**one) for one in row.inputs if not one.get("from_stacks", []))
        yield PlannedStack(
            index=row.index,
            step=row.step.name,
            dataset_index=row.dataset_index,
            dataset=row.dataset,
            label=row.label,
            folder=row.folder,
            inputs=inputs,
            awaited=tuple(
                Awaited(
                    name=name,
                    form=FORMS[ones[0].form],
                    stacks=tuple(one.upstream.index for one in ones),
                    output=ones[0].output,
                    pattern=ones[0].pattern,
                )
                for name, ones in awaited[row.pk].items()
            ),
            quorum=row.quorum,
            point=row.point,
            config=row.config,
            seed=row.seed,
            need=_need(steps[row.step.name], inputs),
        )


def _need(step: StepRow, inputs: tuple[DataRef, ...]) -> Need:
    return step.version.blueprint.hardware.need(sum(one.size_bytes for one in inputs))
