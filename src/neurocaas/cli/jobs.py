"""`jobs`, `show`, `logs`, `results`, `cancel`: what became of a submission."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from neurocaas.cli.context import this_door
from neurocaas.cli.door import Json
from neurocaas.cli.output import json_option, print_json, print_table
from neurocaas.errors import NotFound


@click.command()
@click.option("--last", default=20, show_default=True, help="How many, the newest first.")
@json_option
def jobs(last: int, as_json: bool) -> None:
    """List jobs."""
    found = this_door().jobs(last)
    if as_json:
        print_json(found)
        return
    rows = [(one["job"], one["analysis"], one["status"], one["submitted_at"], one["message"][:60]) for one in found]
    print_table(("JOB", "ANALYSIS", "STATUS", "SUBMITTED", ""), rows)


@click.command()
@click.argument("job")
@json_option
def show(job: str, as_json: bool) -> None:
    """Show JOB: its datasets, why they are where they are, and what it cost."""
    described = this_door().job(job)
    if as_json:
        print_json(described)
        return
    from neurocaas.cli.report import report

    rows = [
        (
            one["index"],
            one["name"],
            one["status"],
            f"{one['progress']:.0%}",
            one["seconds"] or "",
            f"${float(one['cost_dollars']):.4f}",
            one["note"] or ("reused" if one["reused_from"] else ""),
        )
        for one in described["stacks"]
    ]
    print_table(("", "STACK", "STATUS", "DONE", "SECONDS", "COST", ""), rows)
    report(described)


@click.command()
@click.argument("job")
@click.option("--dataset", help="Dataset name or index; needed when the job has several.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the dataset has ended.")
@json_option
def logs(job: str, dataset: str | None, follow: bool, as_json: bool) -> None:
    """Print what the workflow of JOB wrote."""
    door = this_door()
    job, stacks = door.stacks(job)
    stack = _chosen(stacks, dataset)
    if as_json:
        print_json({"job": job, "dataset": stack["dataset"], "log": "".join(door.log(job, stack["index"]))})
        return
    for text in door.follow_log(job, stack["index"]) if follow else door.log(job, stack["index"]):
        click.echo(text, nl=False)
        sys.stdout.flush()


@click.command()
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
@json_option
def results(job: str, out: Path, as_json: bool) -> None:
    """Fetch the results, logs and certificate of JOB."""
    door = this_door()
    fetched = door.results(job, out)
    if as_json:
        figures = list(map(str, fetched.figures))
        print_json({"job": door.stacks(job)[0], "out": str(out), "files": fetched.files, "figures": figures})
    else:
        click.echo(f"{fetched.files} files in {out}")


@click.command()
@click.argument("job")
@json_option
def cancel(job: str, as_json: bool) -> None:
    """Cancel JOB: what runs is stopped, what waits never starts, what has ended stays."""
    done = this_door().cancel(job)
    if as_json:
        print_json(done)
    else:
        click.echo(f"Job {done['job']} {'is being cancelled' if done['cancelled'] else 'has already ended'}.")


def _chosen(stacks: list[Json], dataset: str | None) -> Json:
    if dataset is None and len(stacks) == 1:
        return stacks[0]
    chosen = [one for one in stacks if dataset in {one["dataset"], one["folder"], one["name"], str(one["index"])}]
    if len(chosen) != 1:
        names = ", ".join(f"{one['index']} ({one['name']})" for one in stacks[:10])
        raise NotFound(f"--dataset: found {dataset!r}, which names {len(chosen)} stacks; one of {names} is right.")
    return chosen[0]
