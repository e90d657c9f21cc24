"""Cages of cgroup v2, where this user may write: as root, or in a subtree that was delegated."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.errors import Unavailable
from neurocaas.sandbox.cage import Usage
from neurocaas.sandbox.cgroup_v1 import (
    ROOT,
    SLICE,
    counter,
    found_out_by_trying,
    members,
    number,
    owned,
    read,
    remove_folder,
    remove_orphans,
    tree,
    write,
)
from neurocaas.sandbox.view import Limits

NEEDED = ("memory", "pids")


def own_folder(pid: int | str = "self", *, root: Path = ROOT) -> Path | None:
    """The cgroup v2 folder of a process; None where the machine has none."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return root / line[3:].lstrip("/")
    return None


@dataclass(frozen=True, kw_only=True)
class CgroupV2:
    """A folder `neurocaas` at the root of the hierarchy, or in this process' own part of it."""

    root: Path = ROOT
    name: str = "cgroup v2"

    def works(self) -> bool:
        return found_out_by_trying(self)

    def create(self, name: str, limits: Limits) -> CageV2:
        try:
            folder = self._slice() / owned(name)
            folder.mkdir()
            apply(str(folder), limits)
        except OSError as cause:
            raise Unavailable(f"cgroup v2: {cause.filename or self.root} refused: {cause.strerror}.") from cause
        return CageV2(folder=str(folder), root=str(self.root))

    def _slice(self) -> Path:
        """The folder that holds our cages, with the controllers handed down to it. Raises OSError."""
        if not (self.root / "cgroup.controllers").exists():
            raise FileNotFoundError(2, "it is not there", str(self.root / "cgroup.controllers"))
        refused: OSError | None = None
        for parent in dict.fromkeys((self.root, own_folder(root=self.root) or self.root)):
            try:
                return self._slice_below(parent)
            except OSError as cause:
                refused = cause
        raise refused or FileNotFoundError(2, "it is not there", str(self.root))

    def _slice_below(self, parent: Path) -> Path:
        slice_ = parent / SLICE
        if not slice_.is_dir():
            slice_.mkdir()
        if not set(NEEDED) <= set(read(str(slice_), "cgroup.subtree_control").split()):
            if not set(NEEDED) <= set(read(str(parent), "cgroup.subtree_control").split()):
                write(str(parent), "cgroup.subtree_control", "+memory +pids")
            write(str(slice_), "cgroup.subtree_control", "+memory +pids")
        return slice_

    def describe(self) -> str:
        return "cgroup v2 limits memory and processes in the kernel; storage is limited per file and watched."

    def remove_stale(self) -> int:
        with contextlib.suppress(OSError):
            return remove_orphans(self._slice())
        return 0


def apply(folder: str, limits: Limits) -> None:
    """Write `limits` into a cgroup's control files. Raises OSError."""
    if limits.memory_bytes is not None:
        write(folder, "memory.max", limits.memory_bytes)
        with contextlib.suppress(OSError):  # Absent where the kernel has no swap.
            write(folder, "memory.swap.max", 0)
        with contextlib.suppress(OSError):  # All or nothing: half of a workflow must not go on. Linux 4.19.
            write(folder, "memory.oom.group", 1)
    if limits.processes is not None:
        write(folder, "pids.max", limits.processes)


@dataclass(kw_only=True)
class CageV2:
    """One command's folder."""

    folder: str
    root: str = str(ROOT)
    prefix: tuple[str, ...] = ()
    process_limit: int | None = None
    sampling_seconds: float = 1.0
    _last: Usage = field(default_factory=Usage)

    @property
    def nest(self) -> str:
        return self.folder.removeprefix(self.root)

    def enter(self) -> None:
        write(self.folder, "cgroup.procs", 0)

    def started(self, pid: int) -> None:
        """Nothing to note: the child entered by itself."""

    def usage(self) -> Usage:
        microseconds = counter(read(self.folder, "cpu.stat"), "usage_usec")
        if not microseconds:
            return self._last
        now = number(read(self.folder, "memory.current"))
        self._last = Usage(
            cpu_seconds=microseconds / 1e6,
            memory_bytes=now,
            # memory.peak came with Linux 5.19; before it the highest sample is the best there is.
            peak_memory_bytes=max(number(read(self.folder, "memory.peak")), now, self._last.peak_memory_bytes),
            processes=number(read(self.folder, "pids.current")),
            oom_killed=counter(read(self.folder, "memory.events"), "oom_kill") > 0,
            too_many_processes=self._last.too_many_processes
            or any(counter(read(each, "pids.events"), "max") for each in tree(self.folder)),
        )
        return self._last

    def members(self) -> list[int]:
        return members(self.folder)

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            write(self.folder, "cgroup.kill", 1)
            return
        for pid in self.members():
            with contextlib.suppress(OSError):
                os.kill(pid, 9)

    def remove(self) -> None:
        self.kill()
        remove_folder(self.folder)
