"""A quote as the page of a new job shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from neurocaas.cost import Interval
from neurocaas.server.jobs.ledger import Balance, nanodollars
from neurocaas.server.jobs.quoting import Quote, StepQuote

CONSIDERED = 6
REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """An interval of dollars, as nano-dollars."""

    expected: int
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class ShownStep:
    """One step: `machine` is what it runs on; considered: other types, and why they were not taken."""

    step: StepQuote
    machine: str
    considered: Sequence[tuple[str, str, bool]]
    more: int


@dataclass(frozen=True, kw_only=True)
class ShownQuote:
    """Amounts are nano-dollars. short: by how much the budget is too small; 0 if it is not."""

    quote: Quote
    dollars: Amounts | None
    bound: int
    short: int
    steps: Sequence[ShownStep]
    why_not_reused: Sequence[tuple[str, int]]

    @property
    def runs(self) -> int:
        return self.quote.stacks - self.quote.reused

    @property
    def balances(self) -> Sequence[Balance]:
        return self.quote.balances

    @property
    def saves(self) -> bool:
        """Whether the save price makes it cheaper."""
        return self.quote.save and any(one.placement.saves for one in self.quote.steps)


def shown_quote(quote: Quote) -> ShownQuote:
    bound = nanodollars(quote.bound_dollars)
    return ShownQuote(
        quote=quote,
        dollars=_amounts(quote.dollars) if quote.dollars else None,
        bound=bound,
        short=max(0, bound - min((one.left for one in quote.balances), default=bound)),
        steps=[_step(one) for one in quote.steps],
        why_not_reused=quote.why_not_reused[:REASONS],
    )


def _step(step: StepQuote) -> ShownStep:
    considered = step.choice.considered
    shown = [(one.instance_type.name, one.why, one.taken) for one in considered[:CONSIDERED]]
    return ShownStep(
        step=step,
        machine=step.placement.instance_type.name,
        considered=shown,
        more=max(0, len(considered) - CONSIDERED),
    )


def _amounts(interval: Interval) -> Amounts:
    expected, low, high = (nanodollars(Decimal(one)) for one in (interval.expected, interval.low, interval.high))
    return Amounts(expected=expected, low=low, high=high)
