"""`budget`: what the group and its users may hold and spend, hold, and have spent."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from neurocaas.cli.context import this_site
from neurocaas.cli.output import json_option, print_json, print_table
from neurocaas.errors import Refused


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def budget(context: click.Context, as_json: bool) -> None:
    """Show the group's budget and its users': held by jobs that go on, spent, and left."""
    if context.invoked_subcommand is not None:
        return
    this_site()
    from neurocaas.server.groups.deployed import deployed_profile
    from neurocaas.server.jobs import ledger
    from neurocaas.server.site import LOCAL_GROUP

    found = [
        {
            "account": f"user {one.user}" if one.user else f"group {LOCAL_GROUP}",
            **{
                name: str(ledger.dollars(amount))
                for name, amount in (
                    ("budget_dollars", one.budget),
                    ("held_dollars", one.held),
                    ("spent_dollars", one.spent),
                    ("left_dollars", one.left),
                )
            },
        }
        for one in ledger.balances(deployed_profile(LOCAL_GROUP))
    ]
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
    """Set the group's budget, or a user's, to DOLLARS: in the group's profile, which is committed."""
    amount = _amount(dollars)
    site = this_site()
    from neurocaas.blueprint.profile import profile_path
    from neurocaas.server.groups.publishing import set_budget
    from neurocaas.server.site import LOCAL_GROUP

    set_budget(site, LOCAL_GROUP, name, amount)
    path = profile_path(site.settings.root, LOCAL_GROUP)
    whose = f"user {name}" if name else f"group {LOCAL_GROUP}"
    if as_json:
        print_json({"account": whose, "budget_dollars": str(amount), "profile": str(path)})
    else:
        click.echo(f"The budget of {whose} is ${amount:.2f} (in {path}).")


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
