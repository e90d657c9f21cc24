"""Limits on a sandboxed command: the interface of a cage, and the choice of the best kind this machine offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from neurocaas.sandbox.view import Limits


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a caged command and all its descendants use now and used so far."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    peak_memory_bytes: int = 0
    processes: int = 0
    oom_killed: bool = False
    too_many_processes: bool = False


class Cage(Protocol):
    """One command's cage. Everything the command starts stays in it."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words to put before the command line; mostly none."""
        ...

    @property
    def process_limit(self) -> int | None:
        """RLIMIT_NPROC to set inside, where the cage itself can't refuse a fork."""
        ...

    @property
    def sampling_seconds(self) -> float:
        """How often `usage` should be asked so that a limit is noticed in time."""
        ...

    @property
    def nest(self) -> str:
        """Below the root of each cgroup hierarchy, where a container engine may make its own; empty for nowhere."""
        ...

    def enter(self) -> None:
        """Move the calling process in. Called in the child between fork and exec."""
        ...

    def started(self, pid: int) -> None:
        """The parent says which process was started."""
        ...

    def usage(self) -> Usage:
        """Never raises: a command that is gone used what it used."""
        ...

    def members(self) -> list[int]:
        """Pids that are inside now."""
        ...

    def kill(self) -> None:
        """Kill all that is inside. Quiet if nothing is."""
        ...

    def remove(self) -> None:
        """Kill what is left and give the cage back. Quiet if it is already gone."""
        ...


class CageKind(Protocol):
    """One way to make cages."""

    @property
    def name(self) -> str: ...

    def works(self) -> bool:
        """Found out by trying."""
        ...

    def create(self, name: str, limits: Limits) -> Cage:
        """An empty cage. Raises Unavailable when the machine refuses it."""
        ...

    def describe(self) -> str:
        """One sentence for `neurocaas doctor` and the certificate."""
        ...

    def remove_stale(self) -> int:
        """Remove the empty cages of processes that were killed before they could; how many went."""
        ...
