"""A container engine of the tests' own: Podman with its own storage, and a base image made from Debian's packages.

The base is made once for all workers of a test session, in a folder of this user's below /tmp that later sessions use
again. Nothing in /etc is touched: how Podman works here is said in files that environment variables name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocaas.environment.base_image import base_layers
from neurocaas.environment.oci import Blobs
from neurocaas.sandbox.engine import _ask

KEPT = Path(f"/tmp/neurocaas-test-images-{os.geteuid()}")
BASE = "localhost/neurocaas-tests/base:bookworm"
# Debian's crun refuses machines with both versions of cgroups, and the kernel need not let limits be raised.
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


def podman(*arguments: str) -> str:
    answer = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"podman {' '.join(arguments)}: {answer.stderr}"
    return answer.stdout.strip()


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Podman with storage of the tests' own, in which BASE is. Returns its name for settings."""
    assert shutil.which("podman"), (
        "Podman is not there: apt-get install -y --no-install-recommends podman runc catatonit"
    )
    KEPT.mkdir(mode=0o711, exist_ok=True)
    named = {"CONTAINERS_CONF": CONTAINERS, "CONTAINERS_STORAGE_CONF": STORAGE.format(folder=KEPT)}
    with pytest.MonkeyPatch.context() as patch:
        for variable, text in named.items():
            file = KEPT / f"{variable.lower()}.conf"
            file.write_text(text)
            patch.setenv(variable, str(file))
        _ask.cache_clear()
        _make_base()
        yield "podman"
    _ask.cache_clear()


def _make_base() -> None:
    with (KEPT / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode == 0:
            return
        blobs = Blobs(KEPT / "images")
        image = blobs.image(base_layers(blobs, "", "", progress=print), {"Env": ["PATH=/usr/bin:/bin"]})
        archive = KEPT / "base.tar"
        with archive.open("wb") as file:
            blobs.write_archive(image, file, tag=BASE)
        podman("load", "--input", str(archive))
        archive.unlink()


def own_base(root: Path) -> None:
    """Let an environment store have the base too, so that it need not make it for its images."""
    for name in ("blobs", "layers"):
        shutil.copytree(KEPT / "images" / name, root / "images" / name, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    """What is named by its digest is the same wherever it is there already."""
    with contextlib.suppress(FileExistsError):
        os.link(source, target)
