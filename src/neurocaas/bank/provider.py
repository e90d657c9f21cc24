"""What every provider promises."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from neurocaas.blueprint import Need
from neurocaas.errors import NeurocaasError


class NoCapacity(NeurocaasError):
    """No instance is free for this now; asking again later may succeed. The message says what is in use."""


class State(StrEnum):
    """What a provider knows of an allocation. PENDING: accepted, not begun. INTERRUPTED: gone too, because the provider
    took it back. UNAVAILABLE: given up, because no instance could be had for it in time. TIMED_OUT, OUT_OF_MEMORY:
    gone, because the provider enforced a limit before the runner did."""

    RUNNING = "running"
    PENDING = "pending"
    GONE = "gone"
    INTERRUPTED = "interrupted"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"


class Carrier(StrEnum):
    """How an analysis environment reaches a provider's machines."""

    HERE = "here"  # they see this machine's files
    ARCHIVE = "archive"  # from the store: unpacked once on each machine, and kept there
    IMAGE = "image"  # as an OCI image, pulled from a registry


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """A named machine shape and what an hour of it costs. provider: who supplies it.

    site_name: the name is this site's own, so a blueprint that names another one gets by what it needs.
    """

    name: str
    vcpus: int
    memory_mib: int
    gpus: int
    price_per_hour: Decimal  # US dollars
    provider: str = ""
    storage_mib: int | None = None  # None: as much as is asked for
    gpu: str = ""  # model
    save_price_per_hour: Decimal | None = None  # US dollars; None: not offered at a save price
    burstable: bool = False  # full load for hours costs extra or is throttled
    site_name: bool = False
    retired: bool = False  # priced, because past runs used it, but no longer offered


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a stack is to run. save: on capacity at the save price, which may be interrupted (paper §3.3)."""

    instance_type: InstanceType
    save: bool = False

    @property
    def saves(self) -> bool:
        """Whether the save price is asked for and offered."""
        return self.save and self.instance_type.save_price_per_hour is not None

    @property
    def price_per_hour(self) -> Decimal:
        """US dollars."""
        saved = self.instance_type.save_price_per_hour
        return saved if self.save and saved is not None else self.instance_type.price_per_hour


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One attempt to be started: its work folder, its attempt document, what it needs and where it is to run."""

    attempt: str
    work: Path
    document: Mapping[str, Any]
    need: Need
    placement: Placement


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Something happened to this attempt; look at it now. What happened is read from the store and from `sweep`."""

    attempt: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One instance, measured (paper §9.2): from when to when, in UTC to the millisecond, and which attempts it served.

    id: unique with its provider, for good. ended_at: None as long as it runs. reason: why it ended, as a sentence.
    """

    provider: str
    id: str
    instance_type: str
    price_per_hour: Decimal  # US dollars
    started_at: datetime
    save: bool = False
    ended_at: datetime | None = None
    attempts: tuple[str, ...] = ()
    reason: str = ""


class Supplier(Protocol):
    """A provider, or several as one. Handles are opaque strings that stay valid when the job manager dies."""

    def instance_types(self) -> Sequence[InstanceType]:
        """The catalogue, at the prices of this moment."""

    def at_once(self, need: Need) -> int | None:
        """How many instances with this can run at one time; None if as many as are asked for."""

    def shortage(self, need: Need, placement: Placement) -> str:
        """Why such an instance can't be had at this moment, as a sentence; empty if it may well be had."""

    def start(self) -> None:
        """Begin to listen for events; only the job manager that leads does this."""

    def launch(self, launch: Launch) -> str:
        """Start the runner and return the handle of its allocation. Raises NoCapacity when nothing is free now."""

    def find(self, attempt: str, work: Path) -> str | None:
        """The handle of an attempt that was launched before its handle could be recorded; None if it never started."""

    def adopt(self, handles: Collection[str]) -> None:
        """Count these allocations, made by a manager that has died, as this provider's own."""

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        """What each allocation is doing, asked for all at once. This is the truth; hints may be lost."""

    def why(self, handle: str) -> str:
        """What the last sweep found out about why it is as it is, as a sentence; empty if there is nothing to say."""

    def interrupt(self, handle: str) -> None:
        """Ask the runner to stop its workflow and report. Quiet if it is already gone."""

    def release(self, handle: str) -> None:
        """End the allocation, whatever runs on it. Quiet if it is already gone."""

    def instances(self) -> Sequence[Instance]:
        """Those that run, and those that ended since this was asked last; asked for all at once."""

    def end_instance(self, instance: Instance) -> bool:
        """End an instance that runs for nobody; quiet if it is gone. False where instances end with their attempt.

        Raises RemoteFailed.
        """

    def events(self) -> list[Hint]:
        """Hints since the last call, without waiting."""

    def filenos(self) -> list[int]:
        """Descriptors that turn readable when `events` has something; empty for a provider without such."""

    def close(self) -> None:
        """Let go of what this provider holds in this process; allocations live on."""


class Provider(Supplier, Protocol):
    """Supplies instances. carrier: how an analysis environment reaches them."""

    name: str
    carrier: Carrier

    def repository(self) -> str:
        """Where images are pushed to, `registry/name`, for a provider that wants environments as images; else ""."""


@runtime_checkable
class SignsIn(Protocol):
    """A provider whose repository asks who pushes to it, and that knows what to answer."""

    def sign_in(self) -> tuple[str, str]:
        """User and password, good for some hours. Raises RemoteFailed."""
