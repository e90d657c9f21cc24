"""Start a command in bubblewrap and its cage, see it end, and get rid of it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from neurocaas.errors import Unavailable
from neurocaas.sandbox import bubblewrap, seccomp
from neurocaas.sandbox.cage import Cage
from neurocaas.sandbox.ending import Ending, ending_of, is_first_of_namespace
from neurocaas.sandbox.view import Limits, View

PR_SET_PDEATHSIG = 1
PATIENCE_SECONDS = 10.0
MOST_DESCRIPTORS = 2**31 - 1
FOR_SYSTEMD = ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
_libc = ctypes.CDLL(None, use_errno=True)


class Bubblewrapped:
    """A running sandboxed command. `pidfd` becomes readable when it has ended; after `wait` all it started is gone."""

    def __init__(self, *, pid: int, status: int, cage: Cage) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._status_descriptor = status
        self._status = b""
        self._cage = cage
        self._killed = False
        self._ending: Ending | None = None

    def kill(self) -> None:
        """Kill the command and everything it started. Quiet if it has ended."""
        if self._ending is not None:
            return
        self._killed = True
        first_inside = self._read_status("child-pid")
        if first_inside is None:
            self._cage.kill()
        with contextlib.suppress(ProcessLookupError):
            # The death of a pid namespace's first process takes all the others along, and bubblewrap outside sees
            # it only when they are gone. Killing bubblewrap instead would leave them a moment to write.
            os.kill(first_inside or self.pid, signal.SIGKILL)

    def wait(self) -> Ending:
        """Block until it has ended."""
        if self._ending is None:
            self._ending = self._reap()
            os.close(self.pidfd)
            os.close(self._status_descriptor)
        return self._ending

    def _reap(self) -> Ending:
        _, status, used = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        given = self._read_status("exit-code")
        ran = given is not None or (self._killed and self._read_status("child-pid") is not None)
        self._end_namespace()
        if code < 0 or self._killed:
            # Only the kernel (out of memory) or somebody outside kills bubblewrap itself; leave nobody behind.
            self._cage.kill()
        number = given if given is not None else code
        return ending_of(number, set_up=ran or code < 0, cpu_seconds=used.ru_utime + used.ru_stime)

    def _end_namespace(self) -> None:
        """Wait for the first process inside: bubblewrap ends with the command, a moment before the background does."""
        first_inside = self._read_status("child-pid")
        try:
            descriptor = os.pidfd_open(first_inside or 0)
        except (OSError, ValueError):
            return
        try:
            # By now the number may be another process', which is not the first of a namespace.
            if is_first_of_namespace(first_inside or 0):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                select.select([descriptor], [], [], PATIENCE_SECONDS)
        except ProcessLookupError:
            return
        finally:
            os.close(descriptor)

    def _read_status(self, name: str) -> int | None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._status_descriptor, 4096):
                self._status += data
        for line in self._status.splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line).get(name)
                if isinstance(value, int):
                    return value
        return None


def start(
    view: View,
    *,
    cage: Cage,
    limits: Limits,
    stdin: int,
    stdout: int,
    stderr: int,
    identity: bubblewrap.Identity | None = None,
) -> Bubblewrapped:
    """Start `view.command`. It dies with the calling thread's process, whatever kills that.

    stdin, stdout, stderr: file descriptors of this process; the caller closes its own copies.
    Raises Unavailable when bubblewrap is missing or the process can't be made, Refused for an unsafe View.
    """
    passed: list[int] = []

    def descriptor(content: bytes) -> int:
        number = os.memfd_create("sandbox")
        os.write(number, content)
        os.lseek(number, 0, os.SEEK_SET)
        passed.append(number)
        return number

    status_read, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    passed.append(status_write)
    try:
        words = bubblewrap.arguments(
            view,
            identity=identity or bubblewrap.identity_of_this_process(),
            limits=limits,
            process_limit=cage.process_limit,
            descriptor=descriptor,
        )
        options = ["--json-status-fd", str(status_write)]
        if (code := seccomp.program()) is not None:
            options += ["--seccomp", str(descriptor(code))]
        command = [*cage.prefix, words[0], *options, *words[1:]]
        kept = {name: os.environ[name] for name in FOR_SYSTEMD if cage.prefix and name in os.environ}
        pid = _fork(partial(_become, command, kept, (stdin, stdout, stderr), passed, _prepare(cage, limits)))
    except BaseException:
        os.close(status_read)
        raise
    finally:
        for number in passed:
            os.close(number)
    cage.started(pid)
    return Bubblewrapped(pid=pid, status=status_read, cage=cage)


def _prepare(cage: Cage, limits: Limits) -> Callable[[], None]:
    """What the child does to itself before it becomes the command."""
    parent = os.getpid()

    def prepare() -> None:
        cage.enter()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if limits.file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
        # bubblewrap asks for this too, but only after it has started.
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _fork(become: Callable[[], NoReturn]) -> int:
    try:
        pid = os.fork()
    except OSError as cause:
        raise Unavailable(f"The machine could not start another process: {cause.strerror}.") from cause
    if pid == 0:
        become()
    return pid


def _become(
    command: Sequence[str],
    environment: dict[str, str],
    streams: tuple[int, int, int],
    passed: Sequence[int],
    prepare: Callable[[], None],
) -> NoReturn:
    """The child's part; it must not return into the parent's code."""
    try:
        prepare()
        # Copies above 2 first, so that moving one stream can't overwrite another.
        copies = [fcntl.fcntl(stream, fcntl.F_DUPFD_CLOEXEC, 3) for stream in streams]
        for number, copy in enumerate(copies):
            os.dup2(copy, number)
        # Whoever started the platform may have left files open that are inherited.
        first = 3
        for number in sorted(passed):
            os.closerange(first, number)
            first = number + 1
        os.closerange(first, MOST_DESCRIPTORS)
        for number in passed:
            os.set_inheritable(number, True)
            os.set_blocking(number, True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # Inside, /proc/1/environ is bubblewrap's own: the platform's secrets must not be in it.
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - a shell is the last thing wanted
    except BaseException as cause:  # noqa: BLE001 - nothing of the parent may run on in this process
        os.write(2, f"The sandbox could not be started: {cause}\n".encode(errors="replace"))
    finally:
        os._exit(1)
