"""Follow a workflow to its end, asleep until something happens: move its output, beat the heart, stop it at limits."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import selectors
import signal
import time
from collections.abc import Callable
from types import FrameType

from neurocaas.errors import StorageFailed
from neurocaas.reasons import Reason
from neurocaas.runner.checkpointing import Checkpointing
from neurocaas.runner.document import AttemptDocument
from neurocaas.runner.lease import LeaseWatch
from neurocaas.runner.log import Log
from neurocaas.runner.report import Report
from neurocaas.runner.stopped import Stopped
from neurocaas.sandbox import Cage, Ending, Sandboxed, SpaceWatch, Usage

PIPE_BYTES = 1024 * 1024
FIRST_SEGMENT_SECONDS = 0.1
FIRST_SAMPLE_SECONDS = 0.25
LOCAL_QUIET_SECONDS = 1.0
REMOTE_QUIET_SECONDS = 10.0
BACK_OFF = 1.25
STORE_PATIENCE_SECONDS = 60.0
STORE_RETRY_SECONDS = 2.0


class Cancelling:
    """SIGTERM and SIGINT as a request to stop, which also wakes the loop through a pipe."""

    def __init__(self) -> None:
        self.requested = False
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what signal handlers get
        self.requested = True

    def fileno(self) -> int:
        return self._read

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def close(self) -> None:
        """Signals have their ordinary meaning again."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(self._read)
        os.close(self._write)


