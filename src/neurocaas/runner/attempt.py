"""One attempt from its document to its exit record."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from neurocaas.bell import ring
from neurocaas.errors import NeurocaasError, NotFound, StorageFailed, Unavailable
from neurocaas.reasons import Reason
from neurocaas.runner import staging
from neurocaas.runner.bringing import bring
from neurocaas.runner.checkpointing import Checkpointing, checkpointing
from neurocaas.runner.collection import collect
from neurocaas.runner.document import AttemptDocument, Delivered, ExitRecord, Host, LogRecord, SandboxRecord, Used
from neurocaas.runner.lease import LeaseWatch
from neurocaas.runner.log import Log, timestamp
from neurocaas.runner.metrics import measure
from neurocaas.runner.report import Report
from neurocaas.runner.resuming import meanwhile, resume
from neurocaas.runner.stopped import Stopped
from neurocaas.runner.supervision import (
    Cancelling,
    Supervision,
    check_usage,
    out_of_memory,
    out_of_storage,
    output_pipe,
)
from neurocaas.sandbox import (
    MIB,
    Cage,
    Ending,
    Engine,
    SpaceWatch,
    View,
    choose_cage,
    choose_cage_for,
    describe_identity,
    find_engine,
    identity_of_this_process,
    start,
)
from neurocaas.sandbox.bubblewrap import version
from neurocaas.storage import Store, keys

T = TypeVar("T")

STORE_TRIES = 6
FIRST_RETRY_SECONDS = 0.05
NEARLY_ALL = 0.8


class Attempt:
    """Performs one attempt document. `perform` never raises; whatever happens becomes an exit record."""

    def __init__(self, document: AttemptDocument, store: Store, cancelling: Cancelling) -> None:
        self._document = document
        self._store = store
        self._cancelling = cancelling
        self._stage = staging.Stage(work=document.work, uid=document.uid if os.geteuid() == 0 else None)
        self._lease = LeaseWatch(store, document.prefix, document.token, interval_seconds=document.heartbeat_seconds)
        self._log = Log(store, document.prefix, status=self._status, stored=self._ring_for_log)
        self._started_at = timestamp()
        self._started = time.monotonic()
        self._report: Report | None = None
        self._supervision: Supervision | None = None
        self._space: SpaceWatch | None = None
        self._ending: Ending | None = None
        self._finishing = False
        self._metrics: dict[str, float] = {}
        self._cpu_seconds = 0.0
        self._wall_seconds = 0.0

    def perform(self) -> bool:
        """Do it all. False when not even the exit record could be stored."""
        outputs: tuple[Delivered, ...] = ()
        stopped: Stopped | None = None
        try:
            outputs = self._perform()
        except Stopped as stop:
            stopped = stop
        except Exception as cause:  # noqa: BLE001 - the manager must hear of every end
            self._note_fault()
            reason = Reason.RESULTS_NOT_STORED if isinstance(cause, StorageFailed) else Reason.INTERNAL
            stopped = Stopped(reason, str(cause) or type(cause).__name__)
        return self._end(outputs, stopped)

    def _perform(self) -> tuple[Delivered, ...]:
        self._lease.look()
        document = self._document = self._alive(lambda: bring(self._document, self._store))
        if document.resources.cores:
            with contextlib.suppress(OSError):  # A core that went offline: the kernel then chooses.
                os.sched_setaffinity(0, document.resources.cores)
        self._check_environment()
        staging.check_inputs(document.inputs)
        staging.lay_out(self._stage)
        inputs = self._alive(lambda: staging.mount_inputs(document, self._stage, self._store))
        try:
            resume(document, self._stage, self._store, note=self._log.note, beat=self._beat)
            with self._prepared() as cage:
                for check in document.workflow.checks:
                    self._run(staging.view(document, self._stage, inputs, check), cage, Reason.INPUT_REJECTED)
                command = staging.view(document, self._stage, inputs, document.workflow.command)
                with checkpointing(document, self._stage, self._store, note=self._log.note) as taking:
                    self._run(command, cage, Reason.WORKFLOW_FAILED, taking)
        finally:
            self._finish_log()
        # A workflow that read a file while it changed has computed something nobody can check.
        staging.check_inputs(document.inputs)
        outputs = self._alive(lambda: collect(self._stage.results, document.outputs, self._store, document.prefix))
        self._metrics = measure(document.metrics, outputs, self._store, document.prefix)
        return outputs

    def _alive(self, action: Callable[[], T]) -> T:
        """Do what may move gigabytes to or from a store elsewhere, with the heart beating: silence counts as death."""
        return meanwhile(action, self._beat, every_seconds=self._document.heartbeat_seconds)

    def _beat(self) -> None:
        self._lease.look()
        if self._cancelling.requested:
            raise Stopped(Reason.CANCELLED, "The attempt was cancelled.")
        with contextlib.suppress(StorageFailed):
            self._log.flush()

    def _check_environment(self) -> None:
        for source in (*(mount.source for mount in self._document.environment.mounts), self._document.workflow.files):
            if not source.exists():
                raise Stopped(Reason.ENVIRONMENT_BROKEN, f"A part of the analysis is gone from this machine: {source}.")

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[Cage]:
        """The cage, the report and all that looks after the workflow."""
        document, stage = self._document, self._stage
        self._report = Report(stage.report, owner=stage.uid)
        cage = self._make_cage()
        try:
            self._space = SpaceWatch(
                stage.writable, limit_bytes=document.resources.storage_mib * MIB, started=time.monotonic()
            )
            self._supervision = Supervision(
                document,
                cage=cage,
                log=self._log,
                report=self._report,
                space=self._space,
                lease=self._lease,
                cancelling=self._cancelling,
                local=self._store.local_path(document.prefix) is not None,
            )
            self._started = time.monotonic()
            yield cage
        finally:
            self._wall_seconds = time.monotonic() - self._started
            cage.remove()
            self._report.close()

    def _make_cage(self) -> Cage:
        try:
            return choose_cage_for(engine_of(self._document)).create(
                cage_name(self._document.attempt, self._document.token), staging.limits(self._document)
            )
        except Unavailable as cause:
            raise Stopped(Reason.SANDBOX_FAILED, cause.message) from cause

    def _run(self, view: View, cage: Cage, failure: Reason, taking: Checkpointing | None = None) -> None:
        """Run one command in the sandbox. Raises Stopped unless it ended with exit code 0 and within its limits."""
        assert self._supervision is not None
        assert self._space is not None
        reading, writing = output_pipe()
        try:
            self._ending, stopped = self._follow(view, cage, reading, writing, taking)
        finally:
            os.close(reading)
        self._cpu_seconds += self._ending.cpu_seconds
        if stopped is not None:
            raise stopped
        check_usage(self._supervision.usage, self._document)
        if self._ending.oom_killed:
            raise out_of_memory(self._document)
        if self._space.look() or self._ending.signal == signal.SIGXFSZ:
            raise out_of_storage(self._document)
        self._check_ending(self._ending, failure)

    def _follow(
        self, view: View, cage: Cage, reading: int, writing: int, taking: Checkpointing | None
    ) -> tuple[Ending, Stopped | None]:
        assert self._supervision is not None
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            process = start(
                view,
                cage=cage,
                limits=staging.limits(self._document),
                stdin=nothing,
                stdout=writing,
                stderr=writing,
            )
        except Unavailable as cause:
            raise Stopped(Reason.SANDBOX_FAILED, cause.message) from cause
        except NotFound as cause:
            raise Stopped(Reason.ENVIRONMENT_BROKEN, cause.message) from cause
        finally:
            os.close(nothing)
            os.close(writing)
        return self._supervision.follow(process, reading, taking)

    def _check_ending(self, ending: Ending, failure: Reason) -> None:
        assert self._report is not None
        assert self._supervision is not None
        last = self._log.last_line()
        # bubblewrap's own complaints begin with its name; not finding the command to run is the workflow's fault.
        complained = ending.exit_code == 1 and last.startswith("bwrap: ") and not last.startswith("bwrap: execvp")
        if complained or not ending.set_up:
            raise Stopped(Reason.SANDBOX_FAILED, f"The sandbox could not be made: {last or 'nothing was said'}.")
        if ending.exit_code == 0:
            return
        peak, limit = self._supervision.usage.peak_memory_bytes, self._document.resources.memory_mib * MIB
        if ending.signal == signal.SIGKILL and peak > limit * NEARLY_ALL:
            # Nobody here killed it, so the kernel did, for the machine's memory or faster than the cage could see.
            raise Stopped(Reason.OUT_OF_MEMORY, "The workflow was killed when memory ran out.")
        raise Stopped(failure, self._report.failure or _last_words(ending, last, failure))

    def _finish_log(self) -> None:
        """The last lines are stored even if the store fails at first."""
        self._finishing = True
        _insist(self._log.finish)

    def _status(self) -> dict[str, object]:
        usage = self._supervision.usage if self._supervision else None
        space = self._space
        return {
            "progress": self._report.progress if self._report else None,
            "message": self._report.message if self._report else "",
            "usage": {
                "wall_seconds": round(time.monotonic() - self._started, 3),
                "cpu_seconds": round(usage.cpu_seconds, 3) if usage else 0.0,
                "memory_bytes": usage.memory_bytes if usage else 0,
                "storage_bytes": space.last.allocated_bytes if space else 0,
                "processes": usage.processes if usage else 0,
            },
        }

    def _ring_for_log(self) -> None:
        # The last segment is followed by the exit record at once, and that rings too.
        if not self._finishing:
            self._ring("log")

    def _ring(self, what: str) -> None:
        if self._document.bell is not None:
            ring(self._document.bell, f"{what} {self._document.attempt}")

    def _end(self, outputs: tuple[Delivered, ...], stopped: Stopped | None) -> bool:
        """Write the exit record, last of all. Quiet if this attempt has one already."""
        record = self._record(outputs, stopped).model_dump_json().encode()
        if stopped is not None:
            # On a full disk what the workflow wrote makes room for the record of its end.
            self._clean()
        key = keys.exit_record(self._document.prefix)
        try:
            _insist(lambda: self._store.create(key, record))
        except NeurocaasError:
            self._note_fault()
            with contextlib.suppress(OSError):
                (self._document.work / "exit.json").write_bytes(record)
            self._ring("exit")
            return False
        self._ring("exit")
        self._clean()
        return True

    def _record(self, outputs: tuple[Delivered, ...], stopped: Stopped | None) -> ExitRecord:
        ending, document = self._ending, self._document
        usage = self._supervision.usage if self._supervision else None
        message = stopped.message if stopped else ""
        return ExitRecord(
            attempt=document.attempt,
            token=document.token,
            succeeded=stopped is None,
            reason=stopped.reason if stopped else Reason.NONE,
            message=message.encode(errors="replace").decode(),
            exit_code=ending.exit_code if ending else None,
            signal=ending.signal if ending else None,
            started_at=self._started_at,
            ended_at=timestamp(),
            usage=Used(
                wall_seconds=round(self._wall_seconds, 3),
                cpu_seconds=round(max(self._cpu_seconds, usage.cpu_seconds if usage else 0.0), 3),
                peak_memory_bytes=usage.peak_memory_bytes if usage else 0,
                peak_storage_bytes=self._space.peak_bytes if self._space else 0,
            ),
            outputs=outputs,
            metrics=self._metrics,
            sandbox=self._sandbox_record(),
            host=host(),
            log=LogRecord(segments=self._log.segments, dropped_bytes=self._log.dropped_bytes),
        )

    def _sandbox_record(self) -> SandboxRecord:
        try:
            engine = engine_of(self._document)
        except Unavailable as cause:
            return SandboxRecord(method=cause.message)
        return sandbox_record(self._stage.uid) if engine is None else container_record(self._stage.uid, engine)

    def _clean(self) -> None:
        """Remove what only the workflow needed."""
        try:
            staging.clean(self._stage)
        except OSError:
            self._note_fault()

    def _note_fault(self) -> None:
        """Keep the traceback of the exception being handled, for whoever maintains the platform."""
        with contextlib.suppress(OSError), (self._document.work / "runner.log").open("a") as log:
            traceback.print_exc(file=log)


def cage_name(attempt: str, token: str) -> str:
    """The name of an attempt's cage on this machine."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", f"{attempt}-{token[:12]}")[-200:]


