"""The container engine of this machine: Podman or Docker, spoken to through its command line."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from neurocaas.errors import Unavailable

ENGINES = ("podman", "docker")
ANSWER_SECONDS = 60.0
INSTALL = "Install Podman (apt-get install podman), or Docker."
# Where distributions put the small first process that Podman's --init needs; Docker brings its own.
CATATONIT = ("/usr/libexec/podman/catatonit", "/usr/local/libexec/podman/catatonit", "/usr/bin/catatonit")
CDI = ("/etc/cdi", "/var/run/cdi")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """name: podman or docker; program: its path. rootless: it runs as this user, who is not root.

    own_cgroups: it makes its cgroups where it is told, below any of ours. init: it can put a small first process
    before the command. gpus: it knows this machine's GPUs by CDI.
    """

    name: str
    program: str
    version: str
    rootless: bool = False
    own_cgroups: bool = False
    init: bool = False
    gpus: bool = False


def find_engine(wanted: str = "") -> Engine:
    """The engine named, else the first that is on PATH. Raises Unavailable with one sentence.

    What it says of itself is asked once per process.
    """
    names = (wanted,) if wanted else ENGINES
    for name in names:
        if program := shutil.which(name):
            return _ask(name, program)
    raise Unavailable(f"No container engine was found: {' and '.join(names)} not on PATH.", remedy=INSTALL)


@functools.cache
def _ask(name: str, program: str) -> Engine:
    template = "{{json .}}"
    answer = call([program, "info", "--format", template])
    try:
        said = json.loads(answer.stdout) if answer.returncode == 0 else None
    except ValueError:
        said = None
    if said is None or said.get("ServerErrors"):
        words = last_words(answer.stderr) if said is None else str(said["ServerErrors"][0])
        raise Unavailable(f"{name} is on PATH but does not work: {words}", remedy=f"Try by hand: {name} info")
    return _podman(program, said) if name == "podman" else _docker(program, said)


def _podman(program: str, said: dict[str, object]) -> Engine:
    host, version = said["host"], said["version"]
    assert isinstance(host, dict)
    assert isinstance(version, dict)
    rootless = bool(host["security"]["rootless"])
    return Engine(
        name="podman",
        program=program,
        version=str(version["Version"]),
        rootless=rootless,
        own_cgroups=host.get("cgroupManager") == "cgroupfs" and not rootless,
        init=any(Path(path).exists() for path in CATATONIT),
        gpus=_has_cdi(),
    )


def _docker(program: str, said: dict[str, object]) -> Engine:
    return Engine(
        name="docker",
        program=program,
        version=str(said.get("ServerVersion", "")),
        own_cgroups=said.get("CgroupDriver") == "cgroupfs" and os.geteuid() == 0,
        init=True,
        gpus=_has_cdi(),
    )


def _has_cdi() -> bool:
    return any(found for folder in CDI for found in Path(folder).glob("nvidia*"))


def call(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Ask the engine something. Raises Unavailable if it does not answer in time, or can't be started."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise Unavailable(f"{command[0]} did not answer: {cause}.") from cause


def last_words(text: str) -> str:
    """The last line that an engine wrote, as the end of a sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[-1].removeprefix("Error: ").rstrip(".")[:400] if lines else "it said nothing"
    return said if said.endswith("?") else f"{said}."
