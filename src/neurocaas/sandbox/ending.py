"""How a sandboxed command ended, whatever ran it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LAST_SIGNAL = 64


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a sandboxed command ended.

    exit_code: what the command gave, None if it was killed by `signal` or never ran. set_up: False when the sandbox
    could not be built, so that the command never ran. cpu_seconds: of what was this process' child, and all below.
    oom_killed: whether a container engine saw the kernel kill something for memory; a cage sees it for itself.
    """

    exit_code: int | None
    signal: int | None
    set_up: bool
    cpu_seconds: float
    oom_killed: bool = False


def ending_of(number: int, *, set_up: bool, cpu_seconds: float, oom_killed: bool = False) -> Ending:
    """An ending from an exit status as shells give it: 128 + signal; negative for a signal too."""
    # There are 64 signals, so 255 is an exit code again.
    signalled = -number if number < 0 else number - 128 if 128 < number <= 128 + LAST_SIGNAL else None
    return Ending(
        exit_code=number if signalled is None else None,
        signal=signalled,
        set_up=set_up,
        cpu_seconds=cpu_seconds,
        oom_killed=oom_killed,
    )


class Sandboxed(Protocol):
    """A running sandboxed command. `pidfd` becomes readable when it has ended; after `wait` all it started is gone."""

    pid: int
    pidfd: int

    def kill(self) -> None:
        """Kill the command and everything it started. Quiet if it has ended."""
        ...

    def wait(self) -> Ending:
        """Block until it has ended."""
        ...


def is_first_of_namespace(pid: int) -> bool:
    """Whether a process is the first of a pid namespace, whose death takes all others of it along."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return False
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"
