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
    steps = [(step, _elsewhere(step, settings)) for step in quote.steps if step.stacks]
    for line in _lines(quote):
        click.echo(line)
    for step, elsewhere in steps:
        click.echo(f"\nInstance types considered for {step.name} ({step.label}):")
        considered = step.choice.considered
        rows = [("taken" if one.taken else "", one.instance_type.name, one.why) for one in considered[:CONSIDERED]]
        print_table(("", "TYPE", ""), [*rows, *elsewhere])
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
    count = f"{_counted(quote.datasets, 'dataset')}, {_counted(quote.stacks, 'stack')}"
    answered = f", {quote.reused} of them answered from earlier results" if quote.reused else ""
    yield f"Quote for {quote.label} on {count}{answered}:"
    width = max(len(step.name) for step in quote.steps)
    for step in quote.steps:
        if step.stacks:
            yield f"  {step.name:<{width}}  {_step(step)}"
    for reason, stacks in quote.why_not_reused[:REASONS] if quote.reused else ():
        yield f"  {stacks} not answered from earlier results: {reason}"
    yield f"  In all: {_whole(quote)}."
    if quote.bound_dollars:
        from neurocaas.server.jobs.ledger import shown

        left = (f"{shown(one.left)} of {shown(one.budget)} for {one.user or 'the group'}" for one in quote.balances)
        yield f"  Budget left: {', '.join(left)}."
    if quote.save and any(step.placement.saves for step in quote.steps):
        yield "  At the save price, on capacity that may be interrupted; a stack that is goes on at the standard price."
    elif quote.save:
        yield "  The save price is not offered for these instances; the standard price applies."


def _whole(quote: Quote) -> str:
    """Time, cost and hold of the whole job."""
    if not quote.stacks - quote.reused:
        return "nothing runs, and it costs nothing"
    time = _range(quote.seconds) if quote.seconds else "no history to tell from"
    if not quote.bound_dollars:
        return f"{time}; it costs nothing"
    held = f"at most {_money(quote.bound_dollars)}, which is held until it ends"
    if quote.dollars is None:
        return f"{time}; {held}"
    low, expected, high = (
        _money(Decimal(one)) for one in (quote.dollars.low, quote.dollars.expected, quote.dollars.high)
    )
    return f"{time}; {expected} ({low} to {high}); {held}"


def _step(step: StepQuote) -> str:
    stacks = _counted(step.stacks, "stack")
    where = f"on {step.placement.instance_type.name}"
    if price := step.placement.price_per_hour:
        where += f" at ${price:.4g} an hour"
    if step.seconds is None:
        return f"{stacks} {where}: {step.history}; at most {_duration(step.limit_minutes * 60)} each"
    return f"{stacks} {where}: {_range(step.seconds)} each, {step.history}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _range(interval: Interval) -> str:
    return f"{_duration(interval.expected)} ({_duration(interval.low)} to {_duration(interval.high)})"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _money(dollars: Decimal) -> str:
    from neurocaas.server.jobs.ledger import nanodollars, shown

    return shown(nanodollars(dollars))
