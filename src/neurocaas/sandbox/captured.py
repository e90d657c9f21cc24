"""Run a sandboxed command to its end with its output captured: for builders and for protocol code."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
import uuid
from dataclasses import dataclass, replace

from neurocaas.reasons import Reason
from neurocaas.sandbox.cage import Cage, Usage
from neurocaas.sandbox.choice import choose_cage_for
from neurocaas.sandbox.ending import Ending, Sandboxed
from neurocaas.sandbox.engine import find_engine
from neurocaas.sandbox.starting import start
from neurocaas.sandbox.view import MIB, Limits, View

READ_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a captured command ended and what it printed.

    reason: NONE, or why it was stopped (TIMED_OUT, OUT_OF_MEMORY, TOO_MANY_PROCESSES, SANDBOX_FAILED).
    """

    exit_code: int | None
    signal: int | None
    reason: Reason
    stdout: bytes
    stderr: bytes
    usage: Usage

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and self.reason is Reason.NONE


def run(
    view: View,
    *,
    limits: Limits,
    timeout_seconds: float,
    stdin: bytes = b"",
    output_bytes: int = 16 * MIB,
    merge: bool = False,
) -> Finished:
    """Run `view.command` and wait for it.

    output_bytes: what is kept of each stream; the rest is read and dropped. merge: stderr goes where stdout goes.
    Raises Unavailable when bubblewrap is missing, Refused for an unsafe View.
    """
    engine = find_engine(view.engine) if view.image else None
    cage = choose_cage_for(engine).create(f"run-{uuid.uuid4().hex}", limits)
    with contextlib.ExitStack() as ends:
        ends.callback(cage.remove)
        given = os.memfd_create("stdin")
        ends.callback(os.close, given)
        os.write(given, stdin)
        os.lseek(given, 0, os.SEEK_SET)
        out, out_end = _Stream.open(output_bytes)
        ends.callback(os.close, out.descriptor)
        err, err_end = _Stream.open(output_bytes)
        ends.callback(os.close, err.descriptor)
        try:
            process = start(
                view, cage=cage, limits=limits, stdin=given, stdout=out_end, stderr=out_end if merge else err_end
            )
        finally:
            os.close(out_end)
            os.close(err_end)
        return _follow(process, cage, (out, err), time.monotonic() + timeout_seconds)


@dataclass(kw_only=True)
class _Stream:
    """The reading end of a pipe, and the first bytes that came through it."""

    descriptor: int
    limit_bytes: int
    kept: bytearray

    @classmethod
    def open(cls, limit_bytes: int) -> tuple[_Stream, int]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        return cls(descriptor=reading, limit_bytes=limit_bytes, kept=bytearray()), writing

    def read(self) -> bool:
        """Take what is there; False when nothing more will come, or nothing is there now."""
        try:
            data = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        self.kept += data[: self.limit_bytes - len(self.kept)]
        return bool(data)


def _follow(process: Sandboxed, cage: Cage, streams: tuple[_Stream, _Stream], deadline: float) -> Finished:
    try:
        reason = _attend(process, cage, streams, deadline)
    except BaseException:
        process.kill()
        process.wait()
        raise
    ending, usage = process.wait(), cage.usage()
    for stream in streams:
        while stream.read():
            pass
    return Finished(
        exit_code=ending.exit_code,
        signal=ending.signal,
        reason=reason or _exceeded(usage) or _reason_of(ending),
        stdout=bytes(streams[0].kept),
        stderr=bytes(streams[1].kept),
        usage=replace(usage, cpu_seconds=max(usage.cpu_seconds, ending.cpu_seconds)),
    )


def _reason_of(ending: Ending) -> Reason:
    if ending.oom_killed:
        return Reason.OUT_OF_MEMORY
    return Reason.NONE if ending.set_up else Reason.SANDBOX_FAILED


def _attend(process: Sandboxed, cage: Cage, streams: tuple[_Stream, _Stream], deadline: float) -> Reason:
    """Read what it prints until it is gone; why it had to be killed, or NONE."""
    reason = Reason.NONE
    with selectors.DefaultSelector() as selector:
        selector.register(process.pidfd, selectors.EVENT_READ)
        for stream in streams:
            selector.register(stream.descriptor, selectors.EVENT_READ, stream)
        next_sample = 0.0
        while True:
            now = time.monotonic()
            if reason is Reason.NONE and now >= min(next_sample, deadline):
                reason = Reason.TIMED_OUT if now >= deadline else _exceeded(cage.usage())
                next_sample = now + cage.sampling_seconds
                if reason is not Reason.NONE:
                    process.kill()
            for key, _ in selector.select(max(0.0, min(next_sample, deadline) - now) if not reason else None):
                if key.data is None:
                    return reason
                if not key.data.read():
                    selector.unregister(key.fd)


def _exceeded(usage: Usage) -> Reason:
    if usage.oom_killed:
        return Reason.OUT_OF_MEMORY
    return Reason.TOO_MANY_PROCESSES if usage.too_many_processes else Reason.NONE
