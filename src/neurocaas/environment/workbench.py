"""Where environments are built: a sandbox that shows the build its own folders and nothing of the machine's people."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from neurocaas.environment.tree import hand_over
from neurocaas.errors import Unavailable
from neurocaas.sandbox import Limits, Mount, View, start
from neurocaas.sandbox.watching import Watching

BUILDER_UID = 60999
SCRATCH = "/scratch"


def builder_uid() -> int | None:
    """The host uid that builds: not root's. None when the platform is an ordinary user, who builds as himself."""
    return BUILDER_UID if os.geteuid() == 0 else None


def lend(folder: Path) -> None:
    """Let the build write `folder`."""
    uid = builder_uid()
    if uid is not None:
        hand_over(folder, uid)


def run_sandboxed(
    command: Sequence[str],
    *,
    mounts: Sequence[Mount],
    variables: Mapping[str, str],
    log: Path,
    network: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Run `command`; what it writes is appended to `log` and told to `progress`, line by line.

    Returns its exit status, 128 + signal for one that was killed. It dies with this process, whatever kills that.
    """
    view = View(
        command=tuple(command),
        mounts=tuple(mounts),
        variables={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": SCRATCH, "TMPDIR": SCRATCH, **variables},
        cwd="/",
        network=network,
        host_uid=builder_uid(),
        temporary=(SCRATCH, "/tmp"),  # noqa: S108 - inside the sandbox both are its own
    )
    # What is built is bounded by the lock; the cage without cgroups leaves nothing behind when this process is killed.
    cage = Watching().create("environment", Limits())
    reading, writing = os.pipe2(os.O_CLOEXEC)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sandboxed = start(view, cage=cage, limits=Limits(), stdin=nothing, stdout=writing, stderr=writing)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(nothing)
        os.close(writing)
    try:
        with os.fdopen(reading, errors="replace") as lines, log.open("a") as kept:
            for line in lines:
                kept.write(line)
                kept.flush()
                progress(line.rstrip())
    except BaseException:
        sandboxed.kill()
        raise
    finally:
        ending = sandboxed.wait()
    if not ending.set_up:
        said = log.read_text(errors="replace").strip().rpartition("\n")[2]
        raise Unavailable(
            f"The sandbox can't be made on this machine: {said}", remedy="neurocaas doctor says what to do."
        )
    return 128 + (ending.signal or 0) if ending.exit_code is None else ending.exit_code
