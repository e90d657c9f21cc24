"""What a plan may cost at most: the instance type that each stack gets, its price, and the bound that is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurocaas.bank import Choice, Provider
from neurocaas.blueprint import Need, Version
from neurocaas.protocol import PlannedStack
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.placing import Placing


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One step of a plan: the analysis version that its stacks run, and the limits of each."""

    name: str
    version: Version
    timeout_seconds: float
    max_attempts: int
    backoff_seconds: float


@dataclass(frozen=True, kw_only=True)
class Priced:
    """For each stack, by position: the instance type it gets, what an hour of it may cost at most, and its bound.

    Amounts are nano-dollars. choices: what was considered, by the name of the step.
    """

    instance_types: Sequence[str]
    prices: Sequence[int]
    bounds: Sequence[int]
    choices: Mapping[str, Choice]


def price(provider: Provider, steps: Sequence[StepRow], stacks: Sequence[PlannedStack], *, save: bool) -> Priced:
    """The dearest that a plan can be: each stack at the on-demand price, for all its time and attempts.

    The save price is lower but may be taken back, and the stack then ends at the other. Raises Refused if a stack fits
    no instance.
    """
    placing, by_name = Placing(provider), {one.name: one for one in steps}
    names, prices, bounds = [], [], []
    choices: dict[str, Choice] = {}
    for stack in stacks:
        step = by_name[stack.step]
        choice = choose_for(placing, step.version, stack.need, save=save)
        choices.setdefault(stack.step, choice)
        hourly = ledger.nanodollars(choice.taken.price_per_hour)
        names.append(choice.taken.name)
        prices.append(hourly)
        bounds.append(ledger.bound(hourly, step.timeout_seconds, step.max_attempts))
    return Priced(instance_types=names, prices=prices, bounds=bounds, choices=choices)


def choose_for(placing: Placing, version: Version, need: Need, *, save: bool, provider: str = "") -> Choice:
    """The choice of an instance for a stack of this version. Raises Refused if none fits."""
    return placing.choice(need, version.blueprint.hardware.instance_type, save=save, provider=provider)
