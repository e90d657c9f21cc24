"""AWS Batch as a provider: each stack is one job on a whole EC2 instance, started for it and ended after it."""

from __future__ import annotations

import base64
import json
import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from neurocaas.bank.aws.account import Account, NotAnswering, told
from neurocaas.bank.aws.batch import Batch, BatchJob, job_name
from neurocaas.bank.aws.container import inside
from neurocaas.bank.aws.events import Events
from neurocaas.bank.aws.fleet import Fleet
from neurocaas.bank.aws.stack import DeployedStack, read_stack, usable_mib
from neurocaas.bank.catalogue import site_catalogue
from neurocaas.bank.choice import choose
from neurocaas.bank.handover import Handovers
from neurocaas.bank.provider import Carrier, Hint, Instance, InstanceType, Launch, NoCapacity, Placement, State
from neurocaas.blueprint import Need
from neurocaas.documents import nearest
from neurocaas.errors import Refused, RemoteFailed
from neurocaas.settings import AwsSettings, Settings

log = logging.getLogger(__name__)

MARGIN_SECONDS = 3600  # to fetch inputs and store results, beside the time that the workflow may take
LEAST_TIMEOUT_SECONDS = 60
LEAVING_SECONDS = 20.0  # so long a runner that has reported, and its container, may take to end
TROUBLE_SECONDS = 30.0
BEGUN = "RUNNING"
ENDED = frozenset({"SUCCEEDED", "FAILED"})
HOST_GONE = "Host EC2"  # how Batch begins the reason of a job whose instance was taken away


@dataclass(frozen=True, kw_only=True)
class _Allocation:
    """A handle, read."""

    attempt: str
    job: str
    instance_type: str
    save: bool

    @classmethod
    def read(cls, handle: str) -> _Allocation:
        return cls(**json.loads(handle))

    def handle(self) -> str:
        return json.dumps(asdict(self))

    @property
    def wanted(self) -> str:
        article = "an" if self.instance_type[0] in "aefhilmnorsx" else "a"  # as the letter is spoken
        return f"{article} {self.instance_type}{' at the save price' if self.save else ''}"


