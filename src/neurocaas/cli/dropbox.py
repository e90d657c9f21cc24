"""`dropbox`: places where a submission that appears starts a job (paper §5.1.1)."""

from __future__ import annotations

import click

from neurocaas.cli.context import this_site
from neurocaas.cli.output import json_option, print_json, print_table, say


@click.group()
def dropbox() -> None:
    """Drop-boxes: a folder or bucket for each analysis, where a submit.json starts a job."""


@dropbox.command("list")
@click.option("--count", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Of each, so many.")
@json_option
def list_(count: int, as_json: bool) -> None:
    """List the site's drop-boxes, and what came of the newest submissions in each."""
    site = this_site()
    from neurocaas.server.dropbox.listing import listed

    boxes = listed(site.settings, count)
    if as_json:
        print_json(boxes)
        return
    if not boxes:
        click.echo("The site has no drop-boxes; dropboxes in its site.json names them.")
    for box in boxes:
        click.echo(f"{box['analysis']}  {box['url']}")
        rows = [
            (f"  {one['group']}", one["name"], one["outcome"], one["job"] or one["message"].partition("\n")[0])
            for one in box["submissions"]
        ]
        if rows:
            print_table(("  GROUP", "SUBMISSION", "OUTCOME", "JOB, OR WHY NOT"), rows)


@dropbox.command()
@click.option("--once", is_flag=True, help="Look once, answer what there is to answer, and end.")
def watch(once: bool) -> None:
    """Start jobs for what appears in the drop-boxes, and answer there, until stopped.

    A site that is served does so by itself.
    """
    site = this_site()
    from neurocaas.server.dropbox import watching

    if once:
        taken, answered = watching.look_once(site)
        click.echo(f"{taken} taken; {answered} looked at that are not answered in full.")
        return
    say("Looking after the drop-boxes; Ctrl-C ends it. Jobs go on.")
    watching.watch(site)
