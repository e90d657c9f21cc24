"""`export`: a job in a form that other tools read."""

from __future__ import annotations

from pathlib import Path

import click

from neurocaas.cli.context import this_door
from neurocaas.cli.output import json_option, print_json
from neurocaas.errors import Refused


@click.command()
@click.argument("job")
@click.option("--crate", is_flag=True, help="As a Workflow Run RO-Crate.")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A new folder, or a new file ending in .zip.  [default: JOB-crate.zip]",
)
@json_option
def export(job: str, crate: bool, to: Path | None, as_json: bool) -> None:
    """Write JOB with its results, workflows and provenance for others, as a Workflow Run RO-Crate (--crate)."""
    if not crate:
        raise Refused("export: found no form to export as; --crate is right.")
    found, target = this_door().export_crate(job, to)
    if as_json:
        print_json({"job": found, "crate": str(target)})
    else:
        click.echo(f"Job {found} is in {target}")
