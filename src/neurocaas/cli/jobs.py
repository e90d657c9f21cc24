"""`jobs`, `show`, `logs`, `results`, `cancel`: what became of a submission."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurocaas.cli.context import this_site
from neurocaas.cli.output import json_option, print_json, print_table
from neurocaas.errors import NotFound

if TYPE_CHECKING:
    from neurocaas.server.jobs.models import Job, Stack
    from neurocaas.server.site import Site


@click.command()
@click.option("--last", default=20, show_default=True, help="How many, the newest first.")
@json_option
def jobs(last: int, as_json: bool) -> None:
    """List jobs."""
    this_site()
    from neurocaas.server.jobs.models import Job
    from neurocaas.server.jobs.view import summary
    from neurocaas.server.site import LOCAL_GROUP

    found = [summary(job) for job in Job.objects.filter(group_id=LOCAL_GROUP).order_by("-submitted_at")[:last]]
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
    _, row = _job(job)
    from neurocaas.cli.report import report
    from neurocaas.server.jobs.view import description

    described = description(row)
    if as_json:
        print_json(described)
        return
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
    site, row = _job(job)
    stack = _stack(row, dataset)
    from neurocaas.server.jobs.results import log_text

    if as_json:
        print_json({"job": row.id, "dataset": stack.dataset, "log": "".join(log_text(site.store, stack))})
    elif follow:
        _follow(site, row, stack)
    else:
        for text in log_text(site.store, stack):
            click.echo(text, nl=False)


@click.command()
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
@json_option
def results(job: str, out: Path, as_json: bool) -> None:
    """Fetch the results, logs and certificate of JOB."""
    site, row = _job(job)
    from neurocaas.server.jobs.results import fetch

    fetched = fetch(site.store, row, out)
    if as_json:
        print_json({"job": row.id, "out": str(out), "files": fetched.files, "figures": list(map(str, fetched.figures))})
    else:
        click.echo(f"{fetched.files} files in {out}")


@click.command()
@click.argument("job")
@json_option
def cancel(job: str, as_json: bool) -> None:
    """Cancel JOB: what runs is stopped, what waits never starts, what has ended stays."""
    site, row = _job(job)
    from neurocaas.server.jobs import daemon
    from neurocaas.server.jobs.cancel import cancel as cancel_job

    cancelled = cancel_job(row)
    daemon.wake(site.settings, daemon.CANCEL)
    if as_json:
        print_json({"job": row.id, "cancelled": cancelled})
    else:
        click.echo(f"Job {row.id} {'is being cancelled' if cancelled else 'has already ended'}.")


def _job(job_id: str) -> tuple[Site, Job]:
    site = this_site()
    from neurocaas.server.jobs.view import find_job
    from neurocaas.server.site import LOCAL_GROUP

    return site, find_job(job_id, LOCAL_GROUP)


def _stack(job: Job, dataset: str | None) -> Stack:
    stacks = list(job.stacks.select_related("step", "job", "reused_from__job").order_by("index"))
    if dataset is None and len(stacks) == 1:
        return stacks[0]
    chosen = [one for one in stacks if dataset in {one.dataset, one.folder, one.name, str(one.index)}]
    if len(chosen) != 1:
        names = ", ".join(f"{one.index} ({one.name})" for one in stacks[:10])
        raise NotFound(f"--dataset: found {dataset!r}, which names {len(chosen)} stacks; one of {names} is right.")
    return chosen[0]


def _follow(site: Site, job: Job, stack: Stack) -> None:
    """Print new segments as they come, until the stack has ended; the runner rings for each."""
    from neurocaas.server.jobs import logs as segments
    from neurocaas.server.jobs.followers import follow
    from neurocaas.server.jobs.status import ENDED
    from neurocaas.storage import keys

    attempt, after = 1, -1
    with follow(site.settings, job.id) as bell:
        while True:
            stack.refresh_from_db()
            for number in range(attempt, stack.attempts_made + 1):
                after = after if number == attempt else -1
                attempt = number
                prefix = keys.attempt(job.group_id, job.id, stack.index, number)
                for last, text in segments.read(site.store, prefix, after=after):
                    click.echo(text, nl=False)
                    after = last
            sys.stdout.flush()
            if stack.status in ENDED:
                return
            bell.wait(1.0)
