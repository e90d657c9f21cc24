"""The nursery: the warm parent that forks runners, and what becomes of them without it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocaas.runner.document import ExitRecord
from neurocaas.sandbox.watching import descendants
from neurocaas.storage import keys

if TYPE_CHECKING:
    from conftest import Bench


class Nursery:
    """The warm parent as the local provider starts it."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "neurocaas.runner.nursery", str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self.line.settimeout(30)

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.line.recv(65536))
        return message

    def request(self, document: Path) -> dict[str, Any]:
        self.line.send(str(document).encode())
        return self.message()


@contextmanager
def nursery() -> Iterator[Nursery]:
    started = Nursery()
    try:
        yield started
    finally:
        started.line.close()
        assert started.process.wait(30) == 0


def test_the_nursery_forks_runners_and_tells_their_end(own_bench: Bench) -> None:
    document = own_bench.document('echo x > "$NEUROCAAS_RESULTS/x"')
    own_bench.lease(document)
    with nursery() as warm:
        reply = warm.request(document)
        assert reply["path"] == str(document)
        assert warm.message() == {"gone": reply["pid"], "status": 0}
    record = ExitRecord.model_validate_json(own_bench.store.get(keys.exit_record(keys.attempt("lab", "job", 1, 1))))
    assert record.succeeded
    said = json.loads((document.parent / "runner.json").read_text())
    assert (said["pid"], said["start_ticks"]) == (reply["pid"], reply["start_ticks"])


def test_runners_live_on_when_the_manager_and_the_nursery_are_gone(own_bench: Bench) -> None:
    document = own_bench.document('sleep 1; echo x > "$NEUROCAAS_RESULTS/x"')
    own_bench.lease(document)
    with nursery() as warm:
        warm.request(document)
    key = keys.exit_record(keys.attempt("lab", "job", 1, 1))
    deadline = time.monotonic() + 30
    while own_bench.store.head(key) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ExitRecord.model_validate_json(own_bench.store.get(key)).succeeded


def test_the_cage_of_a_killed_runner_is_removed(own_bench: Bench) -> None:
    document = own_bench.document("sleep 84")
    own_bench.lease(document)
    with nursery() as warm:
        pid = warm.request(document)["pid"]
        deadline = time.monotonic() + 30
        while len(descendants(pid)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        assert warm.message() == {"gone": pid, "status": -9}
        while list(Path("/sys/fs/cgroup").glob(f"**/neurocaas/*:{pid}-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_document_that_is_none_ends_its_runner_and_not_the_nursery(own_bench: Bench) -> None:
    wrong = own_bench.file("wrong.json", "{}")
    with nursery() as warm:
        reply = warm.request(wrong)
        assert warm.message() == {"gone": reply["pid"], "status": 2}
        assert warm.request(wrong)["pid"] != reply["pid"]
        assert "gone" in warm.message()
