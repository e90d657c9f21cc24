"""Follow a job until it ends: live progress on a terminal, one line per change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from neurocaas.cli.door import Json
from neurocaas.cli.output import say

ENDED = frozenset({"succeeded", "failed", "cancelled"})
BARS = 16

Show = Callable[[Json], None]


def follow_job(changes: Iterable[Json], *, quiet: bool) -> None:
    """Show the job at each change; return when it has ended."""
    with _display(quiet=quiet) as show:
        for job in changes:
            show(job)


@contextmanager
def _display(*, quiet: bool) -> Iterator[Show]:
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


def _lines() -> Show:
    """A line whenever a dataset's status or reason changes."""
    seen: dict[int, tuple[str, str]] = {}

    def show(job: Json) -> None:
        for stack in job["stacks"]:
            now = (stack["status"], stack["reason"])
            if stack["reused_from"] or seen.get(stack["index"]) == now:
                continue
            if stack["status"] != "waiting" or stack["reason"]:
                say(f"{stack['name']}: {_words(stack)}")
                seen[stack["index"]] = now

    return show


@contextmanager
def _bars() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
    from rich.table import Column

    # A long note is cut at the terminal's edge; names, bars and times keep their room.
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=16, table_column=Column(min_width=16)),
        TimeElapsedColumn(table_column=Column(min_width=7)),
        TextColumn("[dim]{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, expand=True) as progress:
        tasks: dict[int, TaskID] = {}

        def show(job: Json) -> None:
            stacks = job["stacks"]
            ended = sum(stack["status"] in ENDED for stack in stacks)
            if -1 not in tasks:
                tasks[-1] = progress.add_task(f"job {job['job']}", total=len(stacks), note="")
            progress.update(tasks[-1], completed=ended, note=f"{ended} of {len(stacks)} stacks ended")
            for stack in stacks:
                index = stack["index"]
                if index not in tasks and (stack["started_at"] or len(stacks) <= BARS) and len(tasks) <= BARS:
                    tasks[index] = progress.add_task(stack["name"], total=1.0, start=False, note="")
                if index in tasks:
                    _update(progress, tasks[index], stack)

        def _update(progress: Progress, task: TaskID, stack: Json) -> None:
            if stack["started_at"] and not progress.tasks[progress.task_ids.index(task)].started:
                progress.start_task(task)
            progress.update(task, completed=stack["progress"], note=_words(stack))
            if stack["status"] in ENDED:
                progress.stop_task(task)

        yield show


def _words(stack: Json) -> str:
    if stack["status"] == "running":
        return f"running {stack['progress']:.0%} {stack['note']}".strip()
    return f"{stack['status']}: {stack['message']}" if stack["message"] else str(stack["status"])
