"""A finished job in a few lines: each dataset's time as a bar, what failed and why, where the results are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from neurocaas.server.jobs.results import Fetched
from neurocaas.server.jobs.view import at_once

BAR = 30


def report(job: dict[str, Any], fetched: Fetched | None = None) -> None:
    """Print the job: the overlap of its stacks, reasons of failures, and where its results lie."""
    timeline(job)
    for stack in job["stacks"]:
        if stack["message"]:
            click.echo(
                f"{stack['dataset']}: {stack['status']} ({stack['reason']}). {stack['message']} {stack['remedy']}"
            )
    click.echo(f"Job {job['job']} {job['status']}. Cost ${float(job['cost_dollars']):.2f}.")
    if fetched is None:
        return
    click.echo(f"Results: {fetched.out} ({fetched.files} files)")
    for figure in fetched.figures[:5]:
        click.echo(f"Figure: {figure}")
    click.echo(f"Certificate: {fetched.out / 'certificate.json'}")
    click.echo(f"Check it: neurocaas verify {fetched.out / 'certificate.json'} {fetched.out}")


def timeline(job: dict[str, Any]) -> None:
    """When each dataset ran, drawn on one time axis, and how many ran at once."""
    ran = [one for one in job["stacks"] if one["started_at"] and one["ended_at"]]
    if not ran:
        return
    spans = [(datetime.fromisoformat(one["started_at"]), datetime.fromisoformat(one["ended_at"])) for one in ran]
    begin, end = min(start for start, _ in spans), max(stop for _, stop in spans)
    whole = max((end - begin).total_seconds(), 1e-3)
    width = max(len(one["dataset"]) for one in ran)
    for one, (start, stop) in list(zip(ran, spans, strict=True))[:40]:
        left = int((start - begin).total_seconds() / whole * BAR)
        length = max(1, round((stop - start).total_seconds() / whole * BAR))
        bar = (" " * left + "█" * length)[:BAR].ljust(BAR)
        click.echo(f"{one['dataset'].ljust(width)} |{bar}| {(stop - start).total_seconds():6.2f} s  {one['status']}")
    datasets = "1 dataset" if len(ran) == 1 else f"{len(ran)} datasets"
    click.echo(f"{datasets} in {whole:.2f} s, up to {at_once(spans)} at once.")
