"""Lay an attempt out on this machine: its folders, its inputs, and the View its workflow gets."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.reasons import Reason
from neurocaas.runner.document import ALLOTTED, AttemptDocument, Input
from neurocaas.runner.stopped import Stopped
from neurocaas.sandbox import MIB, Limits, Mount, View
from neurocaas.storage import Store, fingerprint, keys
from neurocaas.storage.copying import copy_contents

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
GPU_DEVICES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """An attempt's folders below `work`. uid: the workflow's own on this machine, None for that of this process.

    Few, because each new folder on a disk costs more than starting a process; what is small lives in the View.
    """

    work: Path
    uid: int | None

    @property
    def report(self) -> Path:
        return self.work / "report"

    @property
    def results(self) -> Path:
        return self.work / "results"

    @property
    def scratch(self) -> Path:
        return self.work / "scratch"

    @property
    def checkpoint(self) -> Path:
        return self.work / "checkpoint"

    @property
    def held(self) -> Path:
        """Files of the checkpoint folder while they are being stored."""
        return self.work / "held"

    @property
    def inputs(self) -> Path:
        """Copies of inputs that can't be mounted from where they are."""
        return self.work / "inputs"

    @property
    def writable(self) -> tuple[Path, ...]:
        return (self.results, self.scratch, self.checkpoint)


def lay_out(stage: Stage) -> None:
    """Make the folders, empty."""
    clean(stage)
    # Only this user may pass; what is below is mounted before the workflow's uid is taken.
    stage.work.chmod(0o700)
    for folder in stage.writable:
        make_empty(folder, stage.uid)


def make_empty(folder: Path, uid: int | None) -> None:
    """An empty folder that the workflow may write."""
    remove_tree(folder)
    folder.mkdir()
    # bubblewrap enters the scratch folder as a root without capabilities, so it must be passable for others.
    folder.chmod(0o711)
    if uid is not None:
        os.chown(folder, uid, uid)


def clean(stage: Stage) -> None:
    """Remove what only the workflow needed."""
    stage.report.unlink(missing_ok=True)
    for folder in (*stage.writable, stage.held, stage.inputs):
        remove_tree(folder)


def inside(given: Input) -> str:
    """Where the workflow finds an input."""
    return f"/job/inputs/{keys.segment(given.name)}/{keys.segment(given.filename)}"


def check_inputs(inputs: Iterable[Input]) -> None:
    """Raises Stopped if an input is gone, can't be read, or is not what was digested."""
    for given in inputs:
        if given.path is None:
            continue
        try:
            seen = fingerprint(given.path)
        except NotFound:
            raise Stopped(Reason.INPUT_MISSING, f"The input {given.name!r} is gone: {given.path}.") from None
        except NeurocaasError as cause:
            raise Stopped(Reason.INPUT_MISSING, f"The input {given.name!r} can't be read: {cause.message}") from cause
        if given.fingerprint is not None and seen != given.fingerprint:
            raise Stopped(
                Reason.INPUT_CHANGED, f"The input {given.name!r} was changed after it was submitted: {given.path}."
            )


def mount_inputs(document: AttemptDocument, stage: Stage, store: Store) -> list[Mount]:
    """Every input as a read-only mount: from where it is if possible, else from a copy in the work folder."""
    mounts: list[Mount] = []
    for given in document.inputs:
        if given.parts:
            mounts += _part_mounts(given, stage, store)
        else:
            mounts.append(Mount(source=_source(given, stage, store), target=inside(given)))
    return mounts


def _part_mounts(given: Input, stage: Stage, store: Store) -> Iterable[Mount]:
    """A folder put together from files of the store, each mounted at its place in it."""
    for number, part in enumerate(given.parts):
        one = given.model_copy(update={"name": f"{given.name}.{number}", "form": "file", "key": part.key, "parts": ()})
        yield Mount(source=_source(one, stage, store), target=f"{inside(given)}/{keys.relative(part.path)}")


def _source(given: Input, stage: Stage, store: Store) -> Path:
    key = given.key or ""
    place = given.path or store.local_path(key)
    if place is None:
        return _fetched(given, key, stage, store)
    source = place.resolve()
    if not source.exists():
        raise Stopped(Reason.INPUT_MISSING, f"The input {given.name!r} is gone: {given.path or given.key}.")
    if stage.uid is None or not _unreadable(source):
        return source
    # Mounting happens as root, so private *folders above* are no obstacle; but the workflow's uid must be able to
    # open the file itself. Its owner's modes are not ours to change, so a copy that all may read takes its place
    # (sharing blocks with it where the filesystem can).
    stage.inputs.mkdir(exist_ok=True)
    copy = stage.inputs / given.name
    _copy(source, copy)
    return copy


def _fetched(given: Input, key: str, stage: Stage, store: Store) -> Path:
    stage.inputs.mkdir(exist_ok=True)
    target = stage.inputs / given.name
    try:
        if given.form == "file":
            store.get_file(key, target)
        else:
            target.mkdir()
            for entry in store.list(key):
                store.get_file(entry.key, target / entry.key.removeprefix(f"{key}/"))
    except NotFound as cause:
        raise Stopped(Reason.INPUT_MISSING, f"The input {given.name!r} is not in the store: {key}.") from cause
    for path in (target, *(target.rglob("*") if target.is_dir() else ())):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return target


