"""Start a command in a container of Podman or Docker, see it end, and get rid of it.

A container is not a child of whoever asks for it, so nothing of the kernel's ends it when this process is killed. A
guard does: a shell that waits for the end of a pipe which only this process holds, and then removes the container.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_NOFILE, RLIMIT_NPROC, getrlimit
from typing import Any

from neurocaas.errors import NotFound, Refused, Unavailable
from neurocaas.sandbox import seccomp
from neurocaas.sandbox.cage import Cage, Usage
from neurocaas.sandbox.containers import Place, create_arguments, is_awkward, owner
from neurocaas.sandbox.ending import Ending, ending_of, is_first_of_namespace
from neurocaas.sandbox.engine import Engine, call, find_engine, last_words
from neurocaas.sandbox.view import Limits, View

NOT_STARTED = ("created", "configured", "initialized", "unknown")
COMMAND_NOT_RUN = (126, 127)
PODMAN_PROCESSES = 32768
START_SECONDS = 20.0
LOOK_SECONDS = 0.02
GUARD = 'cat >/dev/null; folder=$1; shift; "$@" >/dev/null 2>&1; rm -rf "$folder"'


def start(view: View, *, cage: Cage, limits: Limits, stdout: int, stderr: int) -> Contained:
    """Start `view.command` in a container of `view.image`. It goes when this process does, whatever kills that.

    Raises Unavailable when there is no engine or it refuses, Refused for an unsafe View, NotFound when the image is
    neither here nor to be had.
    """
    if os.geteuid() == 0 and not view.host_uid:
        raise Refused("The platform runs as root, so a sandboxed command needs a host uid of its own, other than 0.")
    engine = find_engine(view.engine)
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-container-"))
    guard: subprocess.Popen[bytes] | None = None
    try:
        place = _lay_out(view, engine, cage, folder)
        guard = _guard(engine, place.name, folder)
        _create(view, engine, limits, place)
        client = subprocess.Popen(
            [engine.program, "start", "--attach", place.name],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except BaseException:
        if guard is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _end(guard, engine, place.name, folder)
        raise
    contained = Contained(client=client, guard=guard, engine=engine, place=place, cage=cage)
    contained.meet_first()
    return contained


def _lay_out(view: View, engine: Engine, cage: Cage, folder: Path) -> Place:
    """Put the View's small files into `folder`, with names for those sources whose own an engine would misread."""
    uid, gid = owner(view)
    home = view.variables.get("HOME", "/")
    accounts = {
        "/etc/passwd": f"root:x:0:0:root:/:/bin/false\nworkflow:x:{uid}:{gid}:workflow:{home}:/bin/sh\n",
        "/etc/group": f"root:x:0:\nworkflow:x:{gid}:\n",
    }
    files: dict[str, Path] = {}
    sources: dict[str, Path] = {}
    for target, content in {**{path: text.encode() for path, text in accounts.items()}, **view.files}.items():
        files[target] = folder / f"file{len(files)}"
        files[target].write_bytes(content)
        files[target].chmod(0o444)
    for mount in view.mounts:
        if is_awkward(mount.source):
            sources[mount.target] = folder / f"link{len(sources)}"
            sources[mount.target].symlink_to(mount.source)
    (folder / "seccomp.json").write_bytes(seccomp.profile())
    folder.chmod(0o711)
    cores = os.sched_getaffinity(0)
    return Place(
        name=f"neurocaas-{uuid.uuid4().hex}",
        uid=uid,
        gid=gid,
        sources=sources,
        files=files,
        seccomp=folder / "seccomp.json",
        cgroup=cage.nest if engine.own_cgroups else "",
        cores=tuple(sorted(cores)) if os.geteuid() == 0 and len(cores) < (os.cpu_count() or 1) else (),
        # Engines would raise these for their containers, which the kernel need not let them.
        ulimits={"nofile": getrlimit(RLIMIT_NOFILE), "nproc": _number_of_processes()},
    )


def _number_of_processes() -> tuple[int, int]:
    """RLIMIT_NPROC, which bounds a user rather than a container; Podman gives itself 32768 and can give no more on."""
    hard = getrlimit(RLIMIT_NPROC)[1]
    most = PODMAN_PROCESSES if hard == RLIM_INFINITY else min(hard, PODMAN_PROCESSES)
    return most, most


