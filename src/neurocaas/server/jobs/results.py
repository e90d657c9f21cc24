"""Bring a job's results to a folder: one folder per dataset, its log, and the job's certificate."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from neurocaas.errors import NotFound, StorageFailed
from neurocaas.server.jobs import logs
from neurocaas.server.jobs.delivered import Delivered, delivered
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.storage import Store, keys
from neurocaas.storage.delivery import (
    CERTIFICATE,
    CERTIFICATE_TEXT,
    FIGURES,
    LOG,
    Fetched,
    check_out,
    remove_earlier,
)


def fetch(store: Store, job: Job, out: Path) -> Fetched:
    """Put the job's results below `out`, in place of an earlier job's; each folder appears when it is whole.

    Raises StorageFailed when the disk is full or the folder can't be written.
    """
    check_out(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_earlier(out)
        files: list[Path] = []
        for one in job.outputs:
            store.get_file(keys.job_output(job.group_id, job.id, one["path"]), out / one["path"])
            files.append(out / one["path"])
        stacks = list(job.stacks.select_related("reused_from__job", "job").order_by("index"))
        found = delivered(stacks)
        for stack in stacks:
            files += _fetch_stack(store, stack, found.get(stack.pk), out)
        for key, name in (
            (keys.certificate_text(job.group_id, job.id), CERTIFICATE_TEXT),
            (keys.certificate(job.group_id, job.id), CERTIFICATE),
        ):
            with contextlib.suppress(NotFound):
                store.get_file(key, out / name)
    except OSError as cause:
        raise StorageFailed(f"The results can't be written to {out}: {cause.strerror}.") from cause
    except StorageFailed as cause:
        raise StorageFailed(f"The results can't be brought to {out}: {cause.message}") from cause
    figures = tuple(one for one in files if one.suffix in FIGURES)
    return Fetched(out=out, files=len(files), figures=figures)


def log_text(store: Store, stack: Stack) -> Iterator[str]:
    """What all attempts of a stack wrote, in order; each but a lone one under its number.

    Of one that was answered from earlier results: what those of that stack wrote, after a line that says so.
    """
    numbers = Attempt.objects.filter(stack=stack.origin).order_by("number").values_list("number", flat=True)
    yield from written(store, stack, list(numbers))


def written(store: Store, stack: Stack, attempts: Sequence[int]) -> Iterator[str]:
    """The same, by those who know already which attempts there were."""
    origin, job = stack.origin, stack.origin.job
    if stack.reused_from is not None:
        yield f"--- {stack.message} What it wrote then:\n"
    for number in attempts:
        if len(attempts) > 1:
            yield f"--- attempt {number}\n"
        prefix = keys.attempt(job.group_id, job.id, origin.index, number)
        for _, text in logs.read(store, prefix):
            yield text


def _fetch_stack(store: Store, stack: Stack, found: Delivered | None, out: Path) -> list[Path]:
    if not stack.attempts_made and found is None:
        return []
    target = out / keys.relative(stack.folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    fetched: list[Path] = []
    for output in found.outputs if found else ():
        path = temporary / output["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(f"{found.results}/{output['path']}" if found else "", path)
        fetched.append(target / output["path"])
    with (temporary / LOG).open("w", encoding="utf-8") as log:
        log.writelines(log_text(store, stack))
    temporary.rename(target)
    return fetched
