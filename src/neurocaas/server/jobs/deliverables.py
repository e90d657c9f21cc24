"""The files that a job gives to people, one by one, by their paths in the folder that `results.fetch` makes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from neurocaas.errors import NotFound
from neurocaas.server.jobs import results
from neurocaas.server.jobs.delivered import Delivered, chunks, delivered
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.server.jobs.status import ENDED
from neurocaas.storage import Store, delivery, keys


@dataclass(frozen=True, kw_only=True)
class Deliverable:
    """One file. key: where it lies in the store; "" for a log, which is put together from what attempts wrote.

    size_bytes, sha256: None where nobody knows before it is read. stack: whose log it is.
    """

    path: str
    key: str = ""
    size_bytes: int | None = None
    sha256: str | None = None
    stack: Stack | None = None
    attempts: tuple[int, ...] = ()

    def blocks(self, store: Store) -> Iterator[bytes]:
        """The contents; asks the store alone, no database, so that any thread may read it."""
        if self.stack is None:
            yield from store.blocks(self.key)
        else:
            for text in results.written(store, self.stack, self.attempts):
                yield text.encode()


def deliverables(store: Store, job: Job, stacks: Collection[Stack] | None = None) -> list[Deliverable]:
    """Every file that there is by now; of these stacks alone if they are given. Two queries, however many stacks."""
    chosen = list(job_stacks(job)) if stacks is None else list(stacks)
    found, numbers = delivered(chosen), attempts_made(chosen)
    files = [] if stacks is not None else list(of_the_job(store, job))
    for one in chosen:
        mine = found.get(one.pk)
        if mine is None and not one.attempts_made:
            continue
        if mine is not None:
            files += (_result(one, mine, output) for output in mine.outputs)
        files.append(Deliverable(path=f"{one.folder}/{delivery.LOG}", stack=one, attempts=numbers[one.origin.pk]))
    return files


def find_deliverable(store: Store, job: Job, path: str) -> Deliverable:
    """The one with this path. Raises NotFound."""
    folder = path.rpartition("/")[0]
    above = [folder[:end] for end in (*(at for at, letter in enumerate(folder) if letter == "/"), len(folder))]
    owners = job_stacks(job).filter(folder__in=above)
    candidates = deliverables(store, job, list(owners)) if folder else of_the_job(store, job)
    for one in candidates:
        if one.path == path:
            return one
    raise NotFound(f"There is no file {path[:200]!r} among those of job {job.id}.")


def job_stacks(job: Job) -> QuerySet[Stack]:
    """The job's stacks, with all that their files need."""
    return job.stacks.select_related("reused_from__job", "job").order_by("index")


def attempts_made(stacks: Collection[Stack]) -> dict[int, tuple[int, ...]]:
    """The numbers of the attempts behind each of these stacks' results, by the key of the stack that ran."""
    numbers: dict[int, tuple[int, ...]] = defaultdict(tuple)
    for some in chunks(sorted({one.origin.pk for one in stacks})):
        rows = Attempt.objects.filter(stack_id__in=some).order_by("number").values_list("stack_id", "number")
        for stack, number in rows:
            numbers[stack] += (number,)
    return numbers


def _result(stack: Stack, found: Delivered, output: dict[str, Any]) -> Deliverable:
    return Deliverable(
        path=f"{stack.folder}/{output['path']}",
        key=f"{found.results}/{output['path']}",
        size_bytes=output["size_bytes"],
        sha256=output["sha256"],
    )


def of_the_job(store: Store, job: Job) -> Iterator[Deliverable]:
    """The files of the job as a whole, and its certificate once it has ended."""
    for one in job.outputs:
        yield Deliverable(
            path=one["path"],
            key=keys.job_output(job.group_id, job.id, one["path"]),
            size_bytes=one["size_bytes"],
            sha256=one["sha256"],
        )
    if job.status in ENDED:
        certificates = {
            delivery.CERTIFICATE: keys.certificate(job.group_id, job.id),
            delivery.CERTIFICATE_TEXT: keys.certificate_text(job.group_id, job.id),
        }
        for path, key in certificates.items():
            if (entry := store.head(key)) is not None:
                yield Deliverable(path=path, key=key, size_bytes=entry.size_bytes)
