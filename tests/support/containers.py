"""Real containers for tests: Podman's service with a storage of its own, and a registry on the loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.engine import CONTAINERS
from support.s3 import free_port

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Containers:
    """Podman as these tests have it. variables: with which any process, Docker's clients too, reaches it."""

    folder: Path
    registry: str  # HOST:PORT
    variables: dict[str, str]

    def podman(self, *arguments: str) -> str:
        where = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        command = ["podman", *where, *arguments]
        environment = os.environ | self.variables
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def running(self) -> list[str]:
        """The names of the containers that run now."""
        return self.podman("ps", "--format", "{{.Names}}").split()

    def kill(self, name: str) -> None:
        """As if its instance were gone: no signal that anybody could catch."""
        self.podman("kill", "--signal", "KILL", name)


@pytest.fixture(scope="session")
def containers() -> Iterator[Containers]:
    # Short, because a socket's path may have 108 characters only.
    folder = Path(tempfile.mkdtemp(prefix="nc-containers-"))
    registry = f"127.0.0.1:{free_port()}"
    (folder / "containers.conf").write_text(CONTAINERS)
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    (folder / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
        f"http: {{addr: {registry}}}\n"
    )
    socket = folder / "podman.sock"
    made = Containers(
        folder=folder,
        registry=registry,
        variables={
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
            "DOCKER_HOST": f"unix://{socket}",
        },
    )
    where = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
    commands = [
        ["docker-registry", "serve", str(folder / "registry.yml")],
        ["podman", *where, "system", "service", "--time=0", f"unix://{socket}"],
    ]
    with (folder / "log").open("wb") as log:
        servers = [subprocess.Popen(one, stdout=log, stderr=log, env=os.environ | made.variables) for one in commands]
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (socket.exists() and _answers(f"http://{registry}/v2/")):
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield made
        made.podman("rm", "--force", "--all")
    finally:
        for server in servers:
            server.kill()
            server.wait()
        subprocess.run(["podman", *where, "system", "reset", "--force"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False
