"""Real sandboxes, for a moment each."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from neurocaas.reasons import Reason
from neurocaas.sandbox import MIB, Finished, Limits, Mount, View, probe, run, start
from neurocaas.sandbox.watching import Watching

LIMITS = Limits(memory_bytes=128 * MIB, processes=32)
UID = 60002 if os.geteuid() == 0 else None


def shell(script: str, *, stdin: bytes = b"", timeout_seconds: float = 30, output_bytes: int = MIB) -> Finished:
    view = View(command=("/bin/sh", "-c", script), host_uid=UID, variables={"PATH": "/usr/bin:/bin"})
    return run(view, limits=LIMITS, timeout_seconds=timeout_seconds, stdin=stdin, output_bytes=output_bytes)


def test_streams_and_the_exit_code_come_back() -> None:
    finished = shell("cat; echo error >&2; exit 3", stdin=b"given")
    assert (finished.stdout, finished.stderr, finished.exit_code) == (b"given", b"error\n", 3)
    assert finished.reason is Reason.NONE
    assert not finished.succeeded


def test_output_beyond_its_limit_is_read_and_dropped() -> None:
    finished = shell("head -c 3000000 /dev/zero; echo end", output_bytes=1000)
    assert finished.succeeded
    assert finished.stdout == bytes(1000)


def test_the_time_limit_kills() -> None:
    finished = shell("sleep 60", timeout_seconds=0.1)
    assert finished.reason is Reason.TIMED_OUT
    assert finished.exit_code is None


@pytest.mark.parametrize(("code", "exit_code", "signal"), [(255, 255, None), (128, 128, None), (139, None, 11)])
def test_only_codes_of_signals_are_signals(code: int, exit_code: int | None, signal: int | None) -> None:
    finished = shell(f"exit {code}")
    assert (finished.exit_code, finished.signal) == (exit_code, signal)


def test_a_sandbox_that_cannot_be_made_is_told_apart() -> None:
    view = View(command=("/bin/true",), host_uid=UID, mounts=(Mount(source=Path("/nonexistent"), target="/data"),))
    finished = run(view, limits=LIMITS, timeout_seconds=30)
    assert finished.reason is Reason.SANDBOX_FAILED
    assert b"/nonexistent" in finished.stderr


def test_no_descriptor_of_the_platform_gets_inside(tmp_path: Path) -> None:
    secret = os.open(tmp_path / "secret", os.O_RDWR | os.O_CREAT)
    finished = shell("ls /proc/self/fd")
    os.close(secret)
    assert finished.stdout.split() == [b"0", b"1", b"2", b"3"]  # The fourth is the folder that ls reads.


def test_nothing_is_left_after_wait_even_without_a_cgroup() -> None:
    view = View(command=("/bin/bash", "-c", "for i in $(seq 30); do setsid sleep 97.125 & done; exit 0"), host_uid=UID)
    limits = Limits(memory_bytes=128 * MIB, processes=200)
    nothing = os.open(os.devnull, os.O_RDWR)
    for _ in range(5):
        cage = Watching().create("background", limits)
        process = start(view, cage=cage, limits=limits, stdin=nothing, stdout=nothing, stderr=nothing)
        assert process.wait().exit_code == 0
        assert not running(b"97.125")
    os.close(nothing)


def running(word: bytes) -> list[str]:
    """Processes of this machine with `word` on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word in entry.read_bytes().split(b"\0"):
                found.append(entry.parent.name)
    return found


def test_this_machine_can_make_sandboxes() -> None:
    found = probe()
    assert found.works, f"{found.problem} {found.remedy}"
    assert found.limits
    assert found.cage
