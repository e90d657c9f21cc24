"""Have a result file opened by the worker in its sandbox, and believe nothing of what it answers."""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

import neurocaas
from neurocaas import sandbox
from neurocaas.reasons import Reason
from neurocaas.server.viewers import worker
from neurocaas.server.viewers.previews import Answer, NotShown, Selection

MEMORY_BYTES = 1536 * sandbox.MIB
PROCESSES = 32
TIMEOUT_SECONDS = 20.0
# The largest picture's pixels, or a page of text in which JSON escapes every letter.
ANSWER_BYTES = 8 * sandbox.MIB
# Of root's platform, below those of the protocols; one each, as the kernel counts a uid's processes.
VIEWER_UIDS = range(60450, 60514)
LIBRARIES = ("numpy", "h5py", "scipy", "tifffile", "PIL", "av")
# One thread each: the machine has other things to do. No library looks for a home or for other files.
VARIABLES = {"LANG": "C.UTF-8", "HOME": "/", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_at_once = threading.BoundedSemaphore(max(2, (os.cpu_count() or 2) // 2))
WAIT_SECONDS = 30.0


class Opened(NamedTuple):
    """numbers: of the answer's block, exactly as many bytes as it says."""

    answer: Answer
    numbers: bytes = b""


def open_in_sandbox(file: Path, kind: str, selection: Selection, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Opened:
    """What the worker makes of the file. Raises Unavailable when this machine can't make a sandbox."""
    if not _at_once.acquire(timeout=WAIT_SECONDS):
        return _not_shown("The server is busy with other previews.", "Try again in a minute.", lasting=False)
    try:
        finished = sandbox.run(
            _view(file, kind, selection),
            limits=sandbox.Limits(memory_bytes=MEMORY_BYTES, processes=PROCESSES),
            timeout_seconds=timeout_seconds,
            output_bytes=ANSWER_BYTES,
        )
    finally:
        _at_once.release()
    return read_answer(finished, kind)


def _view(file: Path, kind: str, selection: Selection) -> sandbox.View:
    program, mounts, path = _platform()
    inside = f"/result{kind}"
    return sandbox.View(
        # -S: the modules of the platform's own environment, and nothing that its .pth files would run.
        command=(
            program,
            "-s",
            "-P",
            "-S",
            "-B",
            "-X",
            "utf8",
            "-m",
            worker.__name__,
            kind,
            inside,
            selection.model_dump_json(),
        ),
        mounts=(*mounts, sandbox.Mount(source=file.resolve(), target=inside)),
        variables={**VARIABLES, "PYTHONPATH": path},
        host_uid=random.choice(VIEWER_UIDS) if os.geteuid() == 0 else None,  # noqa: S311 - any will do
    )


@functools.cache
def _platform() -> tuple[str, tuple[sandbox.Mount, ...], str]:
    """The platform's own interpreter, what of it and of its libraries lies outside of /usr, and the path to these."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    program = Path(sys.base_prefix, "bin", name)
    prefixes = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix))
    needed = [program, *(Path(prefix, lib) for prefix in prefixes for lib in dict.fromkeys(("lib", sys.platlibdir)))]
    specs = [spec for name in LIBRARIES if (spec := importlib.util.find_spec(name)) is not None]
    folders = list(dict.fromkeys(Path(spec.origin).parent.parent for spec in specs if spec.origin))
    package = Path(neurocaas.__file__).parent
    outside = [path for path in (*needed, *folders) if path.exists() and not path.is_relative_to("/usr")]
    mounts = [sandbox.Mount(source=path, target=str(path)) for path in outside]
    mounts += [sandbox.Mount(source=package, target="/platform/neurocaas")]
    return str(program), tuple(mounts), ":".join(map(str, ("/platform", *folders)))


def read_answer(finished: sandbox.Finished, kind: str) -> Opened:
    """The worker's answer; a sentence in place of one that is missing, too long, or not what a worker writes."""
    if finished.reason is Reason.TIMED_OUT or finished.signal == signal.SIGXCPU:
        return _not_shown("Showing the result file takes longer than a preview may.", lasting=False)
    if finished.reason is Reason.OUT_OF_MEMORY:
        return _not_shown("Showing the result file needs more memory than a preview may take.")
    if finished.reason is Reason.SANDBOX_FAILED:
        return _not_shown("The server could not make the sandbox in which result files are opened.", lasting=False)
    if not finished.succeeded:
        return _not_shown(f"The result file can't be read as {kind or 'text'}: reading it ended its process.")
    header, _, numbers = finished.stdout.partition(b"\n")
    try:
        answer = Answer.model_validate_json(header)
    except ValidationError:
        return _nonsense()
    expected = answer.block.size_bytes if answer.block is not None else 0
    return Opened(answer, numbers) if len(numbers) == expected else _nonsense()


def _nonsense() -> Opened:
    return _not_shown("The program that opens result files gave no answer that could be shown.")


def _not_shown(sentence: str, remedy: str = worker.DOWNLOAD, *, lasting: bool = True) -> Opened:
    return Opened(Answer(preview=NotShown(sentence=sentence, remedy=remedy, lasting=lasting)))
