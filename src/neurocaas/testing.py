"""Public fakes for this project's tests and for yours: a simulated cloud, a clock, and parts that die.

A store needs no fake: the one for `file://` in a temporary folder is as fast.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from neurocaas.bank import Carrier, Hint, Instance, InstanceType, Launch, NoCapacity, Placement, State
from neurocaas.blueprint import Need
from neurocaas.documents import digest_of
from neurocaas.storage import Store, keys


class Killed(BaseException):
    """The process was killed here. Not an Exception, so that nothing under test survives it by catching it."""


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        """The same time, as a machine that never sleeps counts it."""
        return self.now.timestamp()

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Machine:
    """One instance of the simulated cloud: what it runs, on what, from when to when."""

    document: dict[str, Any]
    placement: Placement
    started_at: datetime
    ended_at: datetime | None = None


@dataclass
class SimulatedFleet:
    """The instances of the simulated cloud, as it reports them.

    keep_seconds: for how long one idles after its attempt, and serves the next one of its type and price, before it
    ends. strays: ids of those that run for nobody and never will end by themselves.
    """

    name: str
    clock: FakeClock
    keep_seconds: float = 0
    strays: set[str] = field(default_factory=set)
    _all: dict[str, Instance] = field(default_factory=dict)
    _idle_since: dict[str, datetime] = field(default_factory=dict)
    _of: dict[str, str] = field(default_factory=dict)  # the instance of each attempt that runs
    _told: set[str] = field(default_factory=set)

    def stray(self, placement: Placement) -> str:
        """An instance that nobody asked for. Returns its id."""
        self.strays.add(instance := self._boot(placement))
        return instance

    def begin(self, attempt: str, placement: Placement) -> None:
        """The attempt gets an instance that idles, or else a new one."""
        self._retire()
        wanted = (placement.instance_type.name, placement.saves)
        idle = [one for one in self._idle_since if (self._all[one].instance_type, self._all[one].save) == wanted]
        instance = idle[0] if idle else self._boot(placement)
        self._idle_since.pop(instance, None)
        one = self._all[instance]
        self._all[instance] = replace(one, attempts=(*one.attempts, attempt))
        self._of[attempt] = instance

    def free(self, attempt: str, reason: str) -> None:
        """The attempt leaves its instance, which ends for this reason, or idles if there is none. Quiet if it left."""
        instance = self._of.pop(attempt, "")
        if not instance:
            return
        if reason or not self.keep_seconds:
            self._end(instance, self.clock(), reason or "Its attempt ended.")
        else:
            self._idle_since[instance] = self.clock()

    def end(self, instance: str) -> None:
        self._end(instance, self.clock(), "It was ended on request.")

    def report(self) -> list[Instance]:
        self._retire()
        found = [one for one in self._all.values() if one.ended_at is None or one.id not in self._told]
        self._told |= {one.id for one in found if one.ended_at is not None}
        return found

    def _boot(self, placement: Placement) -> str:
        instance = Instance(
            provider=self.name,
            id=f"i-{len(self._all):05}",
            instance_type=placement.instance_type.name,
            price_per_hour=placement.price_per_hour,
            started_at=self.clock(),
            save=placement.saves,
        )
        self._all[instance.id] = instance
        return instance.id

    def _retire(self) -> None:
        for instance, since in [*self._idle_since.items()]:
            over = since + timedelta(seconds=self.keep_seconds)
            if over <= self.clock():
                self._end(instance, over, "It had idled for long enough.")

    def _end(self, instance: str, at: datetime, reason: str) -> None:
        self.strays.discard(instance)
        self._idle_since.pop(instance, None)
        if self._all[instance].ended_at is None:
            self._all[instance] = replace(self._all[instance], ended_at=at, reason=reason)


@dataclass
class SimulatedCloud:
    """A provider whose instances are entries in a table, on a clock that stands still until it is moved.

    It outlives the job managers that use it, as a real one does. With `run_seconds` each workflow takes as long as that
    says, after `provisioning_seconds`, and `step` moves the clock to what happens next; without, a test says when each
    ends, is lost, or goes silent. capacity: instances of each type at one time; None: as many as are asked for.
    interrupted_after: seconds after which the provider takes an attempt's instance back; None for never. fleet: the
    instances below the attempts; one for each, unless it is told to keep them.
    """

    store: Store
    capacity: int | None = 2
    price_per_hour: Decimal = Decimal(0)
    save_price_per_hour: Decimal | None = None
    name: str = "simulated"
    carrier: Carrier = Carrier.HERE
    clock: FakeClock = field(default_factory=FakeClock)
    provisioning_seconds: float = 0
    run_seconds: Callable[[Mapping[str, Any]], float] | None = None
    outcome: Callable[[Mapping[str, Any]], str] = lambda _: ""  # the reason of a workflow's failure
    interrupted_after: Callable[[str, Placement], float | None] = lambda *_: None
    catalogue: tuple[InstanceType, ...] = ()
    launched: list[str] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)
    fleet: SimulatedFleet = field(init=False)
    _running: dict[str, Machine] = field(default_factory=dict)
    _busy: Counter[str] = field(default_factory=Counter)
    _interrupted: set[str] = field(default_factory=set)
    _pending: dict[str, str] = field(default_factory=dict)  # attempts that have no instance yet, and why
    _unavailable: dict[str, str] = field(default_factory=dict)  # those that got none in time, and why
    _hints: list[Hint] = field(default_factory=list)
    _agenda: list[tuple[datetime, int, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = SimulatedFleet(name=self.name, clock=self.clock)

    @property
    def running(self) -> list[str]:
        """Attempts whose instance is up, in the order of their launch."""
        return list(self._running)

    def document(self, attempt: str) -> dict[str, Any]:
        """The attempt document of an attempt that runs."""
        return self._running[attempt].document

    def finish(self, attempt: str, *, reason: str = "", message: str = "") -> None:
        """The runner of this attempt writes its exit record, and its instance goes."""
        machine = self._end(attempt)
        document = machine.document
        begun = min(machine.started_at + timedelta(seconds=self.provisioning_seconds), self.clock())
        record = exit_record(document, reason=reason, message=message, at=self.clock(), begun_at=begun)
        self.store.create(keys.exit_record(document["prefix"]), json.dumps(record).encode())
        self._hints.append(Hint(attempt=attempt, what="exit"))

    def lose(self, attempt: str) -> None:
        """The instance of this attempt goes away without a word."""
        self._end(attempt, "Its provider took it.")
        self._hints.append(Hint(attempt=attempt, what="gone"))

    def take_back(self, attempt: str) -> None:
        """The provider wants the instance of this attempt for somebody else."""
        self._interrupted.add(attempt)
        self.lose(attempt)

    def hold(self, attempt: str, why: str) -> None:
        """The attempt waits for its instance: it was accepted, but has not begun."""
        self._pending[attempt] = why

    def begin(self, attempt: str) -> None:
        """The attempt that was held has its instance now."""
        del self._pending[attempt]
        self._hints.append(Hint(attempt=attempt, what="begun"))

    def give_up(self, attempt: str, why: str) -> None:
        """The attempt waited for its instance in vain."""
        self._unavailable[attempt] = why
        self.lose(attempt)

    def next_event(self) -> datetime | None:
        """When something happens by itself next; None if nothing will."""
        while self._agenda and self._agenda[0][2] not in self._running:
            heapq.heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None

    def step(self) -> bool:
        """Move the clock to what happens next, and have all of that moment happen. False if nothing will."""
        at = self.next_event()
        if at is None:
            return False
        self.clock.now = max(self.clock.now, at)
        while self._agenda and self._agenda[0][0] <= at:
            _, _, attempt, what = heapq.heappop(self._agenda)
            if attempt not in self._running:
                continue
            if what == "interrupt":
                self.take_back(attempt)
            else:
                reason = self.outcome(self._running[attempt].document)
                self.finish(attempt, reason=reason, message="It was made to fail." if reason else "")
        return True

    # The provider's interface

    def repository(self) -> str:
        return ""

    def instance_types(self) -> tuple[InstanceType, ...]:
        if self.catalogue:
            return tuple(replace(one, provider=self.name) for one in self.catalogue)
        large = InstanceType(
            name="sim.large",
            provider=self.name,
            vcpus=96,
            memory_mib=1024**2,
            gpus=0,
            price_per_hour=self.price_per_hour,
            save_price_per_hour=self.save_price_per_hour,
        )
        return (large,)

    def at_once(self, need: Need) -> int | None:  # noqa: ARG002 (each has an instance of its own)
        return self.capacity

    def shortage(self, need: Need, placement: Placement) -> str:  # noqa: ARG002 (all instances of a type are alike)
        full = self.capacity is not None and self._busy[placement.instance_type.name] >= self.capacity
        return f"All {self.capacity} instances are in use." if full else ""

    def start(self) -> None:
        """Nothing to start."""

    def launch(self, launch: Launch) -> str:
        if short := self.shortage(launch.need, launch.placement):
            raise NoCapacity(short)
        now, attempt = self.clock(), launch.attempt
        self.launched.append(attempt)
        instance = Machine(document=dict(launch.document), placement=launch.placement, started_at=now)
        self._running[attempt] = instance
        self.machines.append(instance)
        self.fleet.begin(attempt, launch.placement)
        self._busy[launch.placement.instance_type.name] += 1
        if (after := self.interrupted_after(attempt, launch.placement)) is not None:
            self._plan(now + timedelta(seconds=after), attempt, "interrupt")
        if self.run_seconds is not None:
            seconds = self.provisioning_seconds + self.run_seconds(launch.document)
            self._plan(now + timedelta(seconds=seconds), attempt, "finish")
        return attempt

    def find(self, attempt: str, work: Path) -> str | None:  # noqa: ARG002 (found by name)
        return attempt if attempt in self.launched else None

    def adopt(self, handles: Collection[str]) -> None:
        """Instances are remembered here anyway."""

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        return {handle: self._state(handle) for handle in handles}

    def why(self, handle: str) -> str:
        return self._unavailable.get(handle) or self._pending.get(handle, "")

    def interrupt(self, handle: str) -> None:
        if handle in self._running:
            self.finish(handle, reason="CANCELLED", message="Cancelled.")

    def release(self, handle: str) -> None:
        if handle in self._running:
            self._end(handle)

    def instances(self) -> list[Instance]:
        return self.fleet.report()

    def end_instance(self, instance: Instance) -> bool:
        self.fleet.end(instance.id)
        return True

    def events(self) -> list[Hint]:
        hints, self._hints = self._hints, []
        return hints

    def filenos(self) -> list[int]:
        return []

    def close(self) -> None:
        """Instances live on."""

    def _state(self, attempt: str) -> State:
        if attempt in self._running:
            return State.PENDING if attempt in self._pending else State.RUNNING
        if attempt in self._unavailable:
            return State.UNAVAILABLE
        return State.INTERRUPTED if attempt in self._interrupted else State.GONE

    def _end(self, attempt: str, reason: str = "") -> Machine:
        instance = self._running.pop(attempt)
        instance.ended_at = self.clock()
        self.fleet.free(attempt, reason)
        self._busy[instance.placement.instance_type.name] -= 1
        return instance

    def _plan(self, at: datetime, attempt: str, what: str) -> None:
        heapq.heappush(self._agenda, (at, len(self.launched), attempt, what))


@dataclass
class Mortal:
    """Passes every call on to what it wraps; is killed at the call numbered `dies_at`, counted over all Mortals."""

    inner: Any
    calls: list[int]
    dies_at: int
    before: bool = True

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.inner, name)
        return self._mortal(value) if callable(value) else value

    def __call__(self, *arguments: Any) -> Any:
        return self._mortal(self.inner)(*arguments)

    def _mortal(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls[0] += 1
            dies = self.calls[0] == self.dies_at
            if dies and self.before:
                raise Killed
            result = function(*arguments, **named)
            if dies:
                raise Killed
            return result

        return call


def exit_record(
    document: Mapping[str, Any], *, reason: str, message: str, at: datetime, begun_at: datetime | None = None
) -> dict[str, Any]:
    """What a runner writes last, for an attempt document: a success if `reason` is empty.

    What is delivered depends on inputs, config and seed alone, as that of a reproducible workflow.
    """
    began, ended = (one.isoformat(timespec="milliseconds").replace("+00:00", "Z") for one in (begun_at or at, at))
    worked_on = {"inputs": [one["sha256"] for one in document["inputs"]], "config": document["config"]}
    seeded = worked_on | {"seed": document["seed"]}
    paths = [one["pattern"] for one in document["outputs"]] or ["result.txt"]
    return {
        "attempt": document["attempt"],
        "token": document["token"],
        "succeeded": not reason,
        "reason": reason,
        "message": message,
        "exit_code": 1 if reason else 0,
        "started_at": began,
        "ended_at": ended,
        "outputs": [
            {"path": path, "size_bytes": 2, "sha256": digest_of(seeded | {"path": path})}
            for path in ([] if reason else paths)
        ],
        "host": {"hostname": "simulated", "platform": "none", "cpu_model": "none"},
    }