class AwsProvider:
    """Jobs of AWS Batch, in the queues of the site's CloudFormation stack."""

    name = "aws"
    carrier = Carrier.IMAGE

    def __init__(
        self,
        settings: Settings,
        *,
        account: Account | None = None,
        handovers: Handovers | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Contacts nobody yet. Raises Refused if the site's settings say nothing of AWS, or what can't be."""
        self._settings = _checked(settings)
        self._types = _offered(settings, self._settings)
        self._account = account or Account(self._settings.region)
        self._ticks = ticks
        self._batch = Batch(self._account)
        self._fleet = Fleet(self._account, self._settings.stack, self._types)
        self._handovers = handovers or Handovers(settings)
        self._events: Events | None = None
        self._held: dict[str, _Allocation] = {}
        self._states: dict[str, State] = {}
        self._whys: dict[str, str] = {}
        self._runnable_since: dict[str, float] = {}
        self._leaving: dict[str, float] = {}  # handles that were released, and until when each may end by itself
        self._troubles: dict[str, tuple[float, str]] = {}  # by queue: when it was asked, and what it said

    def repository(self) -> str:
        return self._settings.repository or self._stack.repository

    def sign_in(self) -> tuple[str, str]:
        with told("let images be pushed"):
            [given] = self._account.client("ecr").get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
        return user, password

    def instance_types(self) -> tuple[InstanceType, ...]:
        return tuple(self._types.values())

    def at_once(self, need: Need) -> int:
        return self._most(choose(self.instance_types(), need).taken)

    def shortage(self, need: Need, placement: Placement) -> str:  # noqa: ARG002 (each has an instance of its own)
        name, save, most = placement.instance_type.name, placement.saves, self._most(placement.instance_type)
        held = sum(one.instance_type == name and one.save == save for one in self._held.values())
        return f"All {most} instances of {name} that this site may have at one time are in use." if held >= most else ""

    def start(self) -> None:
        if url := self._stack.events_queue:
            self._events = Events(self._account, url)
            self._events.start()

    def launch(self, launch: Launch) -> str:
        if short := self.shortage(launch.need, launch.placement):
            raise NoCapacity(short)
        instance_type, save = launch.placement.instance_type, launch.placement.saves
        if instance_type.name not in self._types:
            raise Refused(f"{instance_type.name} is none of the instance types that site.json names for AWS.")
        document = inside(launch.document, gpus=launch.need.gpus)
        try:
            definition = self._batch.definition(document["environment"]["image"], self._stack)
            queue = self._stack.queue(instance_type.name, save=save)
            job = self._batch.submit(
                job_name(launch.attempt),
                queue=queue,
                definition=definition,
                instance_type=self._types[instance_type.name],
                ticket=self._handovers.hand_over(document, launch.work),
                timeout_seconds=max(LEAST_TIMEOUT_SECONDS, math.ceil(document["timeout_seconds"]) + MARGIN_SECONDS),
                tags=self._stack.tags,
            )
        except NotAnswering as cause:
            # If the job was taken on all the same, its runner finds no lease and ends.
            raise NoCapacity(cause.message) from cause
        one = _Allocation(attempt=launch.attempt, job=job, instance_type=instance_type.name, save=save)
        handle = one.handle()
        self._hold(handle, one)
        return handle

    def find(self, attempt: str, work: Path) -> str | None:  # noqa: ARG002 (Batch knows it by its name)
        for instance_type in self._types.values():
            for save in (False, True) if instance_type.save_price_per_hour is not None else (False,):
                queue = self._stack.queue(instance_type.name, save=save)
                if job := self._batch.named(job_name(attempt), [queue]):
                    one = _Allocation(attempt=attempt, job=job, instance_type=instance_type.name, save=save)
                    return one.handle()
        return None

    def adopt(self, handles: Collection[str]) -> None:
        for handle, state in self.sweep(handles).items():
            if state in {State.RUNNING, State.PENDING}:
                self._hold(handle, _Allocation.read(handle))

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        self._handovers.renew()
        self._see_off()
        read = {handle: _Allocation.read(handle) for handle in handles}
        try:
            jobs = self._batch.describe([one.job for one in read.values()])
        except RemoteFailed as fault:
            # Nobody is to lose an instance because AWS did not answer a question.
            log.warning("%s", fault)
            return {handle: self._states.get(handle, State.PENDING) for handle in handles}
        return {handle: self._observe(handle, one, jobs.get(one.job)) for handle, one in read.items()}

    def why(self, handle: str) -> str:
        return self._whys.get(handle, "")

    def interrupt(self, handle: str) -> None:
        self._terminate(handle, "Cancelled.")

    def release(self, handle: str) -> None:
        self._forget(handle)
        self._whys.pop(handle, None)
        # A runner that has written its record ends by itself, and then Batch counts its job among the successes.
        self._leaving.setdefault(handle, self._ticks() + LEAVING_SECONDS)

    def instances(self) -> list[Instance]:
        try:
            return self._fleet.instances()
        except RemoteFailed as fault:
            log.warning("%s", fault)
            return []

    def end_instance(self, instance: Instance) -> bool:
        self._fleet.end(instance.id)
        return True

    def events(self) -> list[Hint]:
        self._see_off()
        return self._events.take() if self._events else []

    def filenos(self) -> list[int]:
        return self._events.filenos() if self._events else []

    def close(self) -> None:
        for handle in self._leaving:
            self._terminate(handle, "Released by the job manager.")
        self._leaving.clear()
        if self._events is not None:
            self._events.close()
            self._events = None
        self._account.close()

    @cached_property
    def _stack(self) -> DeployedStack:
        return read_stack(self._account, self._settings.stack)

    def _most(self, instance_type: InstanceType) -> int:
        """How many instances of a type there may be at one time, on demand and at the save price each."""
        return max(1, self._settings.max_vcpus // instance_type.vcpus)

    def _hold(self, handle: str, one: _Allocation) -> None:
        self._held[handle] = one
        self._states.setdefault(handle, State.PENDING)

    def _observe(self, handle: str, one: _Allocation, job: BatchJob | None) -> State:
        if job is not None and job.instance:
            self._fleet.served(one.attempt, job.instance)
        state = self._state(handle, one, job)
        if state in {State.RUNNING, State.PENDING}:
            self._states[handle] = state
        else:
            self._forget(handle)
        return state

    def _state(self, handle: str, one: _Allocation, job: BatchJob | None) -> State:
        """What the job is doing; why, if there is something to say, is noted beside it."""
        if job is None:
            return State.GONE
        if job.status in ENDED:
            self._whys[handle] = _sentence(job.reason) if job.status == "FAILED" else ""
            return State.INTERRUPTED if one.save and job.reason.startswith(HOST_GONE) else State.GONE
        if job.status == BEGUN:
            self._whys.pop(handle, None)
            return State.RUNNING
        if job.status != "RUNNABLE":
            self._whys[handle] = f"AWS prepares {one.wanted}."
            return State.PENDING
        return self._waiting(handle, one, job)

    def _waiting(self, handle: str, one: _Allocation, job: BatchJob) -> State:
        """A job for which there is no instance yet. After a while it is given up, so that it is tried elsewhere."""
        now = self._ticks()
        waited = now - self._runnable_since.setdefault(handle, now)
        said = job.reason or self._trouble(one)
        says = f" AWS says: {_sentence(said)}" if said else ""
        if waited < self._settings.capacity_minutes * 60:
            self._whys[handle] = f"AWS was asked for {one.wanted}.{says}"
            return State.PENDING
        minutes = f"{self._settings.capacity_minutes:g} minutes"
        self._whys[handle] = f"AWS was asked for {one.wanted} for {minutes}.{says}"
        self._terminate(handle, "No instance was to be had in time.")
        return State.UNAVAILABLE

    def _trouble(self, one: _Allocation) -> str:
        """What is wrong with the queue's compute environments, asked for once for all who wait in it."""
        queue, now = self._stack.queue(one.instance_type, save=one.save), self._ticks()
        asked_at, said = self._troubles.get(queue, (-math.inf, ""))
        if now - asked_at >= TROUBLE_SECONDS:
            try:
                said = self._batch.trouble(queue)
            except RemoteFailed as fault:
                log.warning("%s", fault)
            self._troubles[queue] = now, said
        return said

    def _see_off(self) -> None:
        """End what was released a while ago and may not have ended by itself."""
        for handle in [one for one, until in self._leaving.items() if self._ticks() >= until]:
            del self._leaving[handle]
            self._terminate(handle, "Released by the job manager.")

    def _terminate(self, handle: str, reason: str) -> None:
        try:
            self._batch.terminate(_Allocation.read(handle).job, reason)
        except RemoteFailed as fault:
            # Its lease is gone, so it ends by itself; and Batch ends it when its time is over.
            log.warning("%s", fault)

    def _forget(self, handle: str) -> None:
        self._held.pop(handle, None)
        self._states.pop(handle, None)
        self._runnable_since.pop(handle, None)


def _sentence(said: str) -> str:
    return f"{said.strip().rstrip('.')}." if said.strip() else ""


def _checked(settings: Settings) -> AwsSettings:
    if settings.site.aws is None:
        raise Refused("site.json: aws: it is missing; a section with region, stack and instance_types is right.")
    return settings.site.aws


def _offered(settings: Settings, aws: AwsSettings) -> dict[str, InstanceType]:
    """The instance types of the site's price list that its settings name, with the memory that a container gets."""
    catalogue = site_catalogue(settings.root)
    if catalogue.region != aws.region:
        raise Refused(
            f'site.json: aws.region: found "{aws.region}", but the price list is for {catalogue.region}; that region, '
            f"or a price list for {aws.region} as prices/aws.json, is right."
        )
    listed = {one.name: one for one in catalogue.types if not one.retired}
    for name in aws.instance_types:
        if name not in listed:
            raise Refused(
                f'site.json: aws.instance_types: found "{name}"; names of the price list are right.'
                f"{nearest(name, listed)}"
            )
    chosen = (listed[name] for name in aws.instance_types)
    return {one.name: replace(one, provider="aws", memory_mib=usable_mib(one.memory_mib)) for one in chosen}
