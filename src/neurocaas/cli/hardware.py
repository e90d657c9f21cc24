"""`hardware`: the instances that ran, measured, and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from neurocaas.cli.context import this_site
from neurocaas.cli.output import json_option, print_json, print_table
from neurocaas.errors import Refused

if TYPE_CHECKING:
    from neurocaas.server.hardware.reading import Account, Totals


@click.command()
@click.option("--since", "since_text", default="7d", show_default=True, help="24h, 7d, or a date: what ran after that.")
@click.option("--flagged", is_flag=True, help="Only instances with which something is wrong.")
@click.option("--csv", "as_table", is_flag=True, help="Print comma-separated values.")
@json_option
def hardware(since_text: str, flagged: bool, as_table: bool, as_json: bool) -> None:
    """List this site's instances: from when to when they ran, what they cost, what is wrong with them."""
    if as_table and as_json:
        raise Refused("--csv and --json: found both; one of them is right.")
    rules = this_site().settings.site.hardware
    from neurocaas.server.hardware import reading

    now = datetime.now(UTC)
    records = reading.since(reading.moment(since_text, now))
    found = reading.accounts(records, rules, now, flagged=flagged)
    sums = reading.totals(found)
    if as_json:
        print_json({"instances": [reading.as_facts(one) for one in found], "totals": reading.as_sums(sums)})
    elif as_table:
        click.echo(reading.as_csv(found), nl=False)
    else:
        _print(found, sums)


def _print(found: list[Account], sums: Totals) -> None:
    rows = [
        (
            one.record.name,
            one.record.instance_type,
            one.record.started_at.astimezone().isoformat(" ", "milliseconds"),
            f"{one.use.total_ms / 1000:.3f}" if one.record.ended_at else f"{one.use.total_ms / 1000:.0f} so far",
            f"{one.use.idle_ms / 1000:.3f}",
            f"${one.use.total_nanodollars / 1e9:.4f}",
            ", ".join(finding.flag for finding in one.findings),
        )
        for one in found
    ]
    print_table(("INSTANCE", "TYPE", "STARTED", "SECONDS", "IDLE", "COST", "FLAGS"), rows)
    for one in found:
        for finding in one.findings:
            click.echo(f"{one.record.name}: {finding.flag}. {finding.sentence}")
    click.echo(
        f"{sums.instances} instances, {sums.running} running, {sums.flagged} flagged. "
        f"Cost ${sums.total_nanodollars / 1e9:.4f}; the site bears ${sums.idle_nanodollars / 1e9:.4f} of it, "
        f"for {sums.idle_ms / 1000:.3f} idle seconds."
    )
