"""Cages made by the user's systemd: a transient scope per command, for an ordinary user on a systemd machine.

systemd is the only writer of its cgroup tree, so it is asked through `systemd-run --user --scope`, which moves itself
into a new scope and then becomes the command: same pid, same parent. The command line is tested; it has not been run
against a live user manager on the machine this was written on, which has none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field

from neurocaas.sandbox.cage import Usage
from neurocaas.sandbox.cgroup_v2 import CageV2, own_folder
from neurocaas.sandbox.view import Limits

TRY_SECONDS = 5.0


def scope_command(name: str, limits: Limits) -> tuple[str, ...]:
    """The words that put a command into a scope of its own with these limits."""
    words = ["systemd-run", "--user", "--scope", "--quiet", "--collect", f"--unit=neurocaas-{name}"]
    if limits.memory_bytes is not None:
        words += ["-p", f"MemoryMax={limits.memory_bytes}", "-p", "MemorySwapMax=0", "-p", "OOMPolicy=kill"]
    if limits.processes is not None:
        words += ["-p", f"TasksMax={limits.processes}"]
    return (*words, "--")


@dataclass(frozen=True, kw_only=True)
class SystemdScope:
    """Scopes of the user manager that runs for this user."""

    name: str = "systemd user scope"

    def works(self) -> bool:
        if shutil.which("systemd-run") is None or "XDG_RUNTIME_DIR" not in os.environ:
            return False
        command = [*scope_command(f"try-{os.getpid()}", Limits(memory_bytes=1 << 26, processes=8)), "true"]
        try:
            return subprocess.run(command, capture_output=True, timeout=TRY_SECONDS, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def create(self, name: str, limits: Limits) -> ScopeCage:
        return ScopeCage(prefix=scope_command(name, limits))

    def describe(self) -> str:
        return (
            "A systemd user scope limits memory and processes in the kernel; storage is limited per file and watched."
        )

    def remove_stale(self) -> int:
        return 0  # systemd removes empty scopes by itself.


@dataclass(kw_only=True)
class ScopeCage:
    """One command's scope. Its folder is known once systemd has moved the command there."""

    prefix: tuple[str, ...]
    process_limit: int | None = None
    nest: str = ""
    sampling_seconds: float = 1.0
    _pid: int = 0
    _inner: CageV2 | None = None
    _last: Usage = field(default_factory=Usage)

    def enter(self) -> None:
        """Nothing to do in the child: systemd-run moves itself."""

    def started(self, pid: int) -> None:
        self._pid = pid

    def _cage(self) -> CageV2 | None:
        if self._inner is None and (folder := own_folder(self._pid)) and folder.name.startswith("neurocaas-"):
            self._inner = CageV2(folder=str(folder))
        return self._inner

    def usage(self) -> Usage:
        if cage := self._cage():
            self._last = cage.usage()
        return self._last

    def members(self) -> list[int]:
        cage = self._cage()
        return cage.members() if cage else []

    def kill(self) -> None:
        if cage := self._cage():
            cage.kill()

    def remove(self) -> None:
        self.kill()
