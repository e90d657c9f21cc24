"""Cages of cgroup v1: one folder in each of the memory, pids and cpuacct hierarchies."""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.errors import Unavailable
from neurocaas.sandbox.cage import CageKind, Usage
from neurocaas.sandbox.view import Limits

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids", "cpuacct")
SLICE = "neurocaas"


def read(folder: str, name: str) -> str:
    """A control file's text; empty when it is not there."""
    try:
        descriptor = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 65536).decode()
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def write(folder: str, name: str, value: int | str) -> None:
    descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def number(text: str) -> int:
    stripped = text.strip()
    return int(stripped) if stripped.isdigit() else 0


def counter(text: str, name: str) -> int:
    """The value of `name` in lines of "name value"."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return number(value)
    return 0


def tree(folder: str) -> list[str]:
    """A cgroup and those below it, which a container engine may have made; the lowest last."""
    found, pending = [], [folder]
    while pending:
        found += pending
        pending = [each.path for above in pending for each in _folders(above)]
    return found


def _folders(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def members(folder: str) -> list[int]:
    """Pids in the cgroup and in those below it."""
    return [int(pid) for each in tree(folder) for pid in read(each, "cgroup.procs").split()]


def remove_folder(folder: str, *, patience_seconds: float = 2.0) -> None:
    """Remove a cgroup, and those below, whose processes were killed; the last of them may take a moment to leave."""
    for each in reversed(tree(folder)):
        _remove(each, patience_seconds)


def _remove(folder: str, patience_seconds: float) -> None:
    give_up = time.monotonic() + patience_seconds
    pause = 0.001
    while True:
        try:
            Path(folder).rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > give_up:
                return
            time.sleep(pause)
            pause = min(0.05, pause * 2)


def owned(name: str) -> str:
    """The folder's name for a cage of this process, so that anyone can see later whether its owner still runs."""
    return f"{name}:{os.getpid()}-{_start_ticks(os.getpid())}"


def _runs(owner: str) -> bool:
    pid, _, ticks = owner.partition("-")
    return number(ticks) > 0 and _start_ticks(number(pid)) == number(ticks)


def _start_ticks(pid: int) -> int:
    """proc(5): field 22, when the process started; 0 if there is none."""
    fields = read(f"/proc/{pid}", "stat").rpartition(")")[2].split()
    return int(fields[19]) if fields else 0


def remove_orphans(parent: Path) -> int:
    """Remove the cgroups below `parent` that hold nothing and whose owner is gone; how many went."""
    removed = 0
    if not parent.is_dir():
        return 0
    for folder in parent.iterdir():
        _, _, owner = folder.name.rpartition(":")
        with contextlib.suppress(OSError):
            if folder.is_dir() and not _runs(owner):
                folder.rmdir()  # The kernel refuses while a process is inside.
                removed += 1
    return removed


def found_out_by_trying(kind: CageKind) -> bool:
    """Whether this machine lets us make a cage of this kind."""
    try:
        cage = kind.create(f"try-{os.getpid()}", Limits(memory_bytes=1 << 26, processes=8))
    except Unavailable:
        return False
    cage.remove()
    return True


@dataclass(frozen=True, kw_only=True)
class CgroupV1:
    """Folders of cgroup v1 that this user may write."""

    root: Path = ROOT
    name: str = "cgroup v1"

    def works(self) -> bool:
        return found_out_by_trying(self)

    def create(self, name: str, limits: Limits) -> CageV1:
        folders = {controller: f"{self.root}/{controller}/{SLICE}/{owned(name)}" for controller in CONTROLLERS}
        try:
            for folder in folders.values():
                _make(folder)
            if limits.memory_bytes is not None:
                write(folders["memory"], "memory.limit_in_bytes", limits.memory_bytes)
                with contextlib.suppress(OSError):  # Absent where the kernel does not account swap.
                    write(folders["memory"], "memory.memsw.limit_in_bytes", limits.memory_bytes)
            if limits.processes is not None:
                write(folders["pids"], "pids.max", limits.processes)
        except OSError as cause:
            raise Unavailable(f"cgroup v1: {cause.filename or self.root} refused: {cause.strerror}.") from cause
        return CageV1(folders=folders, root=str(self.root))

    def describe(self) -> str:
        return "cgroup v1 limits memory and processes in the kernel; storage is limited per file and watched."

    def remove_stale(self) -> int:
        # Not just in the hierarchies of our cages: a container engine that nests makes its cgroups in all.
        return max((remove_orphans(folder) for folder in self.root.glob(f"*/{SLICE}")), default=0)


def _make(folder: str) -> None:
    try:
        Path(folder).mkdir()
    except FileNotFoundError:
        Path(folder).parent.mkdir(exist_ok=True)
        Path(folder).mkdir()


@dataclass(kw_only=True)
class CageV1:
    """One command's folders, by controller."""

    folders: dict[str, str]
    root: str = str(ROOT)
    prefix: tuple[str, ...] = ()
    process_limit: int | None = None
    sampling_seconds: float = 1.0
    _last: Usage = field(default_factory=Usage)

    @property
    def nest(self) -> str:
        return f"/{SLICE}/{Path(self.folders['pids']).name}"

    def enter(self) -> None:
        for folder in self.folders.values():
            write(folder, "cgroup.procs", 0)

    def started(self, pid: int) -> None:
        """Nothing to note: the child entered by itself."""

    def usage(self) -> Usage:
        memory, pids = self.folders["memory"], self.folders["pids"]
        nanoseconds = number(read(self.folders["cpuacct"], "cpuacct.usage"))
        if not nanoseconds:
            return self._last
        self._last = Usage(
            cpu_seconds=nanoseconds / 1e9,
            memory_bytes=number(read(memory, "memory.usage_in_bytes")),
            peak_memory_bytes=number(read(memory, "memory.max_usage_in_bytes")),
            processes=number(read(pids, "pids.current")),
            # These two are counted where they happen, unlike the others.
            oom_killed=self._last.oom_killed
            or any(counter(read(each, "memory.oom_control"), "oom_kill") for each in tree(memory)),
            too_many_processes=self._last.too_many_processes
            or any(counter(read(each, "pids.events"), "max") for each in tree(pids)),
        )
        return self._last

    def members(self) -> list[int]:
        return members(self.folders["pids"])

    def kill(self) -> None:
        # A fork bomb may be one step ahead of a listing, so go on until nothing is left.
        for _ in range(100):
            inside = self.members()
            if not inside:
                return
            for pid in inside:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)

    def remove(self) -> None:
        self.kill()
        # A container engine that was told to nest makes its cgroups in every hierarchy, not just in these.
        for folder in dict.fromkeys((*self.folders.values(), *glob.glob(f"{self.root}/*{glob.escape(self.nest)}"))):  # noqa: PTH207
            remove_folder(folder)
