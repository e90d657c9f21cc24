"""`backup` and `restore`: a site in one file, and back."""

from __future__ import annotations

from pathlib import Path

import click

from neurocaas.cli.context import site_settings
from neurocaas.cli.output import json_option, print_json, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--without-results", is_flag=True, help="Leave out what analyses wrote.")
@json_option
def backup(file: Path, without_results: bool, as_json: bool) -> None:
    """Write the whole site to FILE (.tar, or .tar.gz to compress): repository, keys, database, store.

    Jobs may run meanwhile. FILE is readable by you only; it holds the site's signing key.
    """
    from neurocaas.server.serving.backup import backup as write

    written = write(site_settings(), file, without_results=without_results)
    if as_json:
        print_json({"file": str(file.absolute()), "objects": written.objects, "size_bytes": written.size_bytes})
        return
    click.echo(f"{file}: {written.size_bytes / 1024**2:.1f} MiB, with {written.objects} objects of the store.")
    say("It holds the site's signing key, so only you can read it (mode 0600). Keep it where only operators can.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Path(path_type=Path), help="A new or empty folder.")
@json_option
def restore(file: Path, to: Path, as_json: bool) -> None:
    """Make the site of the backup FILE again, after every digest in it was checked."""
    from neurocaas.server.serving.restore import restore as bring_back

    restored = bring_back(file, to)
    if as_json:
        print_json(
            {
                "site": str(restored.root),
                "made_at": restored.made_at,
                "jobs": restored.jobs,
                "interrupted": restored.interrupted,
                "results": restored.results,
            }
        )
        return
    click.echo(f"Site {restored.root} as of {restored.made_at}, with {restored.jobs} jobs.")
    if restored.interrupted:
        click.echo(f"{restored.interrupted} attempts ran at that time; they are made again when a manager starts.")
    if not restored.results:
        click.echo("The backup was written without results.")
    say("If the site it was made of still runs, stop one of the two: both sign with the same key.")
