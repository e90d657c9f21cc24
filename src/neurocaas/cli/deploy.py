"""`deploy` and `operator`: make the site agree with its source repo's documents (paper §9.1)."""

from __future__ import annotations

import click

from neurocaas.cli.context import this_site
from neurocaas.cli.infrastructure import PROVIDERS, deploy_infrastructure
from neurocaas.cli.output import json_option, print_json
from neurocaas.errors import Refused


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--provider", type=PROVIDERS, help="Deploy the infrastructure at this provider instead.")
@click.option("--drift", is_flag=True, help="Only show what was changed there by hand (with --provider).")
@click.option("--show-keys/--no-show-keys", default=None, help="New keys are shown if this is a terminal.")
@json_option
def deploy(dry_run: bool, provider: str | None, drift: bool, show_keys: bool | None, as_json: bool) -> None:
    """Deploy groups, access to analyses and operators as the source repo's documents declare them.

    Running jobs are left alone. With --provider: the infrastructure there that those documents ask for.
    """
    if provider is not None:
        deploy_infrastructure(dry_run=dry_run, show_drift=drift, show_keys=show_keys, as_json=as_json)
        return
    if drift or show_keys is not None:
        raise Refused("--drift and --show-keys are about a provider's infrastructure.", remedy="Add --provider aws.")
    site = this_site()
    from neurocaas.server.groups.deploy import deploy as deploy_documents

    changes = deploy_documents(site, dry_run=dry_run)
    if as_json:
        print_json([{"what": one.what, "before": one.before, "after": one.after} for one in changes])
        return
    for one in changes:
        click.echo(f"{one.verb} {one.what}")
        for line in one.lines():
            click.echo(f"    {line}")
    done = "would change" if dry_run else "changed"
    click.echo(f"{len(changes)} {done}." if changes else "Nothing to change.")


@click.group()
def operator() -> None:
    """Who runs the site: sees its jobs, users and spending on the website."""


@operator.command()
@click.argument("user")
@json_option
def add(user: str, as_json: bool) -> None:
    """Make USER (a user id) an operator: in site.json, which is committed and deployed."""
    _change(user, as_json=as_json, present=True)


@operator.command()
@click.argument("user")
@json_option
def remove(user: str, as_json: bool) -> None:
    """Make USER an operator no longer."""
    _change(user, as_json=as_json, present=False)


def _change(user: str, *, as_json: bool, present: bool) -> None:
    site = this_site()
    from neurocaas.server.groups.publishing import set_operator

    operators = set_operator(site, user, present=present)
    if as_json:
        print_json(operators)
    else:
        click.echo(f"Operators: {', '.join(operators) or 'none'}.")
