"""The one way to submit a job, whatever the door: web, API, command line or a file dropped in storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from neurocaas.blueprint import Blueprint, Family
from neurocaas.errors import Refused
from neurocaas.protocol import MAX_SEED, Dataset, PlannedStack, Submission, assemble, plan_for
from neurocaas.server.analyses import Resolved
from neurocaas.server.groups.deployed import check_access
from neurocaas.server.jobs import ledger, reuse
from neurocaas.server.jobs.admission import Admissible, admit
from neurocaas.server.jobs.models import Job, Price
from neurocaas.server.jobs.pricing import StepRow, price
from neurocaas.server.jobs.staging import stage as stage_paths
from neurocaas.server.site import Site


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks for. `data`: paths, or ids of staged data; `more`: other named inputs; `config`: parameters
    other than default.

    points: the points of a sweep, as they differ from `config`. timeout_minutes: the person's own bound on each stack,
    which the save price needs. fresh: nothing is answered from earlier results. private: not for the rest of the group.
    provider: whose instances it runs on; "" for the site's first.
    more_storage_mib: room that each stack needs beyond what its blueprint says, as for data that is packed.
    """

    analysis: str
    data: Sequence[str]
    group: str
    user: str
    config: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    points: Sequence[Mapping[str, Any]] = ()
    timeout_minutes: float | None = None
    save: bool = False
    fresh: bool = False
    private: bool = False
    provider: str = ""
    more_storage_mib: int = 0


class Stage(Protocol):
    """Makes datasets of what a request calls its data."""

    def __call__(self, blueprint: Blueprint, data: Sequence[str], more: Mapping[str, str], /) -> tuple[Dataset, ...]:
        """One dataset for each of `data`, with the other named inputs `more`. Raises Refused or NotFound."""


def submit(site: Site, request: Request, stage: Stage = stage_paths) -> Job:
    """Admit a job, or refuse it with nothing started, kept or held.

    stage: what `request.data` means: paths on this machine, or, from afar, ids of staged data.
    Raises Refused, NotFound or Ambiguous: which field, what was found, what would be right.
    """
    return admit(prepare(site, request, stage))


def prepare(site: Site, request: Request, stage: Stage = stage_paths) -> Admissible:
    """Everything that is checked and computed before a job is admitted. Raises as `submit` does; keeps nothing."""
    check_access(request.group, request.analysis.partition("@")[0])
    resolved = site.analyses.resolve(request.analysis)
    resolved.family.complete(request.config)  # a wrong parameter is told before large files are read
    datasets = stage(resolved.version.blueprint, request.data, request.more)
    return prepare_datasets(site, request, resolved, datasets)


def prepare_datasets(site: Site, request: Request, resolved: Resolved, datasets: tuple[Dataset, ...]) -> Admissible:
    """The same for datasets that are known already; the request's own are not looked at."""
    _check(request)
    family, limits = resolved.family, resolved.version.blueprint.limits
    config = family.complete(request.config)
    points = tuple(dict(point) for point in request.points)
    submission = Submission(datasets=datasets, config=config, seed=request.seed, points=points)
    plan = plan_for(family, submission, site.run_protocol)
    stacks = _roomier(assemble(family, submission, plan), request.more_storage_mib)
    steps = [_step(step.name, family.find(step.analysis), request.timeout_minutes) for step in plan.steps]
    _check_minutes(request.timeout_minutes, steps)
    return Admissible(
        group=request.group,
        job=_row(site, request, resolved, submission),
        steps=steps,
        stacks=stacks,
        priced=price(site.providers.of(request.provider), steps, stacks, save=request.save),
        found=reuse.look_up(request.group, steps, stacks, fresh=request.fresh),
        max_cost_nanodollars=ledger.nanodollars(limits.max_cost_dollars),
    )


def _row(site: Site, request: Request, resolved: Resolved, submission: Submission) -> Job:
    version = resolved.version
    return Job(
        user=request.user,
        analysis=version.name,
        version=version.digest,
        execution_digest=version.execution_digest,
        label=resolved.label,
        git_commit=resolved.git_commit or "",
        config=submission.config,
        seed=submission.seed,
        points=list(submission.points),
        timeout_minutes=request.timeout_minutes,
        price=Price.SAVE if request.save else Price.STANDARD,
        fresh=request.fresh,
        private=request.private,
        provider=site.providers.of(request.provider).name,
        max_instances=version.blueprint.limits.max_instances,
    )


def _roomier(stacks: list[PlannedStack], more_mib: int) -> list[PlannedStack]:
    if not more_mib:
        return stacks
    return [
        replace(one, need=one.need.model_copy(update={"storage_mib": one.need.storage_mib + more_mib}))
        for one in stacks
    ]


def _check(request: Request) -> None:
    if not 0 <= request.seed <= MAX_SEED:
        raise Refused(f"seed: found {request.seed}; a whole number from 0 to {MAX_SEED} is right.")
    if request.timeout_minutes is not None and not 0 < request.timeout_minutes < float("inf"):
        raise Refused(f"minutes: found {request.timeout_minutes}; a number above 0 is right.")
    if request.save and request.timeout_minutes is None:
        raise Refused(
            "save: the save price is for runs whose length is bounded beforehand; "
            "--minutes with the longest that one dataset may take is right."
        )


def _step(name: str, family: Family, timeout_minutes: float | None) -> StepRow:
    limits = family.version.blueprint.limits
    return StepRow(
        name=name,
        version=family.version,
        timeout_seconds=min(timeout_minutes or limits.timeout_minutes, limits.timeout_minutes) * 60,
        max_attempts=limits.attempts,
        backoff_seconds=limits.backoff_seconds,
    )


def _check_minutes(minutes: float | None, steps: Sequence[StepRow]) -> None:
    longest = max(step.version.blueprint.limits.timeout_minutes for step in steps)
    if minutes is not None and minutes > longest:
        raise Refused(f"minutes: found {minutes:g}; at most {longest:g}, the analysis' own limit, is right.")
