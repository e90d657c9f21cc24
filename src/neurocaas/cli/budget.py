"""`budget`: what the group and its users may hold and spend, hold, and have spent."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from neurocaas.cli.context import this_door
from neurocaas.cli.output import json_option, print_json, print_table
from neurocaas.errors import Refused


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def budget(context: click.Context, as_json: bool) -> None:
    """Show the group's budget and its users': held by jobs that go on, spent, and left."""
    if context.invoked_subcommand is not None:
        return
    found = this_door().balances()
    if as_json:
        print_json(found)
        return
    rows = [tuple(_cell(value) for value in one.values()) for one in found]
    print_table(("", "BUDGET", "HELD", "SPENT", "LEFT"), rows)


@budget.command(name="set")
@click.argument("dollars")
@click.option("--user", "name", help="The budget of this user; the group's if left out.")
@json_option
def set_(dollars: str, name: str | None, as_json: bool) -> None:
    """Set the group's budget, or a user's, to DOLLARS: in the group's profile, which is committed on the site."""
    amount = _amount(dollars)
    done = this_door().set_budget(amount, name)
    if as_json:
        print_json(done)
    else:
        where = f" (in {done['profile']})" if "profile" in done else ""
        click.echo(f"The budget of {done['account']} is ${amount:.2f}{where}.")


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= 10**9:
        raise Refused(f"DOLLARS: found {text!r}; an amount of US dollars from 0 to 1000000000 is right.")
    return amount


def _cell(value: str) -> str:
    return value if value.startswith(("user ", "group ")) else f"${Decimal(value):.2f}"
