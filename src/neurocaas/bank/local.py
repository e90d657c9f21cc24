"""This machine as a provider: its cores, memory and GPUs are the capacity, and stacks queue for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neurocaas.bank.provider import Carrier, Hint, Instance, InstanceType, Launch, NoCapacity, Placement, State
from neurocaas.bell import Bell
from neurocaas.blueprint import Need
from neurocaas.errors import NeurocaasError
from neurocaas.settings import Settings

# Host user ids that no distribution hands out (systemd's list of reserved ranges leaves this gap), one per live stack.
FIRST_UID = 60578
LAST_UID = 61183
REPLY_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What one allocation holds of this machine."""

    vcpus: int
    memory_mib: int
    cores: tuple[int, ...]
    gpus: tuple[str, ...]
    uid: int | None


class LocalProvider:
    """Runners forked from one warm parent process; each outlives the job manager and the parent."""

    name = "local"
    carrier = Carrier.HERE

    def __init__(self, settings: Settings) -> None:
        machine = settings.site.local
        available = sorted(os.sched_getaffinity(0))
        self._cores = tuple(available[: machine.vcpus or len(available)])
        total_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
        self._memory_mib = int(machine.memory_gib * 1024) if machine.memory_gib else total_mib
        self._gpus = _gpus_here() if machine.gpus is None else machine.gpus
        self._price_per_hour = machine.price_per_hour
        self._shares: dict[str, _Share] = {}
        self._runners: dict[int, str] = {}  # handles by the process ids of this manager's own runners
        self._open: dict[str, Instance] = {}
        self._ended: list[Instance] = []
        self._bell_path = settings.run / "local.bell"
        self._bell: Bell | None = None
        self._nursery: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._gone: list[Hint] = []

    def repository(self) -> str:
        return ""

    def instance_types(self) -> tuple[InstanceType, ...]:
        whole = InstanceType(
            name="local",
            provider=self.name,
            site_name=True,
            vcpus=len(self._cores),
            memory_mib=self._memory_mib,
            gpus=len(self._gpus),
            price_per_hour=self._price_per_hour,
        )
        return (whole,)

    def at_once(self, need: Need) -> int:
        has = ((len(self._cores), need.vcpus), (self._memory_mib, need.memory_mib), (len(self._gpus), need.gpus))
        return min(total // wanted for total, wanted in has if wanted)

    def launch(self, launch: Launch) -> str:
        share = self._free_share(launch.need)
        document = dict(launch.document)
        document["resources"] = document["resources"] | {"cores": share.cores, "gpus": share.gpus}
        document["uid"] = share.uid
        document["bell"] = str(self._bell_path)
        launch.work.mkdir(parents=True, exist_ok=True)
        path = launch.work / "attempt.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        started = self._fork(path)
        handle = json.dumps(
            {
                "attempt": launch.attempt,
                "pid": started["pid"],
                "start_ticks": started["start_ticks"],
                "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "share": share.__dict__,
            }
        )
        self._shares[handle] = share
        self._runners[started["pid"]] = handle
        self._begin(handle)
        return handle

    def find(self, attempt: str, work: Path) -> str | None:
        try:
            runner = json.loads((work / "runner.json").read_text(encoding="utf-8"))
            document = json.loads((work / "attempt.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        resources = document["resources"]
        share = {
            "vcpus": resources["vcpus"],
            "memory_mib": resources["memory_mib"],
            "cores": resources["cores"],
            "gpus": resources["gpus"],
            "uid": document["uid"],
        }
        identity = {"pid": runner["pid"], "start_ticks": runner["start_ticks"]}
        return json.dumps({"attempt": attempt, **identity, "share": share})

    def adopt(self, handles: Collection[str]) -> None:
        for handle, state in self.sweep(handles).items():
            if state is State.RUNNING and handle not in self._shares:
                held = json.loads(handle)
                share = held["share"] | {"cores": tuple(held["share"]["cores"]), "gpus": tuple(held["share"]["gpus"])}
                self._shares[handle] = _Share(**share)
                self._begin(handle)

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        states = {handle: State.RUNNING if _alive(handle) else State.GONE for handle in handles}
        for handle, state in states.items():
            if state is State.GONE:
                self._shares.pop(handle, None)
                self._end(handle, "Its runner ended.")
        return states

    def why(self, handle: str) -> str:  # noqa: ARG002 (a process that is gone says nothing)
        return ""

    def interrupt(self, handle: str) -> None:
        self._signal(handle, signal.SIGTERM)

    def release(self, handle: str) -> None:
        # The sandbox dies with its runner, and everything in the sandbox with it.
        self._signal(handle, signal.SIGKILL)
        self._shares.pop(handle, None)
        self._end(handle, "It was released.")

    def instances(self) -> list[Instance]:
        """The allocations: each is the part of this machine that one attempt has."""
        ended, self._ended = self._ended, []
        return [*self._open.values(), *ended]

    def end_instance(self, instance: Instance) -> bool:  # noqa: ARG002 (an allocation is its runner)
        return False

    def events(self) -> list[Hint]:
        hints = []
        for message in self._bell.drain() if self._bell else ():
            what, _, attempt = message.partition(" ")
            hints.append(Hint(attempt=attempt, what=what))
        self._read_line(wait=False)
        hints.extend(self._gone)
        self._gone.clear()
        return hints

    def filenos(self) -> list[int]:
        return [one.fileno() for one in (self._bell, self._line) if one is not None]

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._nursery is not None:
            self._nursery.wait()
        if self._bell is not None:
            self._bell.close()

    def shortage(self, need: Need, placement: Placement) -> str:  # noqa: ARG002 (one machine is all there is)
        return self._shortage(need)

    def start(self) -> None:
        self._bell = Bell(self._bell_path)
        self._warm()

    def _shortage(self, need: Need) -> str:
        free_memory_mib = self._memory_mib - sum(share.memory_mib for share in self._shares.values())
        short = [
            f"{wanted} {what} ({free} of {total} free)"
            for what, wanted, free, total in (
                ("vCPUs", need.vcpus, len(self._free_cores()), len(self._cores)),
                ("MiB of memory", need.memory_mib, free_memory_mib, self._memory_mib),
                ("GPUs", need.gpus, len(self._free_gpus()), len(self._gpus)),
            )
            if wanted > free
        ]
        return f"It needs {', '.join(short)}; {len(self._shares)} running stacks hold the rest." if short else ""

    def _warm(self) -> None:
        """Start the runners' warm parent if none is there."""
        if self._nursery is not None and self._nursery.poll() is None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "neurocaas.runner.nursery", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._line = ours

    def _free_share(self, need: Need) -> _Share:
        if short := self._shortage(need):
            raise NoCapacity(short)
        uids = {share.uid for share in self._shares.values()}
        return _Share(
            vcpus=need.vcpus,
            memory_mib=need.memory_mib,
            cores=tuple(self._free_cores()[: need.vcpus]),
            gpus=tuple(self._free_gpus()[: need.gpus]),
            uid=next(uid for uid in range(FIRST_UID, LAST_UID) if uid not in uids) if os.geteuid() == 0 else None,
        )

    def _free_cores(self) -> list[int]:
        held = {core for share in self._shares.values() for core in share.cores}
        return [core for core in self._cores if core not in held]

    def _free_gpus(self) -> list[str]:
        held = {gpu for share in self._shares.values() for gpu in share.gpus}
        return [gpu for gpu in self._gpus if gpu not in held]

    def _fork(self, document: Path) -> dict[str, Any]:
        """Have the nursery fork a runner for the document; its reply names the process."""
        self._warm()
        assert self._line is not None
        try:
            self._line.send(str(document).encode())
            reply = self._read_line(wait=True)
        except OSError as cause:
            raise NeurocaasError(f"The runners' parent process ended unexpectedly: {cause.strerror}.") from cause
        if reply is None:
            raise NeurocaasError("The runners' parent process ended unexpectedly.")
        return reply

    def _read_line(self, *, wait: bool) -> dict[str, Any] | None:
        """The nursery's next reply; what it says of ended runners on the way becomes hints."""
        if self._line is None:
            return None
        self._line.setblocking(wait)
        with contextlib.suppress(BlockingIOError):
            while data := self._line.recv(REPLY_BYTES):
                message: dict[str, Any] = json.loads(data)
                if "gone" not in message:
                    return message
                if handle := self._runners.pop(message["gone"], None):
                    self._end(handle, "Its runner ended.")
                    self._gone.append(Hint(attempt=json.loads(handle)["attempt"], what="gone"))
            self._line.close()
            self._line = None
        return None

    def _begin(self, handle: str) -> None:
        """An instance begins, or began under a manager before this one."""
        held = json.loads(handle)
        self._open[handle] = Instance(
            provider=self.name,
            id=held["attempt"],
            instance_type="local",
            price_per_hour=self._price_per_hour,
            started_at=_started_at(held),
            attempts=(held["attempt"],),
        )

    def _end(self, handle: str, reason: str) -> None:
        """The instance ends now. Quiet if it has already."""
        if one := self._open.pop(handle, None):
            self._ended.append(replace(one, ended_at=datetime.now(UTC), reason=reason))

    def _signal(self, handle: str, number: signal.Signals) -> None:
        if not _alive(handle):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(handle)["pid"], number)


def _gpus_here() -> tuple[str, ...]:
    """The numbers of this machine's NVIDIA GPUs, as CUDA_VISIBLE_DEVICES wants them."""
    numbers = (one.name.removeprefix("nvidia") for one in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(sorted(filter(str.isdigit, numbers), key=int))


def _started_at(held: dict[str, Any]) -> datetime:
    """As the manager that launched it noted; to the kernel's clock tick for one that was found again."""
    if noted := held.get("started_at"):
        return datetime.fromisoformat(noted)
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return datetime.fromtimestamp(boot + held["start_ticks"] / os.sysconf("SC_CLK_TCK"), UTC)


def _alive(handle: str) -> bool:
    """Whether the very process of this handle runs: a number that another process got later does not count."""
    held = json.loads(handle)
    try:
        stat = Path(f"/proc/{held['pid']}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    fields = stat.rpartition(")")[2].split()
    return fields[0] not in "ZX" and int(fields[19]) == held["start_ticks"]
