"""`run`, `submit`, `wait`, `quote` and `retry`: from files to a job, and from a job to results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from neurocaas.cli.context import this_door
from neurocaas.cli.door import Door, Json, Proposal
from neurocaas.cli.output import json_option, print_json, say
from neurocaas.cli.submission import read, submission

DETACHED = 130
_out_option = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder."
)


@click.command()
@submission
@_out_option
def run(out: Path, as_json: bool, **asked: Any) -> None:
    """Run ANALYSIS on DATA (files, folders, patterns), follow it, and fetch the results.

    ANALYSIS is a name, name@version, or name@dev for the files as they are. Ctrl-C detaches; the job goes on.
    """
    door = this_door()
    door.warm_up()
    _check_out(out)
    _see_through(door, door.propose(read(**asked)), out, as_json=as_json)


@click.command()
@submission
def submit(as_json: bool, **asked: Any) -> None:
    """Submit ANALYSIS on DATA and return at once; prints the job's id."""
    door = this_door()
    job = door.propose(read(**asked)).admit()["job"]
    if as_json:
        print_json(door.job(job))
    else:
        click.echo(job)


@click.command()
@submission
def quote(as_json: bool, **asked: Any) -> None:
    """Say what ANALYSIS on DATA would take and cost, and why; starts and holds nothing."""
    quoted = this_door().propose(read(**asked)).quote(in_full=not as_json)
    if as_json or quoted is None:
        print_json(quoted)
        return
    from neurocaas.cli.quote_report import print_quote

    print_quote(quoted)


@click.command()
@click.argument("job")
@click.option("--detach", is_flag=True, help="Return at once; prints the new job's id.")
@_out_option
@json_option
def retry(job: str, detach: bool, out: Path, as_json: bool) -> None:
    """Run again what failed or was cancelled in JOB, and nothing else, as a new job that takes over the rest.

    So a job goes on that stopped for lack of budget, once the budget is raised.
    """
    door = this_door()
    door.warm_up()
    proposal = door.propose_retry(job)
    if not detach:
        _check_out(out)
        _see_through(door, proposal, out, as_json=as_json)
        return
    again = proposal.admit()
    if as_json:
        print_json({"job": again["job"], "retry_of": again["retry_of"]})
    else:
        click.echo(again["job"])


@click.command()
@click.argument("job")
@json_option
def wait(job: str, as_json: bool) -> None:
    """Follow JOB until it has ended; the exit code is that of `run`. Ctrl-C detaches; the job goes on."""
    door = this_door()
    _follow(door, job, quiet=as_json)
    described = door.job(job)
    if as_json:
        print_json(described)
    else:
        from neurocaas.cli.report import report

        report(described)
        click.echo(f"Fetch its results: neurocaas results {described['job']}")
    sys.exit(0 if described["status"] == "succeeded" else 1)


def admit_and_follow(door: Door, proposal: Proposal, *, as_json: bool) -> str:
    """Quote the job, admit it, and follow it to its end; or detach from it when the person says so. Returns its id."""
    if not as_json and (quoted := proposal.quote()) is not None:
        from neurocaas.cli.quote_report import say_quote

        say_quote(quoted)
    job: str = proposal.admit()["job"]
    if not as_json:
        say(f"Job {job}.")
    _follow(door, job, quiet=as_json)
    return job


def _follow(door: Door, job: str, *, quiet: bool) -> None:
    from neurocaas.cli.follow import follow_job

    try:
        follow_job(door.follow(job, quiet=quiet), quiet=quiet)
    except KeyboardInterrupt:
        say(f"Detached; the job goes on. See it: neurocaas show {job}   Stop it: neurocaas cancel {job}")
        sys.exit(DETACHED)


def _see_through(door: Door, proposal: Proposal, out: Path, *, as_json: bool) -> None:
    """Quote the job, admit it, follow it to its end, deliver what there is, and end with the exit code that says so."""
    job = admit_and_follow(door, proposal, as_json=as_json)
    fetched = door.results(job, out)
    described: Json = door.job(job)
    if as_json:
        print_json(described | {"out": str(out), "certificate": str(out / "certificate.json")})
    else:
        from neurocaas.cli.report import report

        report(described, fetched)
    sys.exit(0 if described["status"] == "succeeded" else 1)


def _check_out(out: Path) -> None:
    from neurocaas.storage.delivery import check_out

    check_out(out)
