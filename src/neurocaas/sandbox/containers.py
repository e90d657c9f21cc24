"""A View as the argument list of Podman and Docker, which share one, and of Apptainer.

What the workflow may see and do is what it may in bubblewrap: a read-only root (here the image), its inputs and
workflow read-only at the same paths, results and scratch writable, no network unless asked for, an unprivileged uid
without capabilities that can't get any, bounded memory, processes and shared memory.

Apptainer's list is generated and tested as text; it has not been run, so no engine of that name is chosen.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.errors import Unavailable
from neurocaas.sandbox.engine import Engine
from neurocaas.sandbox.view import Limits, Mount, View

AWKWARD = set(',:"\n')
GPUS_BY_CDI = "nvidia.com/gpu=all"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where on this machine a View is to run, apart from what it says itself.

    uid: whom it runs as there; sources: the mounts' sources, by target, where these have names that engines misread;
    files: where the View's files are, by target; seccomp: where the filter of system calls is; cgroup: below which the
    engine makes its cgroups, if it may; cores: to which it is bound, all if empty; ulimits: further limits, soft and
    hard, by Docker's names.
    """

    name: str
    uid: int
    gid: int
    sources: Mapping[str, Path]
    files: Mapping[str, Path]
    seccomp: Path
    cgroup: str = ""
    cores: tuple[int, ...] = ()
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def create_arguments(view: View, *, engine: Engine, limits: Limits, place: Place) -> list[str]:
    """The whole command line that makes, but does not start, the container that runs `view.command`."""
    words = [engine.program, "create", "--name", place.name, "--hostname", "instance", "--no-healthcheck"]
    words += _engine_own(engine)
    words += ["--user", f"{place.uid}:{place.gid}", "--cap-drop", "ALL"]
    # Labels of SELinux would have to be changed on people's own data, or keep the workflow from reading it.
    words += ["--security-opt", "no-new-privileges", "--security-opt", "label=disable"]
    words += ["--security-opt", f"seccomp={place.seccomp}"]
    words += ["--read-only", "--ipc", "private", "--log-driver", "none"]
    words += [] if view.network else ["--network", "none"]
    words += ["--init"] if engine.init else []
    words += _limits(limits, place)
    words += _gpus(view, engine)
    for target in view.temporary:
        words += ["--tmpfs", f"{target}:rw,nosuid,nodev,size={view.temporary_bytes},mode=1777"]
    for mount in view.mounts:
        source = place.sources.get(mount.target, mount.source)
        words += _mount(Mount(source=source, target=mount.target, writable=mount.writable), engine)
    for target, file in place.files.items():
        words += _mount(Mount(source=file, target=target), engine)
    for name, value in view.variables.items():
        words += ["--env", f"{name}={value}"]
    return [*words, "--workdir", view.cwd, "--entrypoint", view.command[0], view.image, *view.command[1:]]


def _engine_own(engine: Engine) -> Iterator[str]:
    """What Podman does unasked and Docker does not."""
    if engine.name == "podman":
        yield from ("--read-only-tmpfs=false", "--http-proxy=false", "--systemd=false", "--sdnotify=ignore")
        # Podman's monitor must not be counted, nor killed, as a part of the workflow.
        yield "--cgroups=no-conmon"
        if engine.rootless:
            yield from ("--userns", "keep-id")


def _limits(limits: Limits, place: Place) -> Iterator[str]:
    yield from ("--ulimit", "core=0:0", "--shm-size", str(limits.shared_memory_bytes))
    if limits.memory_bytes is not None:
        yield from ("--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes))
    if limits.processes is not None:
        yield from ("--pids-limit", str(limits.processes))
    if limits.file_bytes is not None:
        yield from ("--ulimit", f"fsize={limits.file_bytes}:{limits.file_bytes}")
    for name, (soft, hard) in place.ulimits.items():
        yield from ("--ulimit", f"{name}={soft}:{hard}")
    if place.cores:
        yield from ("--cpuset-cpus", ",".join(map(str, place.cores)))
    if place.cgroup:
        yield from ("--cgroup-parent", place.cgroup)


def _gpus(view: View, engine: Engine) -> Iterator[str]:
    """By CDI, which brings the driver's libraries along; without it the device files alone."""
    if view.devices and engine.gpus:
        yield from ("--device", GPUS_BY_CDI)
        return
    for device in view.devices:
        if Path(device).exists():
            yield from ("--device", device)


def _mount(mount: Mount, engine: Engine) -> tuple[str, str]:
    """Docker reads --mount as CSV. Podman splits it at commas, and --volume at colons, and knows no quotes."""
    if engine.name == "docker":
        line = io.StringIO()
        fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
        csv.writer(line, lineterminator="").writerow([*fields, *([] if mount.writable else ["readonly"])])
        return "--mount", line.getvalue()
    if "," not in mount.target:
        access = "" if mount.writable else ",ro=true"
        return "--mount", f"type=bind,source={mount.source},target={mount.target}{access}"
    if ":" not in mount.target:
        return "--volume", f"{mount.source}:{mount.target}:{'rw' if mount.writable else 'ro'}"
    raise Unavailable(f"Podman can't mount {mount.target!r}: a file's name may have a comma or a colon, not both.")


def is_awkward(path: Path) -> bool:
    """Whether an engine would misread a mount's source."""
    return not AWKWARD.isdisjoint(str(path))


def apptainer_arguments(view: View, *, limits: Limits, place: Place) -> list[str]:
    """The whole command line that runs `view.command` under Apptainer 1.2 or newer. It runs as who calls it.

    An image by id has no name that Apptainer could find, so `view.image` is NAME@sha256:… or the path of a SIF file.
    """
    words = ["apptainer", "--silent", "exec", "--containall", "--cleanenv", "--no-home", "--no-privs"]
    words += ["--no-mount", "hostfs,bind-paths,cwd", "--hostname", "instance"]
    words += [] if view.network else ["--net", "--network", "none"]
    words += ["--nv"] if view.devices else []
    if limits.memory_bytes is not None:
        words += ["--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)]
    if limits.processes is not None:
        words += ["--pids-limit", str(limits.processes)]
    if place.cores:
        words += ["--cpuset-cpus", ",".join(map(str, place.cores))]
    for mount in view.mounts:
        source = place.sources.get(mount.target, mount.source)
        words += ["--mount", _apptainer_mount(source, mount.target, writable=mount.writable)]
    for target, file in place.files.items():
        words += ["--mount", _apptainer_mount(file, target, writable=False)]
    for name, value in view.variables.items():
        words += ["--env", f"{name}={value}"]
    image = view.image if view.image.endswith(".sif") else f"docker://{view.image}"
    return [*words, "--pwd", view.cwd, image, *view.command]


def _apptainer_mount(source: Path, target: str, *, writable: bool) -> str:
    line = io.StringIO()
    fields = ["type=bind", f"source={source}", f"destination={target}", *([] if writable else ["ro"])]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def owner(view: View) -> tuple[int, int]:
    """uid and gid of the command on this machine: the View's own when root starts it, else this user's."""
    if os.geteuid() == 0 and view.host_uid is not None:
        return view.host_uid, view.host_uid
    return os.getuid(), os.getgid()
