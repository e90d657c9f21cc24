"""Cages without cgroups: /proc is sampled, and what goes over a limit is killed.

Weaker than the kernel's own limits, and `describe` says so: between two samples a command can go over its memory
limit, and memory it holds in files without a name (memfd) counts only once mapped. Forks are refused by the kernel
itself (RLIMIT_NPROC, set inside the sandbox). The command is also the first that a machine out of memory kills.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.sandbox.cage import Usage
from neurocaas.sandbox.view import Limits

FIRST_TO_DIE = 900
INIT_PROCESSES = 1  # bubblewrap's own first process inside counts against RLIMIT_NPROC too.
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
KIB = 1024


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Works everywhere."""

    name: str = "watching"

    def works(self) -> bool:
        return True

    def create(self, name: str, limits: Limits) -> WatchingCage:  # noqa: ARG002 - nothing on the machine bears the name
        return WatchingCage(limits=limits)

    def describe(self) -> str:
        return (
            "No cgroup may be written here: the kernel refuses forks over the limit, "
            "but memory and storage are watched, which is slower to stop a workflow that goes over."
        )

    def remove_stale(self) -> int:
        return 0  # Nothing outlives the command.


@dataclass(kw_only=True)
class WatchingCage:
    """One command, seen through /proc from its first process down."""

    limits: Limits
    prefix: tuple[str, ...] = ()
    nest: str = ""
    sampling_seconds: float = 0.1
    _pid: int = 0
    _last: Usage = field(default_factory=Usage)

    @property
    def process_limit(self) -> int | None:
        return None if self.limits.processes is None else self.limits.processes + INIT_PROCESSES

    def enter(self) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(descriptor, str(FIRST_TO_DIE).encode())
            os.close(descriptor)

    def started(self, pid: int) -> None:
        self._pid = pid

    def members(self) -> list[int]:
        return descendants(self._pid) if self._pid else []

    def usage(self) -> Usage:
        inside = self.members()
        if not inside:
            return self._last
        samples = [sample for pid in inside if (sample := _sample(pid)) is not None]
        memory = sum(sample.memory_bytes for sample in samples) + _shared_memory(inside)
        if self.limits.memory_bytes is not None and memory > self.limits.memory_bytes:
            # Pages that several processes share were counted for each of them; the exact sum is dearer.
            memory = _exact_memory(inside)
        tasks = sum(sample.threads for sample in samples)
        over = self.limits.memory_bytes is not None and memory > self.limits.memory_bytes
        full = self.limits.processes is not None and tasks >= self.limits.processes + INIT_PROCESSES
        self._last = Usage(
            cpu_seconds=max(self._last.cpu_seconds, sum(sample.cpu_seconds for sample in samples)),
            memory_bytes=memory,
            peak_memory_bytes=max(memory, self._last.peak_memory_bytes),
            processes=tasks,
            oom_killed=self._last.oom_killed or over,
            too_many_processes=self._last.too_many_processes or full,
        )
        self._pace()
        return self._last

    def _pace(self) -> None:
        """Look closely only at what is near its limit: memory fills at a few GB a second."""
        limit = self.limits.memory_bytes or 0
        near = limit and self._last.memory_bytes > limit // 4
        self.sampling_seconds = 0.05 if near else min(0.25, self.sampling_seconds * 1.5)

    def kill(self) -> None:
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        self.kill()
        self._pid = 0


@dataclass(frozen=True, slots=True)
class _Sample:
    memory_bytes: int
    cpu_seconds: float
    threads: int


def _text(path: str) -> str:
    try:
        with Path(path).open("rb", buffering=0) as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """The living children of a process, whichever of its threads started them."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, _text(f"{thread}/children").split())
    return found


def descendants(pid: int) -> list[int]:
    """All processes below `pid`. Inside a pid namespace orphans go to its first process, so none gets away."""
    found: list[int] = []
    pending = children(pid)
    while pending:
        found += pending
        pending = [grandchild for child in pending for grandchild in children(child)]
    return found


def _sample(pid: int) -> _Sample | None:
    """Anonymous and shared memory of a process: file pages can be dropped by the kernel at any time, so don't count."""
    fields = _kib_fields(_text(f"/proc/{pid}/status"))
    after_name = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not after_name:
        return None
    # proc(5): fields 14 to 17 are utime, stime, cutime, cstime; 20 is num_threads; 3 is the first after the name.
    ticks = sum(int(value) for value in after_name[11:15])
    return _Sample(
        (fields.get("RssAnon", 0) + fields.get("RssShmem", 0)) * KIB, ticks / TICKS_PER_SECOND, int(after_name[17])
    )


def _kib_fields(text: str) -> dict[str, int]:
    """The fields of /proc's "Name:   123 kB" lines, in KiB."""
    fields = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            fields[name] = int(value[:-3])
    return fields


def _shared_memory(inside: list[int]) -> int:
    """Bytes in the sandbox's /dev/shm, mapped or not."""
    for pid in reversed(inside):
        with contextlib.suppress(OSError):
            space = os.statvfs(f"/proc/{pid}/root/dev/shm")
            return (space.f_blocks - space.f_bfree) * space.f_frsize
    return 0


def _exact_memory(inside: list[int]) -> int:
    """Each page counted once: proportional set sizes, and what lies in /dev/shm beyond what is mapped."""
    anonymous = shared = 0
    for pid in inside:
        fields = _kib_fields(_text(f"/proc/{pid}/smaps_rollup"))
        anonymous += fields.get("Pss_Anon", fields.get("Pss", 0)) * KIB
        shared += fields.get("Pss_Shmem", 0) * KIB
    return anonymous + max(shared, _shared_memory(inside))
