"""`run`, `submit`, `quote` and `retry`: from files to a job, and from a job to results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurocaas.cli.context import site_settings, user
from neurocaas.cli.output import json_option, print_json, say
from neurocaas.cli.submission import prepare, submission
from neurocaas.server.jobs import daemon

if TYPE_CHECKING:
    from neurocaas.server.jobs.admission import Admissible
    from neurocaas.server.jobs.models import Job
    from neurocaas.server.site import Site
    from neurocaas.settings import Settings

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
    site = _open_and_warm(site_settings())
    from neurocaas.server.jobs.results import check_out

    check_out(out)
    _see_through(site, prepare(site, **asked), out, as_json=as_json)


@click.command()
@submission
def submit(as_json: bool, **asked: Any) -> None:
    """Submit ANALYSIS on DATA and return at once; prints the job's id."""
    settings = site_settings()
    site = _open(settings.root)
    job = _admit(prepare(site, **asked))
    daemon.wake(settings)
    if as_json:
        from neurocaas.server.jobs.view import description

        print_json(description(job))
    else:
        click.echo(job.id)


@click.command()
@submission
def quote(as_json: bool, **asked: Any) -> None:
    """Say what ANALYSIS on DATA would take and cost, and why; starts and holds nothing."""
    site = _open(site_settings().root)
    admissible = prepare(site, **asked)
    from neurocaas.server.jobs.quoting import as_json as quote_as_json
    from neurocaas.server.jobs.quoting import quote as quote_job

    quoted = quote_job(site, admissible)
    if as_json:
        print_json(quote_as_json(quoted))
        return
    from neurocaas.cli.quote_report import print_quote

    print_quote(quoted, site.settings)


@click.command()
@click.argument("job")
@click.option("--detach", is_flag=True, help="Return at once; prints the new job's id.")
@_out_option
@json_option
def retry(job: str, detach: bool, out: Path, as_json: bool) -> None:
    """Run again what failed or was cancelled in JOB, and nothing else, as a new job that takes over the rest.

    So a job goes on that stopped for lack of budget, once the budget is raised.
    """
    site = _open_and_warm(site_settings())
    from neurocaas.server.jobs.results import check_out
    from neurocaas.server.jobs.retry import prepare_retry
    from neurocaas.server.jobs.view import find_job
    from neurocaas.server.site import LOCAL_GROUP

    admissible = prepare_retry(site, find_job(job, LOCAL_GROUP), user())
    if not detach:
        check_out(out)
        _see_through(site, admissible, out, as_json=as_json)
        return
    again = _admit(admissible)
    daemon.wake(site.settings)
    if as_json:
        print_json({"job": again.id, "retry_of": again.retry_of_id})
    else:
        click.echo(again.id)


def _open_and_warm(settings: Settings) -> Site:
    """The site, whose manager gets ready while this process loads what it needs to submit."""
    if daemon.leader(settings) is None:
        daemon.start(settings)
    return _open(settings.root)


def _open(root: Path) -> Site:
    from neurocaas.server.site import open_site

    return open_site(root)


def _admit(admissible: Admissible) -> Job:
    from neurocaas.server.jobs.admission import admit

    return admit(admissible)


def _see_through(site: Site, admissible: Admissible, out: Path, *, as_json: bool) -> None:
    """Quote the job, admit it, follow it to its end, and deliver its results."""
    _deliver(site, admit_and_follow(site, admissible, as_json=as_json), out, as_json=as_json)


def admit_and_follow(site: Site, admissible: Admissible, *, as_json: bool) -> Job:
    """Quote the job, admit it, and follow it to its end; or detach from it when the person says so."""
    if not as_json:
        from neurocaas.cli.quote_report import say_quote
        from neurocaas.server.jobs.quoting import quote as quote_job

        say_quote(quote_job(site, admissible))
    job = _admit(admissible)
    daemon.wake(site.settings)
    if not as_json:
        say(f"Job {job.id}.")
    try:
        _follow(site, job, quiet=as_json)
    except KeyboardInterrupt:
        say(f"Detached; the job goes on. See it: neurocaas show {job.id}   Stop it: neurocaas cancel {job.id}")
        sys.exit(DETACHED)
    return job


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