def _insist(action: Callable[[], object]) -> None:
    """Do it; on a failing store again, a little later each time. Raises StorageFailed in the end."""
    pause = FIRST_RETRY_SECONDS
    for _ in range(STORE_TRIES - 1):
        try:
            action()
            return
        except StorageFailed:
            time.sleep(pause)
            pause *= 3
    action()


def _last_words(ending: Ending, last: str, failure: Reason) -> str:
    who = "The workflow" if failure is Reason.WORKFLOW_FAILED else "The dataset's check"
    if ending.signal is not None:
        try:
            how = f"was ended by signal {ending.signal} ({signal.Signals(ending.signal).name})"
        except ValueError:
            how = f"was ended by signal {ending.signal}"
    else:
        how = f"ended with exit code {ending.exit_code}"
    return f"{who} {how}; its last line was: {last}" if last else f"{who} {how} and printed nothing."


@functools.cache
def sandbox_record(uid: int | None) -> SandboxRecord:
    """How workflows are isolated here, for exit records."""
    try:
        method = "bubblewrap " + ".".join(map(str, version()))
    except Unavailable as cause:
        method = cause.message
    return SandboxRecord(
        method=method, identity=describe_identity(identity_of_this_process(), uid), limits=choose_cage().describe()
    )


def container_record(uid: int | None, engine: Engine) -> SandboxRecord:
    """The same for a workflow that runs in a container."""
    return SandboxRecord(
        method=f"{engine.name} {engine.version}",
        identity=describe_identity(identity_of_this_process(), uid),
        limits="The container engine limits memory and processes; storage is limited per file and watched.",
    )


def engine_of(document: AttemptDocument) -> Engine | None:
    """What runs the workflow's image; None for a workflow without one. Raises Unavailable."""
    return find_engine(document.environment.engine) if document.environment.root else None


@functools.cache
def host() -> Host:
    """This machine, for exit records."""
    system = os.uname()
    model = ""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open("rb", buffering=0) as cpus:
        # One read gives the first core; the whole file takes milliseconds on a machine with many.
        found = re.search(rb"^model name\s*:\s*(.+)$", cpus.read(4096), re.MULTILINE)
        model = found[1].decode(errors="replace").strip() if found else ""
    return Host(
        hostname=system.nodename,
        platform=f"{system.sysname} {system.release} {system.machine}",
        cpu_model=model or platform.processor() or system.machine,
    )
