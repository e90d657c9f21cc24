"""Follow a job until it ends: live progress on a terminal, one line per change elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from neurocaas.cli.output import say
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.followers import ENDED, follow
from neurocaas.server.jobs.models import Job, Stack
from neurocaas.server.jobs.status import ENDED as ENDED_STATUSES
from neurocaas.server.jobs.status import Status
from neurocaas.settings import Settings

LOOK_SECONDS = 1.0  # should a ring be lost, this is how late the change is seen
REDRAW_SECONDS = 0.1
BARS = 16

Show = Callable[[Job], None]


def follow_job(settings: Settings, job: Job, *, quiet: bool) -> None:
    """Return when the job has ended; `job` is up to date then. A manager that died is started again."""
    with follow(settings, job.id) as bell, _display(quiet=quiet) as show:
        while True:
            job.refresh_from_db()
            show(job)
            if job.status in ENDED_STATUSES:
                return
            messages = bell.wait(LOOK_SECONDS)
            while quiet and messages and ENDED not in messages:
                messages = bell.wait(LOOK_SECONDS)
            if not messages and daemon.leader(settings) is None:
                daemon.start(settings)
            elif messages and ENDED not in messages:
                time.sleep(REDRAW_SECONDS)


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

    def show(job: Job) -> None:
        for stack in job.stacks.filter(reused_from=None).select_related("step", "job").order_by("index"):
            now = (stack.status, stack.reason)
            if seen.get(stack.index) != now and (stack.status != Status.WAITING or stack.reason):
                say(f"{stack.name}: {_words(stack)}")
                seen[stack.index] = now

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

        def show(job: Job) -> None:
            stacks = list(job.stacks.select_related("step", "job").order_by("index"))
            ended = sum(stack.status in ENDED_STATUSES for stack in stacks)
            if -1 not in tasks:
                tasks[-1] = progress.add_task(f"job {job.id}", total=len(stacks), note="")
            progress.update(tasks[-1], completed=ended, note=f"{ended} of {len(stacks)} stacks ended")
            for stack in stacks:
                if stack.index not in tasks and (stack.started_at or len(stacks) <= BARS) and len(tasks) <= BARS:
                    tasks[stack.index] = progress.add_task(stack.name, total=1.0, start=False, note="")
                if stack.index in tasks:
                    _update(progress, tasks[stack.index], stack)

        def _update(progress: Progress, task: TaskID, stack: Stack) -> None:
            if stack.started_at and not progress.tasks[progress.task_ids.index(task)].started:
                progress.start_task(task)
            progress.update(task, completed=stack.progress, note=_words(stack))
            if stack.status in ENDED_STATUSES:
                progress.stop_task(task)

        yield show


def _words(stack: Stack) -> str:
    if stack.status == Status.RUNNING:
        return f"running {stack.progress:.0%} {stack.note}".strip()
    return f"{stack.status}: {stack.message}" if stack.message else stack.status
