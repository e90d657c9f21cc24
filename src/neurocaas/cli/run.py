"""`run` and `submit`: from files to a job, and from a job to results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurocaas.cli.context import site_settings, user
from neurocaas.cli.output import json_option, print_json, say
from neurocaas.errors import Refused
from neurocaas.server.jobs import daemon

if TYPE_CHECKING:
    from neurocaas.server.jobs.models import Job
    from neurocaas.server.site import Site

DETACHED = 130


def _submission(command: Any) -> Any:
    """The arguments and options that describe a submission."""
    for option in (
        json_option,
        click.option("--seed", type=int, default=0, show_default=True, help="Seed for the workflow's random numbers."),
        click.option("--input", "more", multiple=True, metavar="NAME=PATH", help="Another named input."),
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One parameter."),
        click.option("--config", type=click.Path(path_type=Path), help="Parameters, as a YAML or JSON file."),
        click.argument("data", nargs=-1, metavar="DATA..."),
        click.argument("analysis"),
    ):
        command = option(command)
    return command


@click.command()
@_submission
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
def run(out: Path, as_json: bool, **submission: Any) -> None:
    """Run ANALYSIS on DATA (files, folders, patterns), follow it, and fetch the results.

    ANALYSIS is a name, name@version, or name@dev for the files as they are. Ctrl-C detaches; the job goes on.
    """
    settings = site_settings()
    # The manager gets ready while this process loads what it needs to submit.
    if daemon.leader(settings) is None:
        daemon.start(settings)
    site = _open(settings.root)
    from neurocaas.server.jobs.results import check_out

    check_out(out)
    job = _submit(site, **submission)
    daemon.wake(site.settings)
    if not as_json:
        say(f"Job {job.id}: {job.label} on {job.stacks.count()} dataset(s).")
    try:
        _follow(site, job, quiet=as_json)
    except KeyboardInterrupt:
        say(f"Detached; the job goes on. See it: neurocaas show {job.id}   Stop it: neurocaas cancel {job.id}")
        sys.exit(DETACHED)
    _deliver(site, job, out, as_json=as_json)


@click.command()
@_submission
def submit(as_json: bool, **submission: Any) -> None:
    """Submit ANALYSIS on DATA and return at once; prints the job's id."""
    settings = site_settings()
    site = _open(settings.root)
    job = _submit(site, **submission)
    daemon.wake(settings)
    if as_json:
        from neurocaas.server.jobs.view import description

        print_json(description(job))
    else:
        click.echo(job.id)


def _open(root: Path) -> Site:
    from neurocaas.server.site import open_site

    return open_site(root)


def _submit(
    site: Site,
    *,
    analysis: str,
    data: tuple[str, ...],
    config: Path | None,
    assignments: tuple[str, ...],
    more: tuple[str, ...],
    seed: int,
) -> Job:
    from neurocaas.server.jobs.submit import Request
    from neurocaas.server.jobs.submit import submit as submit_job
    from neurocaas.server.site import LOCAL_GROUP

    given: dict[str, Any] = {}
    if config or assignments:
        from neurocaas.blueprint.config_files import read_assignments, read_config

        given = (read_config(config) if config else {}) | read_assignments(assignments)
    request = Request(
        analysis=analysis,
        data=data,
        config=given,
        more=dict(_named(one) for one in more),
        seed=seed,
        group=LOCAL_GROUP,
        user=user(),
    )
    return submit_job(site, request)


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise Refused(f"--input {text}: found no name before an equals sign; NAME=PATH is right.")
    return name, path


def _follow(site: Site, job: Job, *, quiet: bool) -> None:
    from neurocaas.cli.follow import follow_job

    follow_job(site.settings, job, quiet=quiet)


def _deliver(site: Site, job: Job, out: Path, *, as_json: bool) -> None:
    """Fetch what there is, say how it went, and end with the exit code that says so."""
    from neurocaas.server.jobs.results import fetch
    from neurocaas.server.jobs.status import Status
    from neurocaas.server.jobs.view import description

    fetched = fetch(site.store, job, out)
    described = description(job)
    if as_json:
        print_json(described | {"out": str(out), "certificate": str(out / "certificate.json")})
    else:
        from neurocaas.cli.report import report

        report(described, fetched)
    sys.exit(0 if job.status == Status.SUCCEEDED else 1)
