"""Attempts performed by the real runner, started by root and by an ordinary user."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neurocaas.runner.attempt import sandbox_record
from neurocaas.runner.document import AttemptDocument, ExitRecord
from neurocaas.runner.runner import main
from neurocaas.sandbox import choose_cage
from neurocaas.sandbox.watching import descendants
from neurocaas.storage import FileDigest, Store, digest_file, fingerprint, keys, open_store
from support.far import far

__all__ = ["far"]

ROOT, ORDINARY_USER = "started by root", "started by an ordinary user"
NOBODY = 65534
WORKFLOW_UID = 60001
PR_SET_DUMPABLE = 4
PATIENCE_SECONDS = 60.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests measured, also of those that passed."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [value for report in reports for name, value in report.user_properties if name == "figures"]
    if figures:
        terminalreporter.section("figures")
    for line in figures:
        terminalreporter.line(str(line))


@dataclass
class Running:
    """An attempt on its way."""

    pid: int
    document: AttemptDocument
    store: Store

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit status of the runner's process."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        self.signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"The runner did not end in {seconds} s. Its log: {self.log()}")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def record(self) -> ExitRecord:
        return ExitRecord.model_validate_json(self.store.get(keys.exit_record(self.document.prefix)))

    def segments(self) -> list[dict[str, Any]]:
        entries = self.store.list(keys.log(self.document.prefix))
        return [json.loads(self.store.get(entry.key)) for entry in entries]

    def log(self) -> str:
        return "".join(segment["text"] for segment in self.segments())

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < deadline, f"It did not happen. The log: {self.log()}"
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """All that runs below the runner now."""
        return descendants(self.pid)


class Bench:
    """A store and a work folder that belong to who starts the platform."""

    def __init__(self, folder: Path, who: str) -> None:
        self.folder = folder
        self.who = who
        self.user = NOBODY if who == ORDINARY_USER and os.geteuid() == 0 else None
        self.store = open_store((folder / "store").as_uri())
        self._count = 0
        self.own(folder)

    def own(self, path: Path) -> Path:
        """Give a file or folder to who starts the platform."""
        if self.user is not None:
            os.chown(path, self.user, self.user)
        return path

    def file(self, name: str, content: str | bytes = "") -> Path:
        path = self.folder / name
        for parent in reversed(path.relative_to(self.folder).parents[:-1]):
            (self.folder / parent).mkdir(exist_ok=True)
            self.own(self.folder / parent)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.own(path)

    def input(self, name: str, path: Path, **changes: object) -> dict[str, object]:
        digest = digest_file(path) if path.is_file() else FileDigest(sha256="0" * 64, size_bytes=0)
        return {
            "name": name,
            "form": "file" if path.is_file() else "folder",
            "filename": path.name,
            "path": str(path),
            "sha256": digest.sha256,
            "size_bytes": digest.size_bytes,
            "fingerprint": fingerprint(path),
            **changes,
        }

    def document(self, script: str, **changes: Any) -> Path:
        """An attempt document for a workflow in bash. `changes`: fields of the document, "resources" by parts."""
        self._count += 1
        files = self.file(f"version-{self._count}/workflow.sh", script).parent
        work = self.folder / f"work-{self._count}"
        work.mkdir(mode=0o700)
        self.own(work)
        resources = {"vcpus": 1, "memory_mib": 256, "storage_mib": 64, "processes": 64, **changes.pop("resources", {})}
        workflow = {"files": str(files), "command": ["/bin/bash", "/workflow/workflow.sh"]}
        document = {
            "attempt": f"job/{self._count}/1",
            "token": os.urandom(8).hex(),
            "store": self.store.url,
            "prefix": keys.attempt("lab", "job", self._count, 1),
            "work": str(work),
            "inputs": [],
            "config": {"rank": 3},
            "seed": 7,
            "workflow": {**workflow, **changes.pop("workflow", {})},
            "outputs": [],
            "environment": {"digest": "e" * 64, **changes.pop("environment", {})},
            "resources": resources,
            "timeout_seconds": 50,
            "uid": WORKFLOW_UID if self.who == ROOT else None,
            **changes,
        }
        return self.file(f"work-{self._count}/attempt.json", json.dumps(document))

    def lease(self, document: Path) -> None:
        read = AttemptDocument.model_validate_json(document.read_bytes())
        self._as_user(lambda: self.store.put(keys.lease(read.prefix), json.dumps({"token": read.token}).encode()))

    def start(self, script: str, *, leased: bool = True, **changes: Any) -> Running:
        path = self.document(script, **changes)
        if leased:
            self.lease(path)
        return self.launch(path)

    def launch(self, document: Path) -> Running:
        """Fork a runner for the document, as the user who starts the platform."""
        pid = os.fork()
        if pid == 0:
            self._become(lambda: main(document), document.parent / "runner.log")
        read = AttemptDocument.model_validate_json(document.read_bytes())
        return Running(pid=pid, document=read, store=self.store)

    def perform(self, script: str, **changes: Any) -> ExitRecord:
        """Run a workflow in bash to its end."""
        running = self.start(script, **changes)
        status = running.wait()
        assert status == 0, (running.document.work / "runner.log").read_text()
        return running.record()

    def _as_user(self, action: Callable[[], object]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(lambda: bool(action()) and 0, self.folder / "setup.log")
        assert os.waitpid(pid, 0)[1] == 0, (self.folder / "setup.log").read_text()

    def _become(self, action: Callable[[], int], log: Path) -> None:
        """In a forked child, which has all modules loaded: the user may not be able to read where they lie."""
        status = 70
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.dup2(output, 1)
            os.dup2(output, 2)
            if self.user is not None:
                os.setgroups([])
                os.setresgid(self.user, self.user, self.user)
                os.setresuid(self.user, self.user, self.user)
                # A change of uid hides a process from its own user until it starts another program.
                ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
                # What was found out about this machine was found out as another user.
                choose_cage.cache_clear()
                sandbox_record.cache_clear()
            status = action()
        except BaseException as cause:  # noqa: BLE001 - nothing of the tests may run on in the child
            os.write(2, repr(cause).encode())
        finally:
            os._exit(status)


def _benches() -> list[str]:
    """Both identities where that can be: only root can play both. CI must show both."""
    return [ROOT, ORDINARY_USER] if os.geteuid() == 0 or os.environ.get("CI") == "true" else [ORDINARY_USER]


def _make(who: str) -> Iterator[Bench]:
    if who == ROOT and os.geteuid() != 0:
        pytest.fail("CI must run as root, so that both ways to start the platform are shown.")
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-test-"))
    folder.chmod(0o755)
    try:
        yield Bench(folder, who)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=_benches())
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Once for each way to start the platform."""
    yield from _make(request.param)


@pytest.fixture
def own_bench() -> Iterator[Bench]:
    """For what does not depend on who starts the platform: as whoever runs the tests."""
    yield from _make(ROOT if os.geteuid() == 0 else ORDINARY_USER)
