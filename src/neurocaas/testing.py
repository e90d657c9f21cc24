"""Public fakes for this project's tests and for yours: a simulated cloud, a clock, and parts that die.

A store needs no fake: the one for `file://` in a temporary folder is as fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from neurocaas.bank import Hint, InstanceType, Launch, NoCapacity, State
from neurocaas.blueprint import Need
from neurocaas.errors import Refused
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
class SimulatedCloud:
    """A provider whose instances are entries in a table. A test says when each ends, is lost, or goes silent.

    It outlives the job managers that use it, as a real one does.
    """

    store: Store
    capacity: int = 2
    price_per_hour: Decimal = Decimal(0)
    name: str = "simulated"
    launched: list[str] = field(default_factory=list)
    _running: dict[str, dict[str, Any]] = field(default_factory=dict)
    _hints: list[Hint] = field(default_factory=list)

    @property
    def running(self) -> list[str]:
        """Attempts whose instance is up, in the order of their launch."""
        return list(self._running)

    def finish(self, attempt: str, *, reason: str = "", message: str = "", at: datetime | None = None) -> None:
        """The runner of this attempt writes its exit record, and its instance goes."""
        document = self._running.pop(attempt)
        record = exit_record(document, reason=reason, message=message, at=at or datetime(2026, 1, 1, tzinfo=UTC))
        self.store.create(keys.exit_record(document["prefix"]), json.dumps(record).encode())
        self._hints.append(Hint(attempt=attempt, what="exit"))

    def lose(self, attempt: str) -> None:
        """The instance of this attempt goes away without a word."""
        self._running.pop(attempt)
        self._hints.append(Hint(attempt=attempt, what="gone"))

    # The provider's interface

    def instance_type(self, need: Need) -> InstanceType:
        if need.gpus:
            raise Refused(f"hardware.gpus: found {need.gpus}; 0 is right on {self.name}.")
        return InstanceType(
            name="sim.large",
            vcpus=need.vcpus,
            memory_mib=need.memory_mib,
            gpus=0,
            price_per_hour=self.price_per_hour,
        )

    def shortage(self, need: Need) -> str:  # noqa: ARG002 (all instances are alike)
        return f"All {self.capacity} instances are in use." if len(self._running) >= self.capacity else ""

    def start(self) -> None:
        """Nothing to start."""

    def launch(self, launch: Launch) -> str:
        if short := self.shortage(launch.need):
            raise NoCapacity(short)
        self.launched.append(launch.attempt)
        self._running[launch.attempt] = dict(launch.document)
        return launch.attempt

    def find(self, attempt: str, work: Path) -> str | None:  # noqa: ARG002 (found by name)
        return attempt if attempt in self.launched else None

    def adopt(self, handles: Collection[str]) -> None:
        """Instances are remembered here anyway."""

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        return {handle: State.RUNNING if handle in self._running else State.GONE for handle in handles}

    def interrupt(self, handle: str) -> None:
        if handle in self._running:
            self.finish(handle, reason="CANCELLED", message="Cancelled.")

    def release(self, handle: str) -> None:
        self._running.pop(handle, None)

    def events(self) -> list[Hint]:
        hints, self._hints = self._hints, []
        return hints

    def filenos(self) -> list[int]:
        return []

    def close(self) -> None:
        """Instances live on."""


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


def exit_record(document: dict[str, Any], *, reason: str, message: str, at: datetime) -> dict[str, Any]:
    """What a runner writes last, for an attempt document: a success if `reason` is empty."""
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "attempt": document["attempt"],
        "token": document["token"],
        "succeeded": not reason,
        "reason": reason,
        "message": message,
        "exit_code": 1 if reason else 0,
        "started_at": time,
        "ended_at": time,
        "outputs": [] if reason else [{"path": "result.txt", "size_bytes": 2, "sha256": "0" * 64}],
        "host": {"hostname": "simulated", "platform": "none", "cpu_model": "none"},
    }