def _guard(engine: Engine, name: str, folder: Path) -> subprocess.Popen[bytes]:
    command = ["/bin/sh", "-c", GUARD, "guard", str(folder), *_removal(engine, name)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _removal(engine: Engine, name: str) -> list[str]:
    # Podman would first ask the command to end, and wait for ten seconds.
    return [engine.program, "rm", "--force", *(["--time", "0"] if engine.name == "podman" else []), name]


def _create(view: View, engine: Engine, limits: Limits, place: Place) -> None:
    answer = call(create_arguments(view, engine=engine, limits=limits, place=place))
    if answer.returncode == 0:
        return
    words = last_words(answer.stderr)
    if call([engine.program, "image", "inspect", view.image]).returncode:
        raise NotFound(f"The image {view.image} is not in {engine.name}'s storage: {words}")
    raise Unavailable(f"{engine.name} could not make a container: {words}", remedy="neurocaas doctor says what to do.")


def _end(guard: subprocess.Popen[bytes], engine: Engine, name: str, folder: Path) -> None:
    """Remove the container and what it had, which is what the guard is for."""
    assert guard.stdin is not None
    guard.stdin.close()
    if guard.wait():  # Somebody killed it.
        call(_removal(engine, name))
        shutil.rmtree(folder, ignore_errors=True)


class Contained:
    """A command running in a container; it is used as `Sandboxed` is."""

    def __init__(
        self,
        *,
        client: subprocess.Popen[bytes],
        guard: subprocess.Popen[bytes],
        engine: Engine,
        place: Place,
        cage: Cage,
    ) -> None:
        self._client = client
        self._guard = guard
        self._engine = engine
        self._place = place
        self._cage = cage
        self._killed = False
        self._ending: Ending | None = None
        self._noticing: threading.Thread | None = None
        self._last_usage = Usage()
        self.pid = client.pid
        self.pidfd = os.pidfd_open(client.pid)

    def kill(self) -> None:
        """Kill the command and everything it started. Quiet if it has ended."""
        if self._ending is not None or self._killed:
            return
        if self._client.poll() is None:
            self._killed = True
            self._cage.kill()
            with contextlib.suppress(Unavailable):  # An engine that hangs; the guard asks it once more.
                # Not `kill`, which refuses a container that is about to start.
                call(_removal(self._engine, self._place.name))

    def wait(self) -> Ending:
        """Block until it has ended."""
        if self._ending is None:
            code = self._client.wait()
            self._ending = self._read_ending(code)
            _end(self._guard, self._engine, self._place.name, self._place.seccomp.parent)
            self._cage.kill()
            if self._noticing is not None:
                self._noticing.join()
                oom_killed = self._ending.oom_killed or self._last_usage.oom_killed
                self._ending = replace(self._ending, oom_killed=oom_killed)
            os.close(self.pidfd)
        return self._ending

    def _read_ending(self, code: int) -> Ending:
        state = self._state()
        if self._killed:
            return Ending(exit_code=None, signal=signal.SIGKILL, set_up=True, cpu_seconds=0.0)
        started = state.get("Status", "unknown") not in NOT_STARTED
        number = int(state.get("ExitCode", code)) if started else code
        return ending_of(
            number,
            set_up=started or code in COMMAND_NOT_RUN,
            # What its processes used is for the cage to say: they were never this process' children.
            cpu_seconds=0.0,
            oom_killed=bool(state.get("OOMKilled")),
        )

    def _state(self) -> dict[str, Any]:
        answer = call([self._engine.program, "container", "inspect", "--format", "{{json .State}}", self._place.name])
        with contextlib.suppress(ValueError):
            return dict(json.loads(answer.stdout)) if answer.returncode == 0 else {}
        return {}

    def meet_first(self) -> None:
        """Find the container's first process: a cage that watches learns its parent, below which all of them are.

        Its end is noticed by a thread: what the kernel did in the container's cgroup must be read before the engine,
        which hears of the end too, removes that.
        """
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and self._client.poll() is None:
            first = self._first()
            if first is not None:
                with contextlib.suppress(OSError):  # It has ended already.
                    pidfd = os.pidfd_open(first)
                    self._cage.started(_parent_of(first))
                    self._noticing = threading.Thread(target=self._notice_end, args=(pidfd,), name="container's end")
                    self._noticing.start()
                return
            time.sleep(LOOK_SECONDS)

    def _first(self) -> int | None:
        if self._place.cgroup:
            return next((pid for pid in self._cage.members() if is_first_of_namespace(pid)), None)
        return int(self._state().get("Pid") or 0) or None

    def _notice_end(self, pidfd: int) -> None:
        select.select([pidfd], [], [])
        self._last_usage = self._cage.usage()
        os.close(pidfd)


def _parent_of(pid: int) -> int:
    """proc(5): field 4. Raises OSError when it is gone."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
