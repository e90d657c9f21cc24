"""Slurm as a provider: attempts are tasks of job arrays, found again by the name of their batch."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurocaas.bank.choice import choose
from neurocaas.bank.handover import Handovers
from neurocaas.bank.provider import Carrier, Hint, Instance, InstanceType, Launch, NoCapacity, Placement, State
from neurocaas.bank.slurm import words
from neurocaas.bank.slurm.answers import Task, TaskState
from neurocaas.bank.slurm.batches import Batches
from neurocaas.bank.slurm.commands import NotAnswering, Slurm
from neurocaas.bank.slurm.instance_types import PROVIDER, Offered, from_partitions, offered
from neurocaas.bank.slurm.instances import Instances
from neurocaas.bank.slurm.script import Performed
from neurocaas.bell import Bell
from neurocaas.blueprint import Need
from neurocaas.errors import NeurocaasError, Refused, Unavailable
from neurocaas.settings import Settings

log = logging.getLogger(__name__)

DOCUMENT, RECORD = "document.json", "slurm.json"  # in an attempt's work folder on this machine
FRESH_SECONDS = 5.0  # so long an answer of the controller is good enough: other users ask it, too
LEAVE_SECONDS = 20.0  # so long a runner that has reported, and its step, may take to end
CATALOGUE_SECONDS = 300.0
FIRST_UID, UIDS = 60578, 606  # those that no distribution hands out, as on this machine
ALLOTTED = "allotted"  # the GPUs of the attempt are those that Slurm allots it
ASKED = (NotAnswering, Refused, Unavailable)


@dataclass(frozen=True, kw_only=True)
class _Allocation:
    """A handle, read."""

    attempt: str
    name: str
    index: int
    instance_type: str
    save: bool
    uid: int | None

    @classmethod
    def read(cls, handle: str) -> _Allocation:
        return cls(**json.loads(handle))

    def handle(self) -> str:
        return json.dumps(asdict(self))

    @property
    def task(self) -> Task:
        return self.name, self.index


class SlurmProvider:
    """Jobs of this user on the cluster that this machine's Slurm programs speak to."""

    name = PROVIDER

    def __init__(
        self,
        settings: Settings,
        *,
        slurm: Slurm | None = None,
        handovers: Handovers | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks the cluster nothing yet."""
        self._settings = settings.site.slurm
        self._shared = self._settings.shared
        self.carrier = Carrier.HERE if self._shared else Carrier.ARCHIVE
        self._slurm = slurm or Slurm()
        self._ticks = ticks
        self._handovers = handovers or Handovers(settings)
        self._batches = Batches(
            self._slurm,
            python=Path(self._settings.python or sys.executable),
            on_the_node=self._settings.work is not None,
            ticks=ticks,
        )
        self._bell_path = settings.run / "slurm.bell"
        self._bell: Bell | None = None
        self._wake: int | None = None  # readable when there is something to send to Slurm
        self._types: dict[str, Offered] = offered(self._settings.instance_types)
        self._types_until = float("inf") if self._types else 0.0
        self._tasks: Mapping[Task, TaskState] = {}
        self._asked_at = float("-inf")
        self._held: dict[str, _Allocation] = {}
        self._states: dict[str, State] = {}
        self._whys: dict[str, str] = {}
        self._to_interrupt: set[str] = set()
        self._interrupted: set[str] = set()
        self._leaving: dict[str, float] = {}  # released handles, and when they are to be gone
        self._heard: set[str] = set()  # attempts whose runners rang: they have begun, whatever an older answer says
        self._hints: list[Hint] = []
        self._instances = Instances()

    def repository(self) -> str:
        return ""

    def instance_types(self) -> tuple[InstanceType, ...]:
        return tuple(one.instance_type for one in self._offered().values())

    def at_once(self, need: Need) -> int | None:
        if all(one.listed.at_once is None for one in self._offered().values()):
            return None
        return self._offered()[choose(self.instance_types(), need).taken.name].listed.at_once

    def shortage(self, need: Need, placement: Placement) -> str:  # noqa: ARG002 (Slurm queues what it has no room for)
        name = placement.instance_type.name
        most = self._offered()[name].listed.at_once if name in self._offered() else None
        held = sum(one.instance_type == name for one in self._held.values())
        if most is None or held < most:
            return ""
        return f"All {most} stacks that this site may have on {name} in Slurm at one time are there."

    def start(self) -> None:
        self._bell = Bell(self._bell_path)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def launch(self, launch: Launch) -> str:
        """The attempt goes to Slurm with all others of this turn, at the next `events`, which is due at once."""
        if short := self.shortage(launch.need, launch.placement):
            raise NoCapacity(short)
        one = self._offered().get(launch.placement.instance_type.name)
        if one is None:
            raise Refused(f"{launch.placement.instance_type.name} is no instance type of the cluster (any more).")
        shape = one.shape(launch.need, launch.placement, launch.document["timeout_seconds"])
        name, index = self._batches.place(shape)
        allocation = _Allocation(
            attempt=launch.attempt,
            name=name,
            index=index,
            instance_type=one.instance_type.name,
            save=launch.placement.saves,
            uid=self._free_uid(),
        )
        handle = allocation.handle()
        performed = self._prepare(launch, allocation)
        # The record first: a manager that dies after Slurm has the job finds it by this.
        _write(launch.work / RECORD, handle)
        self._batches.add(shape, launch.attempt, performed)
        self._hold(handle, allocation)
        self._be_woken()
        return handle

    def find(self, attempt: str, work: Path) -> str | None:
        try:
            handle = (work / RECORD).read_text(encoding="utf-8")
            one = _Allocation.read(handle)
        except (OSError, ValueError, TypeError):
            return None
        known = one.attempt == attempt and (
            one.task in self._look(0) or one.task in self._slurm.forgotten([one.name]) or self._batches.unsent(one.name)
        )
        return handle if known else None

    def adopt(self, handles: Collection[str]) -> None:
        for handle, state in self.sweep(handles).items():
            if state in {State.RUNNING, State.PENDING}:
                self._hold(handle, _Allocation.read(handle))

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        if not self._shared:
            self._handovers.renew()
        read = {handle: _Allocation.read(handle) for handle in handles}
        try:
            self._act()
            tasks = self._look(FRESH_SECONDS)
            missing = {one.name for one in read.values() if self._is_missing(one, tasks)}
            tasks = {**self._slurm.forgotten(missing), **tasks}
        except ASKED as fault:
            # Nobody is to lose an instance because Slurm did not answer a question.
            log.warning("%s", fault)
            return {handle: self._states.get(handle, State.PENDING) for handle in handles}
        return {handle: self._observe(handle, one, tasks.get(one.task)) for handle, one in read.items()}

    def why(self, handle: str) -> str:
        return self._whys.get(handle, "")

    def interrupt(self, handle: str) -> None:
        self._to_interrupt.add(handle)
        self._be_woken()

    def release(self, handle: str) -> None:
        # A runner that has reported is about to end; one that was asked to stop has had its time.
        self._leaving[handle] = self._ticks() + (0 if handle in self._interrupted else LEAVE_SECONDS)
        for kept in (self._held, self._states, self._whys):
            kept.pop(handle, None)
        self._interrupted.discard(handle)
        self._heard.discard(_Allocation.read(handle).attempt)
        self._be_woken()

    def instances(self) -> list[Instance]:
        """The tasks that have begun, by Slurm's own clock, which has whole seconds."""
        if self._instances.any_running:
            try:
                self._instances.see(self._look(FRESH_SECONDS))
            except ASKED as fault:
                log.warning("%s", fault)
        return self._instances.told()

    def end_instance(self, instance: Instance) -> bool:  # noqa: ARG002 (a task ends with its runner)
        return False

    def events(self) -> list[Hint]:
        if self._wake is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        for message in self._bell.drain() if self._bell else ():
            what, _, attempt = message.partition(" ")
            self._hints.append(Hint(attempt=attempt, what=what))
            self._heard.add(attempt)
        try:
            self._act()
        except ASKED as fault:
            log.warning("%s", fault)
        hints, self._hints = self._hints, []
        return hints

    def filenos(self) -> list[int]:
        bell = None if self._bell is None else self._bell.fileno()
        return [one for one in (self._wake, bell) if one is not None]

    def close(self) -> None:
        with contextlib.suppress(NeurocaasError):
            self._act()
        if self._wake is not None:
            os.close(self._wake)
            self._wake = None
        if self._bell is not None:
            self._bell.close()

    def _be_woken(self) -> None:
        """Have whoever waits for this provider's descriptors ask for its events."""
        if self._wake is not None:
            os.eventfd_write(self._wake, 1)

    def _offered(self) -> dict[str, Offered]:
        if self._ticks() >= self._types_until:
            try:
                self._types = offered(from_partitions(self._slurm.nodes()))
            except ASKED as fault:
                log.warning("The cluster's partitions are not known: %s", fault)
            self._types_until = self._ticks() + CATALOGUE_SECONDS
        return self._types

    def _prepare(self, launch: Launch, one: _Allocation) -> Performed:
        """What the task finds on its node, and what it finds it by."""
        place = Path(self._settings.work) if self._settings.work else None
        work = place / f"{one.name}-{one.index}" if place else launch.work
        resources: dict[str, Any] = launch.document["resources"]
        document = {
            **launch.document,
            "work": str(work),
            "uid": one.uid,
            "bell": str(self._bell_path) if self._shared else None,
            "shelf": None if self._shared else str(work.parent / "shelf"),
            # Slurm has a task run where it has its CPUs.
            "resources": resources | {"cores": [], "gpus": [ALLOTTED] if launch.need.gpus else []},
        }
        launch.work.mkdir(parents=True, exist_ok=True)
        if not self._shared:
            ticket = self._handovers.hand_over(_elsewhere(document), launch.work)
            return Performed(work=work, ticket=ticket)
        _write(launch.work / DOCUMENT, json.dumps(document))
        return Performed(work=work, document=launch.work / DOCUMENT)

    def _free_uid(self) -> int | None:
        """The workflow's own on its node where the site runs as root: one that no other has, as long as they last."""
        if os.geteuid() != 0:
            return None
        held = [one.uid for one in self._held.values()]
        return min(range(FIRST_UID, FIRST_UID + UIDS), key=held.count)

    def _act(self) -> None:
        """Send what was launched, ask to stop what is to be asked, end what is to be gone. Raises one of ASKED."""
        for batch, reason in self._batches.send():
            self._hints += [Hint(attempt=attempt, what="refused") for attempt in batch.attempts]
            for handle, one in self._held.items():
                if one.name == batch.name:
                    self._states[handle], self._whys[handle] = State.UNAVAILABLE, reason
        due = {handle for handle, until in self._leaving.items() if self._ticks() >= until}
        if not due and not self._to_interrupt:
            return
        tasks = self._look(0)
        # A task that waits has no runner to be asked.
        waiting = {State.PENDING, State.UNAVAILABLE}
        self._slurm.interrupt(_ids(self._to_interrupt, tasks, {State.RUNNING}))
        self._slurm.cancel(_ids(self._to_interrupt, tasks, waiting) | _ids(due, tasks, {State.RUNNING, *waiting}))
        self._interrupted |= self._to_interrupt & self._held.keys()
        self._to_interrupt.clear()
        for handle in due:
            del self._leaving[handle]
        self._asked_at = float("-inf")

    def _look(self, fresh_seconds: float) -> Mapping[Task, TaskState]:
        """All tasks, by an answer that is not older than this. Raises one of ASKED."""
        if self._ticks() - self._asked_at > fresh_seconds or not fresh_seconds:
            asked_at = self._ticks()
            self._tasks = self._slurm.tasks()
            self._asked_at = asked_at
            self._batches.seen(asked_at)
        return self._tasks

    def _is_missing(self, one: _Allocation, tasks: Mapping[Task, TaskState]) -> bool:
        """Whether Slurm's controller should know the task and does not."""
        return not (
            one.task in tasks or self._batches.unsent(one.name) or self._batches.sent_after(one.name, self._asked_at)
        )

    def _observe(self, handle: str, one: _Allocation, task: TaskState | None) -> State:
        if self._states.get(handle) is State.UNAVAILABLE:
            return State.UNAVAILABLE
        if task is not None:
            if offered := self._offered().get(one.instance_type):
                placement = Placement(instance_type=offered.instance_type, save=one.save)
                self._instances.begun(one.task, task, one.attempt, placement)
            state, why = words.state_of(task), words.why(task)
            if state is State.PENDING and task.state != "SUSPENDED" and one.attempt in self._heard:
                state, why = State.RUNNING, ""
            if state is State.UNAVAILABLE:
                self._leaving[handle] = self._ticks()
        elif batch := self._batches.unsent(one.name):
            state, why = State.PENDING, batch.trouble
        elif self._batches.sent_after(one.name, self._asked_at):
            state, why = State.PENDING, ""
        else:
            state, why = State.GONE, "Slurm does not know it any more."
        self._states[handle], self._whys[handle] = state, why
        return state

    def _hold(self, handle: str, one: _Allocation) -> None:
        self._held[handle] = one
        self._states.setdefault(handle, State.PENDING)


def _elsewhere(document: dict[str, Any]) -> dict[str, Any]:
    """The document without this machine's places: a node may have others' files there, so all comes from the store."""
    nowhere = f"{document['shelf']}/of-another-machine"
    environment = document["environment"]
    mounts = [one | {"source": f"{nowhere}/{one['target'].strip('/')}"} for one in environment["mounts"]]
    workflow = document["workflow"] | {"files": f"{nowhere}/workflow"}
    return {**document, "environment": environment | {"mounts": mounts}, "workflow": workflow}


def _ids(handles: Iterable[str], tasks: Mapping[Task, TaskState], states: Collection[State]) -> set[str]:
    """What Slurm calls those of these allocations that are in one of the states."""
    known = (tasks.get(_Allocation.read(handle).task) for handle in handles)
    return {one.id for one in known if one is not None and words.state_of(one) in states}


def _write(path: Path, text: str) -> None:
    """For this user alone: a document says what the runner may do."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
