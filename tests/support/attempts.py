"""One attempt, performed by the real runner in a process of its own, in an environment of any kind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocaas.environment import Environment
from neurocaas.runner.document import AttemptDocument, ExitRecord
from neurocaas.runner.runner import main
from neurocaas.storage import digest_file, fingerprint, keys, open_store

WORKFLOW_UID = 60001
PATIENCE_SECONDS = 60.0


def wait_until(what: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.02)


@dataclass
class PerformedAttempt:
    """An attempt on its way. pid: the runner's."""

    pid: int
    document: AttemptDocument

    def wait(self) -> ExitRecord:
        """Its exit record, once the runner has ended."""
        wait_until(lambda: os.waitpid(self.pid, os.WNOHANG)[0])
        return self.record()

    def record(self) -> ExitRecord:
        store = open_store(self.document.store)
        return ExitRecord.model_validate_json(store.get(keys.exit_record(self.document.prefix)))

    def kill(self) -> None:
        """Kill the runner as nothing can be prepared for."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def cancel(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    @property
    def log(self) -> str:
        store = open_store(self.document.store)
        segments = [json.loads(store.get(entry.key)) for entry in store.list(keys.log(self.document.prefix))]
        return "".join(segment["text"] for segment in segments)


class AttemptBench:
    """Starts attempts of workflows in bash, below a folder that every user may pass."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self._folder = folder
        self._environment = environment
        self._count = 0

    def perform(self, script: str, **changes: Any) -> tuple[ExitRecord, str]:
        """Run a workflow to its end; its exit record and its log."""
        attempt = self.start(script, **changes)
        return attempt.wait(), attempt.log

    def start(self, script: str, *, files: dict[str, str] | None = None, **changes: Any) -> PerformedAttempt:
        """files: inputs named `data` whatever they hold, by file name. changes: fields of the document, or of its
        `workflow` and `resources`."""
        path = self.lay_out(script, files=files, **changes)
        pid = os.fork()
        if pid == 0:
            self._become_runner(path)
        return PerformedAttempt(pid=pid, document=AttemptDocument.model_validate_json(path.read_bytes()))

    def lay_out(self, script: str, *, files: dict[str, str] | None = None, **changes: Any) -> Path:
        """The same, without a runner: where its document is."""
        document = self._document(script, files or {}, changes)
        store = open_store(document.store)
        store.put(keys.lease(document.prefix), json.dumps({"token": document.token}).encode())
        path = document.work / "attempt.json"
        path.write_text(document.model_dump_json())
        return path

    def _become_runner(self, document: Path) -> None:
        """In the forked child: nothing of the tests may run on in it."""
        status = 70
        try:
            output = os.open(document.with_name("output"), os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            status = main(document)
        finally:
            os._exit(status)

    def _document(self, script: str, files: dict[str, str], changes: dict[str, Any]) -> AttemptDocument:
        self._count += 1
        work = self._folder / f"work-{self._count}"
        work.mkdir(mode=0o700)
        version = self._folder / f"version-{self._count}"
        version.mkdir()
        (version / "workflow.sh").write_text(script)
        environment = self._environment
        workflow = {"files": version, "command": ["/bin/bash", "/workflow/workflow.sh"], **changes.pop("workflow", {})}
        resources = {"vcpus": 1, "memory_mib": 256, "storage_mib": 64, "processes": 64, **changes.pop("resources", {})}
        return AttemptDocument(
            attempt=f"job/{self._count}/1",
            token=os.urandom(8).hex(),
            store=(self._folder / "store").as_uri(),
            prefix=keys.attempt("lab", "job", self._count, 1),
            work=work,
            inputs=tuple(self._input(name, content) for name, content in files.items()),
            config={"rank": 3},
            seed=7,
            workflow=workflow,
            outputs=changes.pop("outputs", ()),
            environment={
                "digest": environment.digest,
                "image": environment.image,
                "engine": environment.engine,
                "mounts": [{"source": one.source, "target": one.target} for one in environment.mounts],
                "variables": environment.variables,
                "path": environment.path,
            },
            resources=resources,
            timeout_seconds=changes.pop("timeout_seconds", 50),
            uid=WORKFLOW_UID if os.geteuid() == 0 else None,
            **changes,
        )

    def _input(self, filename: str, content: str) -> dict[str, object]:
        path = self._folder / "data" / str(self._count) / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        digest = digest_file(path)
        return {
            "name": "data",
            "form": "file",
            "filename": filename,
            "path": str(path),
            "sha256": digest.sha256,
            "size_bytes": digest.size_bytes,
            "fingerprint": fingerprint(path),
        }
