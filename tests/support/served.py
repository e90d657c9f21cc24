"""A site that is served, by the real command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.sites import NEUROCAAS, TestSite, until

MODULES = {
    "web": "neurocaas.server.serving.web",
    "manager": "neurocaas.server.jobs.daemon",
    "housekeeping": "neurocaas.server.serving.housekeeping",
}


@dataclass
class Served:
    """A running `neurocaas serve`."""

    site: TestSite
    process: subprocess.Popen[str]
    url: str
    errors: Path

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        request = urllib.request.Request(self.url + path, headers={"Connection": "close", **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, dict(refused.headers), refused.read().decode()

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.get("/healthz")[2])
        return answer

    def children(self) -> dict[str, int]:
        """The supervised processes that run now, by name."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    words = (entry / "cmdline").read_bytes().decode().split("\0")
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    name = next((name for name, module in MODULES.items() if module in words), None)
                    if name is not None and parent == self.process.pid:
                        found[name] = int(entry.name)
        return found

    def wait_for_all(self, *, without: int = 0) -> dict[str, int]:
        """All three, once they run and the site is well; `without`: a process that must be gone."""

        def well() -> bool:
            children = self.children()
            return set(children) == set(MODULES) and without not in children.values() and self.well()

        until(well)
        return self.children()

    def well(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/healthz")[0] == 200
        return False

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def served(site: TestSite, **variables: str) -> Iterator[Served]:
    """Serve the site at a free port, and end it afterwards."""
    errors = site.folder / f"serve-{time.monotonic_ns()}.err"
    with errors.open("w") as stream:
        process = subprocess.Popen(
            [NEUROCAAS, "--site", site.root, "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=os.environ | site.variables | variables,
        )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert " at http://" in said, errors.read_text()
        yield Served(site=site, process=process, url=said.split(" at ")[1].strip(), errors=errors)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        process.stdout.close()
