"""Bring a job's results to a folder: one folder per dataset, its log, and the job's certificate."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurocaas.errors import NeurocaasError, NotFound, Refused, StorageFailed
from neurocaas.server.jobs import logs
from neurocaas.server.jobs.delivered import Delivered, delivered
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.storage import Store, keys

CERTIFICATE = "certificate.json"
CERTIFICATE_TEXT = "certificate.txt"
LOG = "log.txt"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Where a job's results lie now: folder per dataset, and the figures among them."""

    out: Path
    files: int
    figures: tuple[Path, ...]


def check_out(out: Path) -> None:
    """Refuse a folder that can't be written, or that holds something else than results of an earlier job."""
    there = next(one for one in (out.absolute(), *out.absolute().parents) if os.path.lexists(one))
    if not there.is_dir():
        raise Refused(f"--out {out}: {there} is not a folder; a folder of your own is right.")
    try:
        # Permission bits do not tell of read-only or special file systems, so it is tried.
        tempfile.TemporaryDirectory(prefix=".neurocaas-", dir=there).cleanup()
    except OSError as cause:
        raise Refused(
            f"--out {out}: {there} can't be written: {cause.strerror}; a folder of your own is right."
        ) from cause
    if out.is_dir() and any(out.iterdir()) and not (out / CERTIFICATE).is_file():
        raise Refused(f"--out {out} holds other files; a new or empty folder, or one of earlier results, is right.")


def fetch(store: Store, job: Job, out: Path) -> Fetched:
    """Put the job's results below `out`, in place of an earlier job's; each folder appears when it is whole.

    Raises StorageFailed when the disk is full or the folder can't be written.
    """
    check_out(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _remove_earlier(out)
        files: list[Path] = []
        for one in job.outputs:
            store.get_file(keys.job_output(job.group_id, job.id, one["path"]), out / one["path"])
            files.append(out / one["path"])
        stacks = list(job.stacks.select_related("reused_from__job", "job").order_by("index"))
        found = delivered(stacks)
        for stack in stacks:
            files += _fetch_stack(store, stack, found.get(stack.pk), out)
        for key, name in (
            (keys.certificate_text(job.group_id, job.id), "certificate.txt"),
            (keys.certificate(job.group_id, job.id), CERTIFICATE),
        ):
            with contextlib.suppress(NotFound):
                store.get_file(key, out / name)
    except OSError as cause:
        raise StorageFailed(f"The results can't be written to {out}: {cause.strerror}.") from cause
    except StorageFailed as cause:
        raise StorageFailed(f"The results can't be brought to {out}: {cause.message}") from cause
    figures = tuple(one for one in files if one.suffix in {".png", ".svg", ".pdf"})
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


def _remove_earlier(out: Path) -> None:
    """Take away what the certificate in `out` says an earlier job delivered there, and nothing else."""
    try:
        earlier = json.loads((out / CERTIFICATE).read_text(encoding="utf-8"))
        folders = [keys.relative(stack["folder"]) for stack in earlier["stacks"]]
        files = [keys.segment(one["path"]) for one in earlier.get("outputs", ())]
    except (OSError, ValueError, KeyError, TypeError, NeurocaasError):
        return
    for folder in folders:
        shutil.rmtree(out / folder, ignore_errors=True)
        for above in (out / folder).parents:
            if above == out or (above.is_dir() and any(above.iterdir())):
                break
            with contextlib.suppress(FileNotFoundError):
                above.rmdir()
    for file in files:
        (out / file).unlink(missing_ok=True)
    (out / "certificate.txt").unlink(missing_ok=True)
    (out / CERTIFICATE).unlink(missing_ok=True)
