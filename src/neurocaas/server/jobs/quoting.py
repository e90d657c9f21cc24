"""What a job will take, before it runs: seconds and dollars with an interval, fitted on this site's past runs.

The interval is one of 80 %. Without history there is none, and only the bound can be told.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from neurocaas.bank import Choice, Placement
from neurocaas.blueprint import Need
from neurocaas.cost import NOTHING, Forecast, Interval, Run, fit, makespan
from neurocaas.protocol import PlannedStack
from neurocaas.server.groups.deployed import deployed_profile
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.jobs.models import Attempt, Price
from neurocaas.server.jobs.pricing import StepRow
from neurocaas.server.jobs.status import Status
from neurocaas.server.site import Site

LOOKED_AT = 200  # past runs of an analysis on one kind of instance, the newest


@dataclass(frozen=True, kw_only=True)
class StepQuote:
    """What one step will take. stacks: how many run; reused: how many earlier results answer.

    seconds: of each stack that runs; dollars: of all of them; None without history. history: what it is fitted on.
    limit_minutes: after which each stack is stopped. need: the largest of its stacks, as far as inputs are known.
    """

    name: str
    label: str
    stacks: int
    reused: int
    seconds: Interval | None
    dollars: Interval | None
    history: str
    limit_minutes: float
    need: Need
    placement: Placement
    choice: Choice


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What a job will take. seconds: until all of it has ended, if instances are free; bound_dollars: what is held."""

    label: str
    datasets: int
    steps: tuple[StepQuote, ...]
    seconds: Interval | None
    dollars: Interval | None
    bound_dollars: Decimal
    balances: tuple[ledger.Balance, ...]
    why_not_reused: tuple[tuple[str, int], ...]  # each reason, and for how many stacks
    save: bool

    @property
    def stacks(self) -> int:
        return sum(step.stacks + step.reused for step in self.steps)

    @property
    def reused(self) -> int:
        return sum(step.reused for step in self.steps)


def quote(site: Site, admissible: Admissible) -> Quote:
    """The quote of a job that was found right. Reads only."""
    job = admissible.job
    pricing = _Pricing(site, admissible)
    steps = tuple(pricing.step(step) for step in admissible.steps)
    known = all(step.seconds is not None for step in steps if step.stacks)
    profile = deployed_profile(admissible.group)
    balances = {one.user: one for one in ledger.balances(profile)}
    mine = (balances.get(user) or ledger.new_balance(profile, user) for user in (job.user, ledger.GROUP))
    reasons = Counter(reason for reason in admissible.found.why_not.values() if reason)
    return Quote(
        label=job.label,
        datasets=len({one.dataset_index for one in admissible.stacks}),
        steps=steps,
        seconds=pricing.wall() if known else None,
        dollars=sum((step.dollars for step in steps if step.dollars), NOTHING) if known else None,
        bound_dollars=ledger.dollars(admissible.bound_nanodollars),
        balances=tuple(mine),
        why_not_reused=tuple(reasons.most_common()),
        save=job.price == Price.SAVE,
    )


