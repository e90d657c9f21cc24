"""A finished job in a few lines: each stack's time as a bar, what failed and why, where the results are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click

from neurocaas.storage.delivery import Fetched

BAR = 30
DRAWN = 40
REASONS = 3


def report(job: dict[str, Any], fetched: Fetched | None = None) -> None:
    """Print the job: the overlap of its stacks, reasons of failures, and where its results lie."""
    timeline(job)
    reuse(job)
    for stack in job["stacks"]:
        if stack["message"] and not stack["reused_from"]:
            click.echo(f"{stack['name']}: {stack['status']} ({stack['reason']}). {stack['message']} {stack['remedy']}")
    said = f" {job['message']}" if job["message"] and job["status"] == "succeeded" else ""
    click.echo(f"Job {job['job']} {job['status']}.{said} Cost ${float(job['cost_dollars']):.2f}.")
    if fetched is None:
        return
    click.echo(f"Results: {fetched.out} ({fetched.files} files)")
    for figure in fetched.figures[:5]:
        click.echo(f"Figure: {figure}")
    click.echo(f"Certificate: {fetched.out / 'certificate.json'}")
    click.echo(f"Check it: neurocaas verify {fetched.out / 'certificate.json'} {fetched.out}")


def reuse(job: dict[str, Any]) -> None:
    """How many stacks were answered from earlier jobs; and if some were, why the others were not."""
    origins = Counter(stack["reused_from"]["job"] for stack in job["stacks"] if stack["reused_from"])
    for origin, count in origins.most_common():
        click.echo(f"{count} of {len(job['stacks'])} stacks answered from job {origin}.")
    if origins:
        reasons = Counter(stack["not_reused"] for stack in job["stacks"] if stack["not_reused"])
        for reason, count in reasons.most_common(REASONS):
            click.echo(f"{count} not: {reason}")


def timeline(job: dict[str, Any]) -> None:
    """When each stack ran, drawn on one time axis, and how many ran at once."""
    ran = [one for one in job["stacks"] if one["started_at"] and one["ended_at"]]
    if not ran:
        return
    spans = [(datetime.fromisoformat(one["started_at"]), datetime.fromisoformat(one["ended_at"])) for one in ran]
    begin, end = min(start for start, _ in spans), max(stop for _, stop in spans)
    whole = max((end - begin).total_seconds(), 1e-3)
    width = max(len(one["name"]) for one in ran[:DRAWN])
    for one, (start, stop) in list(zip(ran, spans, strict=True))[:DRAWN]:
        left = int((start - begin).total_seconds() / whole * BAR)
        length = max(1, round((stop - start).total_seconds() / whole * BAR))
        bar = (" " * left + "█" * length)[:BAR].ljust(BAR)
        click.echo(f"{one['name'].ljust(width)} |{bar}| {(stop - start).total_seconds():6.2f} s  {one['status']}")
    noun = "dataset" if all(one["name"] == one["dataset"] for one in ran) else "stack"
    counted = f"1 {noun}" if len(ran) == 1 else f"{len(ran)} {noun}s"
    click.echo(f"{counted} in {whole:.2f} s, up to {at_once(spans)} at once.")


def at_once(attempts: Iterable[tuple[datetime, datetime]]) -> int:
    """The most intervals that overlap at one moment."""
    edges = sorted([(start, 1) for start, _ in attempts] + [(end, -1) for _, end in attempts])
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most
