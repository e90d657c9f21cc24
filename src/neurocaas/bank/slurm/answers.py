"""What Slurm's programs print, read: pure functions, which skip every line that is not as it should be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

SQUEUE_FORMAT = "%F|%K|%T|%N|%S|%e|%j|%r"
SACCT_FIELDS = "JobID,State,NodeList,JobName"
SINFO_FORMAT = "%R|%a|%c|%m|%G"

# The job names of this package's own: whatever else the user has in Slurm is none of our business.
NAME = re.compile(r"neurocaas-[0-9a-f]{16}")
WORD = re.compile(r"\w[\w.-]*")

Task = tuple[str, int]  # a batch's job name and the index in its array


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """One task as Slurm tells of it. id: what `scancel` wants. state, reason: in Slurm's words. ended_at: or when it is
    to end at the latest."""

    id: str
    state: str
    reason: str = ""
    node: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Nodes of one shape in a partition. gres: in Slurm's words, such as "gpu:a100:4"."""

    partition: str
    vcpus: int
    memory_mib: int
    gpus: int
    gpu: str


def read_squeue(said: str) -> Mapping[Task, TaskState]:
    """Tasks by batch and index, of `squeue --array --format SQUEUE_FORMAT`."""
    tasks = {}
    for line in said.splitlines():
        # The reason comes last, as it may be free text.
        fields = line.split("|", 7)
        if len(fields) < 8 or not NAME.fullmatch(fields[6]) or not _number(fields[1]):
            continue
        array, index, state, node, start, end, name, reason = fields
        tasks[name, int(index)] = TaskState(
            id=f"{array}_{index}",
            state=_word(state),
            reason="" if reason == "None" else reason.strip(),
            node=node,
            started_at=_moment(start),
            ended_at=_moment(end),
        )
    return tasks


def read_sacct(said: str) -> Mapping[Task, TaskState]:
    """The same of `sacct --allocations --parsable2 --format SACCT_FIELDS`."""
    tasks = {}
    for line in said.splitlines():
        fields = line.split("|", 3)
        if len(fields) < 4 or not NAME.fullmatch(fields[3]):
            continue
        id_, state, node, name = fields
        index = id_.partition("_")[2]
        if _number(index):
            tasks[name, int(index)] = TaskState(id=id_, state=_word(state), node=node)
    return tasks


def read_sinfo(said: str) -> tuple[Nodes, ...]:
    """Shapes of nodes in partitions that are up, of `sinfo --exact --format SINFO_FORMAT`."""
    shapes = []
    for line in said.splitlines():
        fields = line.split("|")
        if len(fields) != 5 or fields[1] != "up":
            continue
        partition, _, vcpus, memory_mib, gres = (one.rstrip("+") for one in fields)
        if WORD.fullmatch(partition) and _number(vcpus) and _number(memory_mib):
            gpus, gpu = _gpus(gres)
            shapes.append(Nodes(partition=partition, vcpus=int(vcpus), memory_mib=int(memory_mib), gpus=gpus, gpu=gpu))
    return tuple(shapes)


def _gpus(gres: str) -> tuple[int, str]:
    """How many GPUs, and their kind: "gpu:a100:4(S:0-1),tmpdisk:9" has 4 of a100."""
    gpus, kinds = 0, []
    for one in re.sub(r"\([^)]*\)", "", gres).split(","):
        kind, _, rest = one.strip().partition(":")
        model, _, count = rest.rpartition(":")
        if kind == "gpu" and _number(count):
            gpus += int(count)
            kinds.append(model if WORD.fullmatch(model) else "")
    return gpus, kinds[0] if len(set(kinds)) == 1 else ""


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _moment(seconds: str) -> datetime | None:
    """Slurm's clock has whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC) if _number(seconds) and len(seconds) < 12 else None


def _word(state: str) -> str:
    """The state alone: sacct says "CANCELLED by 0"."""
    return (state.split() or [""])[0].rstrip("+")