class _Pricing:
    """Forecasts for the stacks that will run, by step and size of input."""

    def __init__(self, site: Site, admissible: Admissible) -> None:
        self._site = site
        self._admissible = admissible
        self._save = admissible.job.price == Price.SAVE
        self._by_step: dict[str, list[PlannedStack]] = {step.name: [] for step in admissible.steps}
        for stack in admissible.stacks:
            if stack.index not in admissible.found.origins:
                self._by_step[stack.step].append(stack)
        self._seconds: dict[int, Interval] = {}

    def step(self, step: StepRow) -> StepQuote:
        stacks = self._by_step[step.name]
        choice = self._admissible.priced.choices[step.name]
        placement = Placement(instance_type=choice.taken, save=self._save)
        runs = self._runs(step.version.name, choice.taken.name)
        forecast = fit(runs)
        seconds = self._forecast(stacks, forecast, runs, step.timeout_seconds) if forecast else None
        total = sum(one.step == step.name for one in self._admissible.stacks)
        return StepQuote(
            name=step.name,
            label=step.version.short,
            stacks=len(stacks),
            reused=total - len(stacks),
            seconds=sum(seconds, NOTHING) * (1 / len(seconds)) if seconds else None,
            dollars=sum(seconds, NOTHING) * (float(placement.price_per_hour) / 3600) if seconds else None,
            history=_history(forecast, stacks, len(runs)),
            limit_minutes=step.timeout_seconds / 60,
            need=_largest([one.need for one in self._admissible.stacks if one.step == step.name]),
            placement=placement,
            choice=choice,
        )

    def wall(self) -> Interval:
        """Until all has ended: stacks wait for those before them, and for as many instances as there are."""
        stacks, origins = self._admissible.stacks, self._admissible.found.origins
        waits = [sorted({index for one in stack.awaited for index in one.stacks}) for stack in stacks]
        most = self._admissible.job.max_instances
        available = self._site.providers.of(self._admissible.job.provider).at_once(
            _largest([one.need for one in stacks])
        )
        at_once = most if available is None else max(1, min(most, available))
        running = [NOTHING if one.index in origins else self._seconds[one.index] for one in stacks]
        ends = [
            makespan(lengths, at_once, waits)
            for lengths in zip(*((one.expected, one.low, one.high) for one in running), strict=True)
        ]
        return Interval(expected=ends[0], low=min(ends[0], ends[1]), high=max(ends[0], ends[2]))

    def _runs(self, analysis: str, instance_type: str) -> list[Run]:
        """What runs of the analysis on such an instance took, the oldest first."""
        ran = Attempt.objects.filter(
            stack__step__analysis=analysis,
            status=Status.SUCCEEDED,
            provider=self._site.providers.of(self._admissible.job.provider).name,
            instance_type=instance_type,
            started_at__isnull=False,
        ).order_by("-pk")
        rows = ran.values_list("stack__input_bytes", "started_at", "ended_at")[:LOOKED_AT]
        return [
            Run(input_bytes=size, seconds=max(0.0, (end - start).total_seconds()))
            for size, start, end in reversed(rows)
            if start and end
        ]

    def _forecast(
        self, stacks: Sequence[PlannedStack], forecast: Forecast, runs: Sequence[Run], limit_seconds: float
    ) -> list[Interval]:
        """For each stack, the seconds that it will take, at most its limit.

        What a stack gets from others is not known yet; it is taken to be as large as it was in past runs.
        """
        typical = int(statistics.median(run.input_bytes for run in runs))
        known: dict[int, Interval] = {}
        found = []
        for stack in stacks:
            size = typical if stack.awaited else sum(one.size_bytes for one in stack.inputs)
            if size not in known:
                known[size] = _at_most(forecast.predict(size), limit_seconds)
            self._seconds[stack.index] = known[size]
            found.append(known[size])
        return found


def _history(forecast: Forecast | None, stacks: Sequence[PlannedStack], runs: int) -> str:
    """What a forecast is fitted on, as a clause."""
    if forecast is None:
        return f"only {runs} earlier run{'s' if runs > 1 else ''} here" if runs else "it has not run here before"
    sizes = {sum(one.size_bytes for one in stack.inputs) for stack in stacks if not stack.awaited}
    return forecast.describe(sizes)


def _at_most(interval: Interval, seconds: float) -> Interval:
    return Interval(
        expected=min(interval.expected, seconds), low=min(interval.low, seconds), high=min(interval.high, seconds)
    )


def _largest(needs: Sequence[Need]) -> Need:
    return Need(
        vcpus=max(one.vcpus for one in needs),
        memory_mib=max(one.memory_mib for one in needs),
        storage_mib=max(one.storage_mib for one in needs),
        gpus=max(one.gpus for one in needs),
    )


def as_json(quote: Quote) -> dict[str, object]:
    """The quote as a document; seconds and dollars as [expected, low, high], None without history."""
    return {
        "analysis": quote.label,
        "datasets": quote.datasets,
        "stacks": quote.stacks,
        "reused": quote.reused,
        "price": "save" if quote.save else "standard",
        "seconds": _three(quote.seconds),
        "dollars": _three(quote.dollars),
        "bound_dollars": str(quote.bound_dollars),
        "steps": [
            {
                "name": step.name,
                "analysis": step.label,
                "stacks": step.stacks,
                "reused": step.reused,
                "seconds_each": _three(step.seconds),
                "dollars": _three(step.dollars),
                "history": step.history,
                "limit_minutes": step.limit_minutes,
                "instance_type": step.placement.instance_type.name,
                "price_per_hour": str(step.placement.price_per_hour),
                "saves": step.placement.saves,
                "considered": [
                    {"instance_type": one.instance_type.name, "taken": one.taken, "why": one.why}
                    for one in step.choice.considered
                ],
            }
            for step in quote.steps
        ],
        "budget_dollars": {one.user or "group": str(ledger.dollars(one.budget)) for one in quote.balances},
        "budget_left_dollars": {one.user or "group": str(ledger.dollars(one.left)) for one in quote.balances},
        "why_not_reused": dict(quote.why_not_reused),
    }


def _three(interval: Interval | None) -> list[float] | None:
    return [interval.expected, interval.low, interval.high] if interval else None
