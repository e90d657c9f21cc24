"""The two documents between a provider and the runner: what to do, and how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from neurocaas.documents import Document
from neurocaas.reasons import Reason

Positive = Annotated[int, Field(gt=0)]
ALLOTTED = "allotted"


class Part(Document):
    """One file of a folder that is put together: its path in the folder, and where it is in the store."""

    path: str
    key: str


class Input(Document):
    """One named input. `path`: on this machine, bind-mounted; `key`: in the store, fetched; `parts`: a folder of files
    in the store. Exactly one is given."""

    name: str
    form: Literal["file", "folder"]
    filename: str
    path: Path | None = None
    key: str | None = None
    parts: tuple[Part, ...] = ()
    sha256: str
    size_bytes: int
    fingerprint: str | None = None


class Workflow(Document):
    """files: the folder of the analysis version, seen by the workflow as /workflow. archive: the same in the store.

    checks: run first, in order.
    """

    files: Path
    archive: str = ""
    command: tuple[str, ...]
    checks: tuple[tuple[str, ...], ...] = ()
    network: bool = False
    checkpoints: bool = False


class Output(Document):
    """pattern: a glob relative to the results folder; `**` stands for any number of folders."""

    name: str
    pattern: str
    required: bool = True


class Metric(Document):
    """A number in a JSON file among the results. pointer: a JSON pointer (RFC 6901)."""

    name: str
    pattern: str
    pointer: str


class EnvironmentMount(Document):
    """archive: the key of a tar of the same tree, for a machine where `source` is not to be found."""

    source: Path
    target: str
    archive: str = ""


class AttemptEnvironment(Document):
    """path: entries that come first on PATH. image: the OCI image that it is, or was made into, by digest or id.

    engine: what runs an image that it is, podman or docker; the first that is found if empty.
    """

    digest: str
    image: str = ""
    engine: str = ""
    mounts: tuple[EnvironmentMount, ...] = ()
    variables: dict[str, str] = Field(default_factory=dict)
    path: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """The image that is the workflow's root. One that has its trees mounted was made into an image for a provider
        whose machines are started from it, and the runner is inside: the root is then that of this machine."""
        return "" if self.mounts else self.image


class Resources(Document):
    """cores: ids of the CPUs to run on; empty leaves the choice to the kernel. gpus: their numbers, or ALLOTTED alone:
    those that CUDA_VISIBLE_DEVICES names when the runner begins, as an engine sets it for what it starts."""

    vcpus: Positive
    cores: tuple[int, ...] = ()
    memory_mib: Positive
    storage_mib: Positive
    gpus: tuple[str, ...] = ()
    processes: Positive = 1024


class AttemptDocument(Document):
    """One attempt: what a provider hands to the runner as a JSON file.

    prefix: the attempt's key prefix in the store. work: a folder of this attempt alone. uid: the workflow's uid on
    this machine where the platform runs as root. bell: the socket that wakes whoever follows. checkpoint: the key
    prefix of the checkpoint to go on from, an earlier attempt's. shelf: where a machine keeps what it had brought.
    """

    attempt: str
    token: str
    store: str
    prefix: str
    work: Path
    inputs: tuple[Input, ...]
    config: dict[str, Any]
    seed: int
    workflow: Workflow
    outputs: tuple[Output, ...]
    metrics: tuple[Metric, ...] = ()
    environment: AttemptEnvironment
    resources: Resources
    timeout_seconds: Annotated[float, Field(gt=0)]
    uid: int | None = None
    bell: Path | None = None
    checkpoint: str | None = None
    shelf: Path | None = None
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 2.0


class Used(Document):
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_storage_bytes: int = 0


class Delivered(Document):
    """One result: its path below the results, as the workflow named it."""

    path: str
    size_bytes: int
    sha256: str


class SandboxRecord(Document):
    method: str = ""
    identity: str = ""
    limits: str = ""


class Host(Document):
    hostname: str
    platform: str
    cpu_model: str


class LogRecord(Document):
    """segments: the number of the last segment, 0 if there is none; they count from 1."""

    segments: int = 0
    dropped_bytes: int = 0


class ExitRecord(Document):
    """How an attempt ended: written last, once, through storage. Times are ISO 8601 in UTC, to the millisecond."""

    attempt: str
    token: str
    succeeded: bool
    reason: Reason
    message: str
    exit_code: int | None = None
    signal: int | None = None
    started_at: str
    ended_at: str
    usage: Used = Used()
    outputs: tuple[Delivered, ...] = ()
    metrics: dict[str, float] = Field(default_factory=dict)
    sandbox: SandboxRecord = SandboxRecord()
    host: Host
    log: LogRecord = LogRecord()


class Segment(Document):
    """One numbered piece of an attempt's log, which is its heartbeat too; `text` may be empty.

    progress: in [0, 1], None as long as none was reported. time: ISO 8601 in UTC.
    """

    sequence: int
    time: str
    progress: float | None = None
    message: str = ""
    usage: dict[str, float] = Field(default_factory=dict)
    text: str = ""


class Lease(Document):
    """What the job manager keeps at an attempt's lease key for as long as the attempt may go on."""

    token: str


class RunnerRecord(Document):
    """`runner.json` in the work folder: which process performs the attempt, told apart from later users of its pid."""

    pid: int
    start_ticks: int
    boot_id: str
