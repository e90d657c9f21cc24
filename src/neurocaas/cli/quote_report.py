"""A quote as people read it: briefly before a run, in full when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, Decimal

import click

from neurocaas.cli.door import Json
from neurocaas.cli.output import print_table, say
from neurocaas.cost.dollars import shown

REASONS = 3
CONSIDERED = 8
NANODOLLAR = Decimal("1e-9")


def say_quote(quote: Json) -> None:
    """The quote in a few lines, apart from the command's output."""
    for line in _lines(quote):
        say(line)


def print_quote(quote: Json) -> None:
    """The quote, and for each step the instance types that were considered and why they were taken or not."""
    for line in _lines(quote):
        click.echo(line)
    for step in quote["steps"]:
        if not step["stacks"]:
            continue
        click.echo(f"\nInstance types considered for {step['name']} ({step['analysis']}):")
        considered = step["considered"]
        rows = [("taken" if one["taken"] else "", one["instance_type"], one["why"]) for one in considered[:CONSIDERED]]
        print_table(("", "TYPE", ""), [*rows, *(("", *one) for one in step.get("elsewhere", ()))])
        if len(considered) > CONSIDERED:
            click.echo(f"and {len(considered) - CONSIDERED} more (--json lists them)")


def _lines(quote: Json) -> Iterator[str]:
    count = f"{_counted(quote['datasets'], 'dataset')}, {_counted(quote['stacks'], 'stack')}"
    answered = f", {quote['reused']} of them answered from earlier results" if quote["reused"] else ""
    yield f"Quote for {quote['analysis']} on {count}{answered}:"
    width = max(len(step["name"]) for step in quote["steps"])
    for step in quote["steps"]:
        if step["stacks"]:
            yield f"  {step['name']:<{width}}  {_step(step)}"
    for reason, stacks in list(quote["why_not_reused"].items())[:REASONS] if quote["reused"] else ():
        yield f"  {stacks} not answered from earlier results: {reason}"
    yield f"  In all: {_whole(quote)}."
    if Decimal(quote["bound_dollars"]):
        budgets = quote["budget_dollars"]
        left = (
            f"{_money(amount)} of {_money(budgets[whose])} for {'the group' if whose == 'group' else whose}"
            for whose, amount in quote["budget_left_dollars"].items()
        )
        yield f"  Budget left: {', '.join(left)}."
    if quote["price"] == "save" and any(step["saves"] for step in quote["steps"]):
        yield "  At the save price, on capacity that may be interrupted; a stack that is goes on at the standard price."
    elif quote["price"] == "save":
        yield "  The save price is not offered for these instances; the standard price applies."


def _whole(quote: Json) -> str:
    """Time, cost and hold of the whole job."""
    if not quote["stacks"] - quote["reused"]:
        return "nothing runs, and it costs nothing"
    time = _range(quote["seconds"]) if quote["seconds"] else "no history to tell from"
    if not Decimal(quote["bound_dollars"]):
        return f"{time}; it costs nothing"
    held = f"at most {_money(quote['bound_dollars'])}, which is held until it ends"
    if quote["dollars"] is None:
        return f"{time}; {held}"
    expected, low, high = map(_money, quote["dollars"])
    return f"{time}; {expected} ({low} to {high}); {held}"


def _step(step: Json) -> str:
    stacks = _counted(step["stacks"], "stack")
    where = f"on {step['instance_type']}"
    if price := Decimal(step["price_per_hour"]):
        where += f" at ${price:.4g} an hour"
    if step["seconds_each"] is None:
        return f"{stacks} {where}: {step['history']}; at most {_duration(step['limit_minutes'] * 60)} each"
    return f"{stacks} {where}: {_range(step['seconds_each'])} each, {step['history']}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _range(interval: Sequence[float]) -> str:
    expected, low, high = map(_duration, interval)
    return f"{expected} ({low} to {high})"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _money(dollars: str | float) -> str:
    return shown(Decimal(dollars).quantize(NANODOLLAR, rounding=ROUND_CEILING))
