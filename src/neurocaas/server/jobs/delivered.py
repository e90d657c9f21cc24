"""What stacks delivered, and how it becomes the input of the stacks after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol, TypeVar

from neurocaas.errors import Refused
from neurocaas.protocol import DataRef, Part
from neurocaas.runner.collection import matcher
from neurocaas.server.jobs.models import Attempt, Stack
from neurocaas.server.jobs.status import Status
from neurocaas.storage import folder_digest, keys

AT_ONCE = 500  # a database bounds the parameters of one query
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What one stack delivered. results: the key prefix of its files; record: how the attempt that wrote them ended."""

    index: int
    label: str
    results: str
    record: dict[str, Any]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """path, size_bytes and sha256 of each file."""
        outputs: list[dict[str, Any]] = self.record["outputs"]
        return outputs


class Taken(Protocol):
    """An input that other stacks wrote, as the plan or the database has it."""

    @property
    def name(self) -> str: ...
    @property
    def form(self) -> str: ...
    @property
    def output(self) -> str: ...
    @property
    def pattern(self) -> str: ...


def delivered(stacks: Collection[Stack]) -> dict[int, Delivered]:
    """What each of these stacks delivered, by its key in the database; stacks that delivered nothing are left out."""
    found: dict[int, Delivered] = {}
    origins = {stack.origin.pk for stack in stacks if stack.status == Status.SUCCEEDED}
    attempts: dict[int, Attempt] = {}
    for some in chunks(sorted(origins)):
        published = Attempt.objects.filter(
            stack_id__in=some, status=Status.SUCCEEDED, stack__job__deleted_at=None
        ).select_related("stack__job")
        attempts |= {one.stack_id: one for one in published}
    for stack in stacks:
        attempt = attempts.get(stack.origin.pk)
        if stack.status == Status.SUCCEEDED and attempt is not None:
            origin = attempt.stack
            prefix = keys.attempt(origin.job.group_id, origin.job_id, origin.index, attempt.number)
            found[stack.pk] = Delivered(
                index=stack.index, label=stack.label, results=keys.results(prefix), record=attempt.exit_record or {}
            )
    return found


def data_ref(taken: Taken, sources: Sequence[Delivered]) -> DataRef:
    """The input that these stacks wrote: a file, or a folder with a folder for each if there are several.

    Raises Refused if a file is wanted and not exactly one was written.
    """
    pattern = matcher(taken.pattern)
    written = [(source, [one for one in source.outputs if pattern.fullmatch(one["path"])]) for source in sources]
    stacks = tuple(source.index for source in sources)
    if taken.form == "folder":
        return _folder(taken, written, stacks)
    (source, files), *_ = written
    if len(files) != 1:
        raise Refused(f"input {taken.name}: {taken.output} consists of {len(files)} files; exactly one is right.")
    return DataRef(
        name=taken.name,
        form="file",
        filename=PurePosixPath(files[0]["path"]).name,
        key=f"{source.results}/{files[0]['path']}",
        sha256=files[0]["sha256"],
        size_bytes=files[0]["size_bytes"],
        from_stacks=stacks,
    )


def _folder(
    taken: Taken, written: Sequence[tuple[Delivered, list[dict[str, Any]]]], stacks: tuple[int, ...]
) -> DataRef:
    names = _names([source for source, _ in written])
    parts = tuple(
        Part(
            path=f"{name}/{one['path']}" if len(written) > 1 else one["path"],
            key=f"{source.results}/{one['path']}",
            sha256=one["sha256"],
            size_bytes=one["size_bytes"],
        )
        for name, (source, files) in zip(names, written, strict=True)
        for one in files
    )
    if not parts:
        raise Refused(f"input {taken.name}: {taken.output} consists of no file; at least one is right.")
    digest = folder_digest((one.path, one.sha256, one.size_bytes) for one in parts)
    return DataRef(
        name=taken.name,
        form="folder",
        filename=taken.name,
        parts=parts,
        sha256=digest.sha256,
        size_bytes=digest.size_bytes,
        from_stacks=stacks,
    )


def _names(sources: Sequence[Delivered]) -> list[str]:
    """A folder's name for each stack: the last part of its label where that tells them apart."""
    names = [one.label.rpartition("/")[2].replace("\0", "_") for one in sources]
    count = Counter(names)
    return [
        name if name and count[name] == 1 else f"stack-{one.index}" for name, one in zip(names, sources, strict=True)
    ]


def chunks(ones: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at once as one query may have parameters."""
    for start in range(0, len(ones), AT_ONCE):
        yield ones[start : start + AT_ONCE]


def size_bytes(inputs: Iterable[DataRef]) -> int:
    return sum(one.size_bytes for one in inputs)
