"""`manager`: the site's background process."""

from __future__ import annotations

import click

from neurocaas.cli.context import site_settings
from neurocaas.cli.output import json_option, print_json
from neurocaas.server.jobs import daemon


@click.group()
def manager() -> None:
    """The job manager: starts when it is needed, ends when idle."""


@manager.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether a manager leads this site, and where its log is."""
    settings = site_settings()
    pid = daemon.leader(settings)
    log = settings.state / "logs" / "manager.log"
    if as_json:
        print_json({"pid": pid, "log": str(log)})
    else:
        click.echo(f"Process {pid} leads. Log: {log}" if pid else f"No manager runs; it starts by itself. Log: {log}")


@manager.command()
@json_option
def start(as_json: bool) -> None:
    """Start the manager in the background, unless it runs."""
    settings = site_settings()
    daemon.start(settings)
    if as_json:
        print_json({"started": True})


@manager.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the manager. Stacks that run go on, and are adopted by the next manager."""
    stopped = daemon.stop(site_settings())
    if as_json:
        print_json({"stopped": stopped})
    else:
        click.echo("Stopped." if stopped else "No manager was running.")
