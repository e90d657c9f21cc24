"""The files that belong to a job as a whole: the table and the figure of a sweep."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from neurocaas.server.analyses import Analyses
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.delivered import Delivered, delivered
from neurocaas.server.jobs.models import Dependency, Job, Stack
from neurocaas.server.jobs.sweep_table import Metric, Row, SweepTable, as_csv
from neurocaas.storage import Store, keys

log = logging.getLogger(__name__)


def summarize(job: Job, *, analyses: Analyses, store: Store) -> list[dict[str, Any]]:
    """Write the job's own files. Returns path, size_bytes and sha256 of each; nothing for a job that swept nothing."""
    if not job.points:
        return []
    table = sweep_table(job, analyses)
    files = {"sweep.csv": as_csv(table)}
    try:
        from neurocaas.server.jobs.sweep_figure import draw  # imports matplotlib, which few jobs need

        files["sweep.png"] = draw(table)
    except Exception:
        log.exception("the figure of job %s could not be drawn", job.id)
    for name, data in files.items():
        store.put(keys.job_output(job.group_id, job.id, name), data)
    return [
        {"path": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]


def sweep_table(job: Job, analyses: Analyses) -> SweepTable:
    """One row for each stack that no other waits for, with the metrics of those it came from.

    What a stack cost that several rows came from is shared between them, so that the rows add up to the job.
    """
    family = analyses.family(analyses.version(job.analysis, job.version))
    stacks = list(job.stacks.select_related("step", "reused_from__job", "job").order_by("index"))
    paths = _paths(job, stacks)
    shares: dict[int, int] = defaultdict(int)
    for path in paths.values():
        for one in path:
            shares[one.pk] += 1
    found = delivered(stacks)
    several = len({stack.step_id for stack in stacks}) > 1
    schema: Mapping[str, Any] = family.parameters.get("properties", {})
    names = list(dict.fromkeys(name for point in job.points for name in point))
    return SweepTable(
        title=f"{job.label}: {' × '.join(names)}",
        parameters=tuple(names),
        units={name: schema[name]["unit"] for name in names if schema.get(name, {}).get("unit")},
        metrics=tuple(_metrics(job, analyses, several=several)),
        rows=tuple(_row(path, shares, found, several=several) for path in paths.values()),
    )


def _paths(job: Job, stacks: Sequence[Stack]) -> dict[int, list[Stack]]:
    """For each stack that no other waits for: all that it came from, and itself last."""
    by_pk = {one.pk: one for one in stacks}
    before: dict[int, set[int]] = defaultdict(set)
    for stack, upstream in Dependency.objects.filter(stack__job=job).values_list("stack_id", "upstream_id"):
        before[stack].add(upstream)
    awaited = {pk for ones in before.values() for pk in ones}

    def ancestors(pk: int) -> set[int]:
        return {pk}.union(*(ancestors(one) for one in before[pk]))

    return {
        one.pk: sorted((by_pk[pk] for pk in ancestors(one.pk)), key=lambda stack: stack.index)
        for one in stacks
        if one.pk not in awaited
    }


def _metrics(job: Job, analyses: Analyses, *, several: bool) -> Iterator[Metric]:
    for step in job.steps.order_by("index"):
        for name, one in analyses.version(step.analysis, step.version).blueprint.metrics.items():
            called = f"{step.name}.{name}" if several else name
            yield Metric(name=called, title=one.title, unit=one.unit, better=one.better)


def _row(path: Sequence[Stack], shares: Mapping[int, int], found: Mapping[int, Delivered], *, several: bool) -> Row:
    last = path[-1]
    metrics = {
        f"{one.step.name}.{name}" if several else name: value
        for one in path
        if one.pk in found
        for name, value in found[one.pk].record.get("metrics", {}).items()
    }
    cost = sum((ledger.dollars(one.charged_nanodollars) / shares[one.pk] for one in path), start=Decimal(0))
    seconds = [(one.ended_at - one.started_at).total_seconds() for one in path if one.started_at and one.ended_at]
    return Row(
        dataset=last.dataset,
        point=last.point,
        metrics=metrics,
        cost_dollars=cost,
        seconds=sum(seconds) if seconds else None,
        status=str(last.status),
        reused=last.reused_from_id is not None,
    )