def _unreadable(source: Path) -> bool:
    """Whether something in it is closed to others."""
    status = source.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return not status.st_mode & stat.S_IROTH
    if status.st_mode & 0o005 != 0o005:
        return True
    with os.scandir(source) as entries:
        return any(_unreadable(Path(entry.path)) for entry in entries if not entry.is_symlink())


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir()
        for child in source.iterdir():
            _copy(child, target / child.name)
        target.chmod(0o555)
        return
    with source.open("rb", buffering=0) as given, target.open("xb", buffering=0) as copy:
        copy_contents(given.fileno(), copy.fileno())
        os.fchmod(copy.fileno(), 0o444)


def view(document: AttemptDocument, stage: Stage, inputs: list[Mount], command: tuple[str, ...]) -> View:
    """What the command sees: the environment, /workflow, /job and nothing else of this machine."""
    mounts = [Mount(source=mount.source, target=mount.target) for mount in document.environment.mounts]
    mounts += [Mount(source=document.workflow.files, target="/workflow"), *inputs]
    mounts += [Mount(source=folder, target=f"/job/{folder.name}", writable=True) for folder in stage.writable]
    # On disk, not in memory: scratch is counted as storage.
    mounts += [Mount(source=stage.scratch, target="/tmp", writable=True)]  # noqa: S108 - a path inside
    mounts += [Mount(source=stage.report, target="/job/report", writable=True)]
    return View(
        command=command,
        mounts=tuple(mounts),
        files={
            "/job/manifest.json": json.dumps(manifest(document.inputs), ensure_ascii=False).encode(),
            "/job/config.json": json.dumps(document.config, ensure_ascii=False).encode(),
        },
        variables=variables(document),
        cwd="/job/scratch",
        network=document.workflow.network,
        host_uid=stage.uid,
        devices=_gpu_devices() if document.resources.gpus else (),
        image=document.environment.root,
        engine=document.environment.engine,
    )


def manifest(inputs: Iterable[Input]) -> dict[str, object]:
    """The document behind NEUROCAAS_MANIFEST."""
    named = {given.name: {"form": given.form, "path": inside(given), "filename": given.filename} for given in inputs}
    return {"inputs": named}


def _gpu_devices() -> tuple[str, ...]:
    """Every NVIDIA device file: which of the GPUs is used is said by CUDA_VISIBLE_DEVICES."""
    numbered = sorted(str(path) for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit())
    return (*(f"/dev/{name}" for name in GPU_DEVICES), *numbered)


def variables(document: AttemptDocument) -> dict[str, str]:
    """The documented variables of the workflow contract."""
    cores = str(document.resources.vcpus)
    gpus = _gpus(document.resources.gpus)
    return {
        "LANG": "C.UTF-8",
        "HOME": "/job/scratch",
        "TMPDIR": "/job/scratch",
        **document.environment.variables,
        "PATH": ":".join(dict.fromkeys((*document.environment.path, "/usr/bin", "/bin"))),
        "NEUROCAAS_MANIFEST": "/job/manifest.json",
        "NEUROCAAS_CONFIG": "/job/config.json",
        "NEUROCAAS_RESULTS": "/job/results",
        "NEUROCAAS_SCRATCH": "/job/scratch",
        "NEUROCAAS_CHECKPOINT": "/job/checkpoint",
        "NEUROCAAS_REPORT": "/job/report",
        "NEUROCAAS_SEED": str(document.seed),
        "NEUROCAAS_CORES": cores,
        "NEUROCAAS_MEMORY_MIB": str(document.resources.memory_mib),
        "NEUROCAAS_GPUS": gpus,
        "CUDA_VISIBLE_DEVICES": gpus,
        **dict.fromkeys(THREAD_VARIABLES, cores),
        **{variable_of(given.name): inside(given) for given in document.inputs},
    }


def _gpus(given: tuple[str, ...]) -> str:
    """The numbers of the attempt's GPUs. What an engine allots is said in this process's own environment."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "") if given == (ALLOTTED,) else ",".join(given)


def variable_of(name: str) -> str:
    """The variable that holds an input's path: upper case, everything but letters and digits an underscore."""
    return "NEUROCAAS_INPUT_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name.upper())


def limits(document: AttemptDocument) -> Limits:
    return Limits(
        memory_bytes=document.resources.memory_mib * MIB,
        processes=document.resources.processes,
        file_bytes=document.resources.storage_mib * MIB,
    )


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever modes a workflow gave to what is in it. Quiet if it is already gone."""
    try:
        shutil.rmtree(folder)
        return
    except FileNotFoundError:
        return
    except OSError as cause:
        if cause.errno not in (errno.EACCES, errno.EPERM):
            raise
    for path, folders, _ in os.walk(folder):
        for name in folders:
            child = Path(path, name)
            if not child.is_symlink():
                child.chmod(0o700)
    shutil.rmtree(folder)