class Supervision:
    """What goes on beside the commands of one attempt: its checks, then its workflow."""

    def __init__(
        self,
        document: AttemptDocument,
        *,
        cage: Cage,
        log: Log,
        report: Report,
        space: SpaceWatch,
        lease: LeaseWatch,
        cancelling: Cancelling,
        local: bool,
    ) -> None:
        """local: the store is on this machine, so segments are cheap."""
        self._document = document
        self._cage = cage
        self._log = log
        self._report = report
        self._space = space
        self._lease = lease
        self._cancelling = cancelling
        self._quiet_seconds = LOCAL_QUIET_SECONDS
        self._heartbeat_seconds = document.heartbeat_seconds
        self._local = local
        self._checkpointing: Checkpointing | None = None
        now = time.monotonic()
        self.deadline = now + document.timeout_seconds
        self._next_heartbeat = now + document.heartbeat_seconds
        self._next_segment = now + FIRST_SEGMENT_SECONDS
        self._next_sample = now + min(cage.sampling_seconds, FIRST_SAMPLE_SECONDS)
        self._news = False
        self._store_failing_since = 0.0
        self._buffer = memoryview(mmap.mmap(-1, PIPE_BYTES))  # Takes memory only as far as it is ever filled.
        self.usage = Usage()

    def follow(
        self, process: Sandboxed, output: int, checkpointing: Checkpointing | None
    ) -> tuple[Ending, Stopped | None]:
        """Until the command and all that it started are gone. `output`: the reading end of its output's pipe.

        checkpointing: takes its checkpoints, if it may have any. Returns how it ended, and why it was killed if it was.
        """
        self._checkpointing = checkpointing
        stopped: Stopped | None = None
        try:
            stopped = self._attend(process, output)
        finally:
            process.kill()
            ending = process.wait()
        self._drain(output)
        self.usage = self._cage.usage()
        return ending, stopped

    def _attend(self, process: Sandboxed, output: int) -> Stopped | None:
        os.set_blocking(output, False)
        stopped: Stopped | None = None
        handlers: dict[int, Callable[[], object]] = {
            output: lambda: self._move_output(output),
            self._report.fileno(): self._take_report,
            self._cancelling.fileno(): self._cancelling.drain,
        }
        if self._checkpointing is not None:
            handlers[self._checkpointing.fileno()] = self._checkpointing.settle
        with selectors.DefaultSelector() as selector:
            for descriptor in (*handlers, process.pidfd):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if stopped is None:
                    try:
                        self._look_after()
                    except Stopped as stop:
                        stopped = stop
                        process.kill()
                for key, _ in selector.select(self._pause() if stopped is None else None):
                    if key.fd == process.pidfd:
                        return stopped
                    if handlers[key.fd]() is False:
                        selector.unregister(key.fd)

    def _pause(self) -> float:
        due = min(self.deadline, self._next_sample, self._space.next_look, self._lease.next_look, self._next_heartbeat)
        if self._log.pending or self._news:
            due = min(due, self._next_segment)
        return max(0.0, due - time.monotonic())

    def _look_after(self) -> None:
        """Everything that is due now. Raises Stopped when the workflow must not go on."""
        now = time.monotonic()
        if self._cancelling.requested:
            raise Stopped(Reason.CANCELLED, "The attempt was cancelled.")
        if now >= self.deadline:
            limit = _duration(self._document.timeout_seconds)
            raise Stopped(Reason.TIMED_OUT, f"The workflow was stopped at its time limit of {limit}.")
        if now >= self._next_sample:
            self.usage = self._cage.usage()
            self._next_sample = now + self._cage.sampling_seconds
            check_usage(self.usage, self._document)
        if now >= self._space.next_look and self._space.look(self._cage.members()):
            raise out_of_storage(self._document)
        if now >= self._lease.next_look:
            self._lease.look()
        if now >= self._next_heartbeat or ((self._log.pending or self._news) and now >= self._next_segment):
            self._segment(now)

    def _segment(self, now: float) -> None:
        """Store a segment. A store that fails is asked again for a minute, with the text kept."""
        self._next_segment = now + self._quiet_seconds
        self._next_heartbeat = now + self._heartbeat_seconds
        try:
            self._log.flush()
        except StorageFailed as cause:
            self._next_segment = self._next_heartbeat = now + STORE_RETRY_SECONDS
            self._store_failing_since = self._store_failing_since or now
            if now - self._store_failing_since > STORE_PATIENCE_SECONDS:
                raise Stopped(Reason.RESULTS_NOT_STORED, f"The log could not be stored: {cause.message}") from cause
        else:
            self._news = False
            self._store_failing_since = 0.0
            if not self._local:
                # Each segment is a request that costs money: the longer it runs, the less often.
                self._quiet_seconds = min(REMOTE_QUIET_SECONDS, self._quiet_seconds * BACK_OFF)
                self._heartbeat_seconds = max(self._heartbeat_seconds, self._quiet_seconds)

    def _move_output(self, output: int) -> bool:
        """Take one pipe full; False at the end of the output."""
        count = os.readv(output, [self._buffer])
        if not count:
            return False
        self._log.write(bytes(self._buffer[:count]))
        if self._log.full and not self._store_failing_since:
            self._next_segment = 0.0
        return True

    def _take_report(self) -> None:
        asked = self._report.checkpoints
        self._news |= self._report.read()
        if self._checkpointing is not None and self._report.checkpoints > asked:
            self._checkpointing.ask()

    def _drain(self, output: int) -> None:
        """All writers are gone, so what is left is all that comes."""
        self._report.read()
        with contextlib.suppress(BlockingIOError):
            while self._move_output(output):
                pass


def output_pipe() -> tuple[int, int]:
    """A pipe as wide as an ordinary user may make it: each turn of the loop then moves more."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


def check_usage(usage: Usage, document: AttemptDocument) -> None:
    """Raises Stopped when a limit of the cage was hit."""
    if usage.oom_killed:
        raise out_of_memory(document)
    if usage.too_many_processes:
        limit = document.resources.processes
        raise Stopped(
            Reason.TOO_MANY_PROCESSES,
            f"The workflow started more than the {limit:,} processes and threads it may have.",
        )


def out_of_memory(document: AttemptDocument) -> Stopped:
    limit = document.resources.memory_mib
    return Stopped(Reason.OUT_OF_MEMORY, f"The workflow needed more than its {limit:,} MiB of memory.")


def out_of_storage(document: AttemptDocument) -> Stopped:
    limit = document.resources.storage_mib
    return Stopped(Reason.OUT_OF_STORAGE, f"The workflow wrote more than its {limit:,} MiB of storage.")


def _duration(seconds: float) -> str:
    for unit, name in ((3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds:g} second{'s' if seconds != 1 else ''}"
