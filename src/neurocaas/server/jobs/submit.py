"""The one way to submit a job, whatever the door: web, API, command line or a file dropped in storage."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from neurocaas.bank import Provider
from neurocaas.blueprint.parameters import complete
from neurocaas.errors import Refused
from neurocaas.protocol import Plan, Submission, plan_for
from neurocaas.server.analyses import Resolved
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.models import Group, Job, Stack, Step
from neurocaas.server.jobs.staging import stage
from neurocaas.server.site import Site

MAX_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks for. `data`: paths; `more`: other named inputs; `config`: parameters other than default."""

    analysis: str
    data: Sequence[str]
    group: str
    user: str
    config: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


def submit(site: Site, request: Request) -> Job:
    """Admit a job, or refuse it with nothing started, kept or held.

    Raises Refused, NotFound or Ambiguous: which field, what was found, what would be right.
    """
    resolved = site.analyses.resolve(request.analysis)
    blueprint = resolved.version.blueprint
    if not 0 <= request.seed <= MAX_SEED:
        raise Refused(f"seed: found {request.seed}; a whole number from 0 to {MAX_SEED} is right.")
    config = complete(resolved.version.schema_of_parameters, request.config)
    datasets = stage(blueprint, request.data, request.more)
    plan = plan_for(blueprint, Submission(datasets=datasets, config=config, seed=request.seed))
    bound = _bound(site.provider, plan, resolved)
    return _admit(request, resolved, plan, bound, config)


def _bound(provider: Provider, plan: Plan, resolved: Resolved) -> int:
    """The most the plan can cost, in nano-dollars. Raises Refused if a stack fits no instance, or it costs too much."""
    limits = resolved.version.blueprint.limits
    prices = {
        need: ledger.nanodollars(provider.instance_type(need).price_per_hour)
        for need in {stack.need for stack in plan.stacks}
    }
    bound = sum(ledger.bound(prices[stack.need], limits.timeout_minutes * 60, limits.attempts) for stack in plan.stacks)
    if bound > ledger.nanodollars(limits.max_cost_dollars):
        raise Refused(
            f"limits.max_cost_dollars: the job may cost up to ${ledger.dollars(bound):.2f}; "
            f"at most ${limits.max_cost_dollars} is right for {resolved.label}."
        )
    return bound


def _admit(request: Request, resolved: Resolved, plan: Plan, bound: int, config: dict[str, Any]) -> Job:
    """The rows of the job and the hold on its budget, in one transaction."""
    version, now = resolved.version, datetime.now(UTC)
    limits = version.blueprint.limits
    with transaction.atomic():
        group, _ = Group.objects.get_or_create(pk=request.group)
        job = Job.objects.create(
            id=f"{now:%Y%m%d}-{secrets.token_hex(4)}",
            group=group,
            user=request.user,
            analysis=version.name,
            version=version.digest,
            execution_digest=version.execution_digest,
            label=resolved.label,
            git_commit=resolved.git_commit or "",
            config=config,
            seed=request.seed,
            max_attempts=limits.attempts,
            timeout_seconds=limits.timeout_minutes * 60,
            max_instances=limits.max_instances,
            submitted_at=now,
        )
        ledger.reserve(job, bound, now)
        index = 0
        for position, step in enumerate(plan.steps):
            row = Step.objects.create(job=job, index=position, name=step.name, after=list(step.after))
            stacks = [
                Stack(
                    job=job,
                    step=row,
                    index=index + offset,
                    dataset=stack.dataset.name,
                    folder=stack.dataset.folder,
                    inputs=[one.model_dump() for one in stack.dataset.inputs],
                    config=stack.config,
                    seed=stack.seed,
                    need=stack.need.model_dump(),
                )
                for offset, stack in enumerate(step.stacks)
            ]
            Stack.objects.bulk_create(stacks, batch_size=500)
            index += len(stacks)
    return job
