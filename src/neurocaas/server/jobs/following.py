"""Stacks that wait for others: what becomes of them once those have ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from neurocaas.blueprint import Version
from neurocaas.blueprint.profile import Profile
from neurocaas.errors import NeurocaasError, Refused
from neurocaas.protocol import DataRef
from neurocaas.reasons import Reason
from neurocaas.server.analyses import Analyses
from neurocaas.server.jobs import admission, ledger, reuse
from neurocaas.server.jobs.delivered import chunks, data_ref, delivered, size_bytes
from neurocaas.server.jobs.models import Dependency, Job, Price, Stack, waiting
from neurocaas.server.jobs.placing import Placing
from neurocaas.server.jobs.pricing import choose_for
from neurocaas.server.jobs.status import ENDED, Status, advance

NOT_MADE = "What it works on was not made."
UNFINISHED = (Status.WAITING, Status.LAUNCHING, Status.RUNNING)


@dataclass(kw_only=True)
class Following:
    """Makes stacks ready whose inputs are all there; ends those that will never have them."""

    analyses: Analyses
    placing: Placing
    profile: Callable[[str], Profile]

    def after(self, stacks: Collection[int], at: datetime) -> bool:
        """Look at the stacks that wait for these, which have ended. True if one became ready."""
        ready = False
        ended = [*stacks]
        while ended:
            blocked = [
                one for some in chunks(ended) for one in _blocked().filter(needs__upstream_id__in=some).distinct()
            ]
            ended = self._follow(blocked, at)
            ready |= len(ended) < len(blocked)
        return ready

    def look_at_all(self, at: datetime) -> bool:
        """The same, for every stack whose waiting a manager that died may have left unnoticed."""
        blocked = [*_blocked().exclude(needs__upstream__status__in=UNFINISHED)]
        ended = self._follow(blocked, at)
        ready = len(ended) < len(blocked)
        return self.after(ended, at) or ready

    def _follow(self, stacks: Sequence[Stack], at: datetime) -> list[int]:
        """Each stack becomes ready, ends, or goes on waiting. Returns those that ended."""
        ended = []
        for stack in stacks:
            self._follow_one(stack, at)
            if stack.status in ENDED:
                ended.append(stack.pk)
        return ended

    def _follow_one(self, stack: Stack, at: datetime) -> None:
        needs = [*stack.needs.select_related("upstream__job", "upstream__reused_from__job").order_by("pk")]
        upstream = {one.upstream_id: one.upstream for one in needs}
        if any(one.status not in ENDED for one in upstream.values()):
            return
        succeeded = {pk: one for pk, one in upstream.items() if one.status == Status.SUCCEEDED}
        if len(succeeded) < (stack.quorum or len(upstream)):
            self._give_up(stack, list(upstream.values()), at)
            return
        try:
            inputs = (
                *(DataRef(**one) for one in stack.inputs if not one.get("from_stacks", [])),
                *_taken(needs, succeeded),
            )
        except Refused as fault:
            _end(stack, Status.FAILED, Reason.INPUT_MISSING, fault.message, at)
            return
        try:
            self._make_ready(stack, inputs, at)
        except NeurocaasError as fault:
            _end(stack, Status.FAILED, Reason.NO_CAPACITY, fault.message, at)

    def _give_up(self, stack: Stack, upstream: Sequence[Stack], at: datetime) -> None:
        others = [one for one in upstream if one.status != Status.SUCCEEDED]
        if stack.job.cancel_requested or all(one.status == Status.CANCELLED for one in others):
            _end(stack, Status.CANCELLED, Reason.CANCELLED, "Cancelled on request.", at)
            return
        named = why(others)
        if stack.quorum:
            count = len(upstream) - len(others)
            message = f"{count} of {len(upstream)} succeeded, and {stack.quorum} are needed. {named}"
            _end(stack, Status.FAILED, Reason.TOO_FEW_SUCCEEDED, message, at)
        else:
            _end(stack, Status.FAILED, Reason.STEP_BEFORE_FAILED, f"{NOT_MADE} {named}", at)

    def _make_ready(self, stack: Stack, inputs: Sequence[DataRef], at: datetime) -> None:
        """Answer the stack from earlier results, or let it wait for an instance that is large enough."""
        job, step = stack.job, stack.step
        version = self.analyses.version(step.analysis, step.version)
        key = reuse.reuse_key(version, inputs, stack.config, stack.seed)
        origin = None if job.fresh else reuse.origins_of(job.group_id, [key]).get(key)
        described = [one.model_dump() for one in inputs]
        if origin is not None and delivered([origin]):
            with transaction.atomic():
                message = f"Answered from job {origin.job_id}, stack {origin.index}."
                fields: dict[str, Any] = {"inputs": described, "reuse_key": key, "reused_from": origin}
                advance(stack, to=Status.SUCCEEDED, at=at, message=message, progress=1.0, **fields)
                ledger.release([stack], at)
            return
        changes = {
            "inputs": described,
            "input_bytes": size_bytes(inputs),
            "reuse_key": key,
            "not_reused": self._why_not(stack, version, inputs, key),
            **self._place(stack, version, size_bytes(inputs)),
        }
        profile = self.profile(job.group_id)
        with transaction.atomic():
            more = self._bound(stack, changes["price_nanodollars_per_hour"]) - stack.held_nanodollars
            if more > 0:
                try:
                    self._hold_more(job, stack, more, profile, at)
                except Refused as fault:
                    _end(stack, Status.FAILED, Reason.BUDGET_SPENT, fault.message, at)
                    return
                changes["held_nanodollars"] = stack.held_nanodollars + more
            Stack.objects.filter(pk=stack.pk, status=Status.WAITING, ready=False).update(
                ready=True, reason=Reason.NONE, message="", **changes
            )

    def _hold_more(self, job: Job, stack: Stack, more: int, profile: Profile, at: datetime) -> None:
        """Hold more for a stack that turned out to need a dearer instance. Raises Refused beyond a budget or limit."""
        bound = Job.objects.values_list("bound_nanodollars", flat=True).get(pk=job.pk) + more
        limits = self.analyses.version(job.analysis, job.version).blueprint.limits
        admission.check_cost(job.label, bound, ledger.nanodollars(limits.max_cost_dollars))
        ledger.reserve(job, more, profile, at, stack=stack)
        Job.objects.filter(pk=job.pk).update(bound_nanodollars=bound)

    def _place(self, stack: Stack, version: Version, input_bytes: int) -> dict[str, object]:
        """The instance that the stack needs now that its inputs are known. Raises Refused if there is none."""
        need = version.blueprint.hardware.need(input_bytes)
        job = stack.job
        taken = choose_for(self.placing, version, need, save=job.price == Price.SAVE, provider=job.provider).taken
        return {
            "need": need.model_dump(),
            "instance_type": taken.name,
            "price_nanodollars_per_hour": ledger.nanodollars(taken.price_per_hour),
        }

    def _bound(self, stack: Stack, price: object) -> int:
        assert isinstance(price, int)
        return ledger.bound(price, stack.step.timeout_seconds, stack.step.max_attempts)

    def _why_not(self, stack: Stack, version: Version, inputs: Sequence[DataRef], key: str) -> str:
        if stack.job.fresh:
            return reuse.FRESH
        return reuse.why_not(stack.job.group_id, version, stack, inputs) if key else reuse.NOT_REPRODUCIBLE


def why(failed: Sequence[Stack]) -> str:
    """What failed, and of what: a stack that failed for want of others is passed over for those, each named once."""

    def of_one(stack: Stack) -> str:
        said = stack.message.rstrip(".")
        if stack.reason == Reason.STEP_BEFORE_FAILED:
            return said.removeprefix(f"{NOT_MADE} ")
        return f"{stack.label or stack.dataset}: {said}"

    return "; ".join(dict.fromkeys(map(of_one, failed))) + "."


def _blocked() -> QuerySet[Stack]:
    return waiting(ready=False).select_related("job", "step").order_by("pk")


def _taken(needs: Sequence[Dependency], succeeded: dict[int, Stack]) -> list[DataRef]:
    """The inputs that the stacks before wrote. Raises Refused if one is not a single file where one is wanted."""
    files = delivered(list(succeeded.values()))
    taken = []
    for name in dict.fromkeys(one.input for one in needs):
        ones = [one for one in needs if one.input == name]
        sources = [files[one.upstream_id] for one in ones if one.upstream_id in files]
        if not sources:
            raise Refused(f"input {name}: the results of the stacks before are gone; submitting again is right.")
        taken.append(
            data_ref(_Needed(name=name, form=ones[0].form, output=ones[0].output, pattern=ones[0].pattern), sources)
        )
    return taken


@dataclass(frozen=True, kw_only=True)
class _Needed:
    name: str
    form: str
    output: str
    pattern: str


def _end(stack: Stack, to: Status, reason: Reason, message: str, at: datetime) -> None:
    with transaction.atomic():
        advance(stack, to=to, at=at, reason=reason, message=message)
        ledger.release([stack], at)
