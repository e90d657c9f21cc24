"""A quote as people read it: briefly before a run, in full when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from neurocaas.cli.output import print_table, say

if TYPE_CHECKING:
    from neurocaas.cost import Interval
    from neurocaas.server.jobs.quoting import Quote, StepQuote
    from neurocaas.settings import Settings

REASONS = 3
CONSIDERED = 8


def say_quote(quote: Quote) -> None:
    """The quote in a few lines, apart from the command's output."""
    for line in _lines(quote):
        say(line)


def print_quote(quote: Quote, settings: Settings) -> None:
    """The quote, and for each step the instance types that were considered and why they were taken or not."""
    for line in _lines(quote):
        click.echo(line)
    for step in quote.steps:
        click.echo(f"\nInstance types considered for {step.name} ({step.label}):")
        considered = step.choice.considered
        rows = [("taken" if one.taken else "", one.instance_type.name, one.why) for one in considered[:CONSIDERED]]
        print_table(("", "TYPE", ""), [*rows, *_elsewhere(step, settings)])
        if len(considered) > CONSIDERED:
            click.echo(f"and {len(considered) - CONSIDERED} more (--json lists them)")


def _elsewhere(step: StepQuote, settings: Settings) -> list[tuple[str, str, str]]:
    """What the same would be on AWS, for a site that does not run there."""
    if settings.site.provider == "aws":
        return []
    from neurocaas.bank import choose, site_catalogue
    from neurocaas.errors import Refused

    catalogue = site_catalogue(settings.root)
    try:
        cloud = choose(catalogue.types, step.need)
    except Refused:
        return []
    price = f"${cloud.taken.price_per_hour:.3f} an hour, prices of {catalogue.on_demand_as_of}"
    return [("", f"aws {cloud.taken.name}", f"{price}; this site's provider is {settings.site.provider}")]


def _lines(quote: Quote) -> Iterator[str]:
    count = f"{quote.datasets} dataset{'s' if quote.datasets != 1 else ''}, {quote.stacks} stacks"
    answered = f", {quote.reused} of them answered from earlier results" if quote.reused else ""
    yield f"Quote for {quote.label} on {count}{answered}:"
    width = max(len(step.name) for step in quote.steps)
    for step in quote.steps:
        if step.stacks:
            yield f"  {step.name:<{width}}  {_step(step)}"
    for reason, stacks in quote.why_not_reused[:REASONS] if quote.reused else ():
        yield f"  {stacks} not answered from earlier results: {reason}"
    bound = f"${_money(quote.bound_dollars)} is held until it ends" if quote.bound_dollars else "nothing is held"
    if quote.seconds is None or quote.dollars is None:
        yield (
            f"  In all: no history to tell from; at most {bound.replace(' is', '')}."
            if quote.bound_dollars
            else ("  In all: no history to tell from; it costs nothing.")
        )
    else:
        cost = f"${quote.dollars.expected:.2f} (${quote.dollars.low:.2f} to ${quote.dollars.high:.2f})"
        yield f"  In all: {_range(quote.seconds)}; {cost if quote.bound_dollars else 'no cost'}; {bound}."
    if quote.bound_dollars:
        left = (
            f"${_money(_dollars(one.left))} of ${_money(_dollars(one.budget))} for {one.user or 'the group'}"
            for one in quote.balances
        )
        yield f"  Budget left: {', '.join(left)}."
    if quote.save:
        yield "  At the save price, on capacity that may be interrupted; a stack that is goes on at the standard price."


def _step(step: StepQuote) -> str:
    stacks = f"{step.stacks} stack{'s' if step.stacks > 1 else ''}"
    where = f"on {step.placement.instance_type.name}"
    if price := step.placement.price_per_hour:
        where += f" at ${price:.4g} an hour"
    if step.seconds is None:
        return f"{stacks} {where}: {step.history}; at most {_duration(step.limit_minutes * 60)} each"
    return f"{stacks} {where}: {_range(step.seconds)} each, {step.history}"


def _range(interval: Interval) -> str:
    return f"{_duration(interval.expected)} ({_duration(interval.low)} to {_duration(interval.high)})"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _money(dollars: Decimal) -> str:
    return f"{dollars:.2f}" if dollars >= 1 or not dollars else f"{dollars:.4f}"


def _dollars(nano: int) -> Decimal:
    return Decimal(nano) / 1_000_000_000
