"""A registry of images of the tests' own: Debian's docker-registry on a port of this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from support.sites import until

CONFIGURATION = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: "{folder}"}}}}
http: {{addr: "{host}"}}
"""
INSECURE = """\
[[registry]]
location = "{host}"
insecure = true
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty registry, HOST:PORT, that Podman speaks to without TLS."""
    program = shutil.which("docker-registry")
    assert program, "The registry is not there: apt-get install -y --no-install-recommends docker-registry"
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "registry.yml").write_text(CONFIGURATION.format(folder=folder / "images", host=host))
    (folder / "registries.conf").write_text(INSECURE.format(host=host))
    with (folder / "log").open("wb") as log, pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen([program, "serve", str(folder / "registry.yml")], stdout=log, stderr=log)
        try:
            until(lambda: process.poll() is not None or _answers(host))
            assert process.poll() is None, (folder / "log").read_text()
            patch.setenv("CONTAINERS_REGISTRIES_CONF", str(folder / "registries.conf"))
            yield host
        finally:
            process.terminate()
            process.wait()


def _answers(host: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}/v2/", timeout=5):
            return True
    except OSError:
        return False
