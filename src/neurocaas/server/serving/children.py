"""A supervised process: how it is started, that it dies with its supervisor, when it is started again."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from neurocaas.server.serving import notify, wiring

PR_SET_PDEATHSIG = 1
STEADY_SECONDS = 10.0
MANY_DEATHS = 5
FIRST_PAUSE_SECONDS = 0.1
PAUSE_GROWTH = 3

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(kw_only=True)
class Child:
    """One kind of process that is to run: its current instance, and how often that died soon after its start."""

    name: str
    start: Callable[[], Running]
    now: Running | None = None
    deaths: int = 0
    last_status: int = 0
    start_at: float = 0.0

    def died(self, at: float) -> None:
        """Note that the current instance has ended by itself, and when the next is due."""
        assert self.now is not None
        self.last_status = self.now.process.returncode
        self.deaths = 1 if at - self.now.started_at >= STEADY_SECONDS else self.deaths + 1
        self.start_at = at + FIRST_PAUSE_SECONDS * PAUSE_GROWTH ** (self.deaths - 1)
        self.now = None

    @property
    def hopeless(self) -> bool:
        return self.deaths >= MANY_DEATHS


@dataclass(kw_only=True)
class Running:
    """One instance. ready: the descriptor that tells when it answers, of a process that does."""

    process: subprocess.Popen[bytes]
    ready: int | None = None
    started_at: float = field(default_factory=time.monotonic)


def spawn(
    root: str, module: str, arguments: Sequence[str], *, inherited: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a module as a process that the kernel kills if this one dies, however it dies."""
    variables = {name: value for name, value in os.environ.items() if name != notify.VARIABLE}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=inherited,
        # Ctrl-C at the terminal is for the supervisor, which tells each of them.
        start_new_session=True,
        preexec_fn=_dies_with(os.getpid()),
        env=variables | {wiring.VARIABLE: root},
        cwd="/",
    )


def _dies_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
