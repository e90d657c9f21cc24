"""What every provider promises, in the same tests for each: this machine, a real Slurm cluster of two nodes, an
emulated AWS, and a simulated cloud.

All but the last with real runners; AWS with containers that really run.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from neurocaas.bank import Instance, InstanceType, Launch, NoCapacity, Placement, Provider, State, choose
from neurocaas.bank.aws.provider import AwsProvider
from neurocaas.bank.local import LocalProvider
from neurocaas.bank.slurm.provider import SlurmProvider
from neurocaas.blueprint import Need
from neurocaas.errors import Refused
from neurocaas.settings import LocalMachine, Settings, SiteDocument, SlurmSettings, SlurmType
from neurocaas.storage import Store, keys, open_store
from neurocaas.testing import SimulatedCloud
from support.batch_place import BatchPlace

ONE = Need(vcpus=1, memory_mib=128, storage_mib=64, gpus=0)
ANYWHERE = Placement(instance_type=InstanceType(name="any", vcpus=2, memory_mib=256, gpus=0, price_per_hour=Decimal(0)))
PATIENCE_SECONDS = 120.0

# Emulated Batch starts containers, but no EC2 instances: what AWS tells of those is tried in tests/unit/bank/aws.
TELLING = pytest.mark.parametrize(
    "place", ["local", pytest.param("slurm", marks=pytest.mark.xdist_group("slurm")), "simulated"], indirect=True
)


class Place:
    """A provider with room for two stacks, and a store that its runners write to."""

    placement = ANYWHERE

    def __init__(self, folder: Path, kind: str, store: Store | None = None) -> None:
        self.folder = folder
        self.kind = kind
        self.store = store or open_store((folder / "store").as_uri())
        self.version = folder / "version"
        self.version.mkdir()
        self.cloud = SimulatedCloud(store=self.store)
        self._count = 0
        self._job = f"job{uuid4().hex[:8]}"  # providers that are shared know those of other tests

    def open(self) -> Provider:
        """The provider as a new job manager opens it."""
        if self.kind == "simulated":
            return self.cloud
        machine = LocalMachine(vcpus=min(2, len(os.sched_getaffinity(0))), memory_gib="0.25")
        site = SiteDocument(name="test", local=machine)
        provider = LocalProvider(Settings(root=self.folder, site=site, database_url="", store_url=self.store.url))
        provider.start()
        return provider

    def launch(self, seconds: float = 60) -> Launch:
        """An attempt whose workflow sleeps."""
        self._count += 1
        prefix = keys.attempt("lab", self._job, 0, self._count)
        self.store.put(keys.lease(prefix), json.dumps({"token": "t"}).encode())
        work = self.folder / ".neurocaas" / "work" / f"{self._job}-0-{self._count}"
        document: dict[str, Any] = {
            "attempt": f"{self._job}/0/{self._count}",
            "token": "t",
            "store": self.store.url,
            "prefix": prefix,
            "work": str(work),
            "inputs": [],
            "config": {},
            "seed": 0,
            "workflow": {"files": str(self.version), "command": ["sleep", str(seconds)]},
            "outputs": [],
            "metrics": [],
            "environment": {"digest": "e" * 64},
            "resources": {"vcpus": 1, "memory_mib": 128, "storage_mib": 64, "processes": 32},
            "timeout_seconds": 50,
        }
        attempt = str(document["attempt"])
        return Launch(attempt=attempt, work=work, document=document, need=ONE, placement=self.placement)

    def begun(self, launch: Launch) -> bool:
        """Whether the attempt's runner is there."""
        return self.kind == "simulated" or (launch.work / "runner.json").exists()

    def tell(self, launch: Launch) -> None:
        """Send the event of the attempt's end, where nobody does so by himself."""

    def ended(self, launch: Launch) -> bool:
        return self.store.head(keys.exit_record(str(launch.document["prefix"]))) is not None


class AwsPlace(Place):
    """Batch's containers, emulated AWS around them."""

    def __init__(self, folder: Path, batch: BatchPlace) -> None:
        super().__init__(folder, "aws", batch.store)
        self.batch = batch
        [one] = AwsProvider(batch.settings(folder)).instance_types()
        self.placement = Placement(instance_type=one)

    def open(self) -> Provider:
        provider = AwsProvider(self.batch.settings(self.folder))
        provider.start()
        return provider

    def launch(self, seconds: float = 60) -> Launch:
        launch = super().launch(seconds)
        document = dict(launch.document)
        document["workflow"] = document["workflow"] | {"archive": self.batch.workflow}
        document["environment"] = self.batch.environment
        return replace(launch, document=document)

    def begun(self, launch: Launch) -> bool:
        return self.store.head(keys.claimed(str(launch.document["prefix"]))) is not None

    def tell(self, launch: Launch) -> None:
        # Whoever listened for an earlier test may still wait for its last message, and would take this one.
        *earlier, _ = [one for one in threading.enumerate() if one.name == "aws-events"]
        for one in earlier:
            one.join()
        self.batch.tell(launch.attempt, "SUCCEEDED")


class SlurmPlace(Place):
    """Two nodes with one CPU each."""

    placement = Placement(
        instance_type=InstanceType(
            name="main", provider="slurm", vcpus=1, memory_mib=768, gpus=0, price_per_hour=Decimal(0)
        )
    )

    def open(self) -> Provider:
        one = SlurmType(name="main", vcpus=1, memory_gib="1", at_once=2)
        site = SiteDocument(name="test", slurm=SlurmSettings(instance_types=(one,)))
        self.provider = SlurmProvider(Settings(root=self.folder, site=site, database_url="", store_url=self.store.url))
        self.provider.start()
        return self.provider

    def begun(self, launch: Launch) -> bool:
        self.provider.sweep([])  # as the manager does when its descriptor wakes it
        return super().begun(launch)

    def ended(self, launch: Launch) -> bool:
        self.provider.sweep([])
        return super().ended(launch)


@pytest.fixture(
    params=[
        "local",
        pytest.param("slurm", marks=pytest.mark.xdist_group("slurm")),
        "aws",
        "simulated",
    ]
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-provider-"))
    folder.chmod(0o755)
    if request.param == "aws":
        yield AwsPlace(folder, request.getfixturevalue("batch_place"))
    elif request.param == "slurm":
        request.getfixturevalue("slurm")
        yield SlurmPlace(folder, request.param)
    else:
        yield Place(folder, request.param)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def provider(place: Place) -> Iterator[Provider]:
    opened = place.open()
    yield opened
    opened.close()


def _until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _ended(provider: Provider) -> list[Instance]:
    """The instances that the provider tells of as ended, as soon as it does."""
    ended: list[Instance] = []

    def told() -> bool:
        provider.events()
        ended.extend(one for one in provider.instances() if one.ended_at)
        return bool(ended)

    _until(told)
    return ended


def test_a_launched_stack_runs_until_it_is_released(place: Place, provider: Provider) -> None:
    handle = provider.launch(place.launch())
    assert provider.sweep([handle])[handle] in {State.PENDING, State.RUNNING}
    _until(lambda: provider.sweep([handle]) == {handle: State.RUNNING})
    provider.release(handle)
    _until(lambda: provider.sweep([handle]) == {handle: State.GONE})


def test_releasing_and_interrupting_twice_is_harmless(place: Place, provider: Provider) -> None:
    handle = provider.launch(place.launch())
    for _ in range(2):
        provider.interrupt(handle)
        provider.release(handle)
    _until(lambda: provider.sweep([handle]) == {handle: State.GONE})


def test_what_does_not_fit_now_is_told_and_fits_later(place: Place, provider: Provider) -> None:
    handles = []
    while not provider.shortage(ONE, place.placement):
        handles.append(provider.launch(place.launch()))
    assert provider.shortage(ONE, place.placement).endswith(".")
    with pytest.raises(NoCapacity):
        provider.launch(place.launch())
    provider.release(handles.pop())
    assert provider.shortage(ONE, place.placement) == ""
    for handle in handles:
        provider.release(handle)


def test_its_instance_types_hold_as_many_at_once_as_it_says(place: Place, provider: Provider) -> None:
    for one in provider.instance_types():
        assert one.vcpus > 0
        assert one.price_per_hour >= 0
    handles = []
    while not provider.shortage(ONE, place.placement):
        handles.append(provider.launch(place.launch()))
    assert len(handles) == provider.at_once(ONE)
    for handle in handles:
        provider.release(handle)


def test_what_never_fits_is_refused(provider: Provider) -> None:
    with pytest.raises(Refused, match=r"hardware"):
        choose(provider.instance_types(), Need(vcpus=1, memory_mib=1, storage_mib=1, gpus=99))


def test_an_interrupted_runner_reports_and_its_end_is_an_event(place: Place, provider: Provider) -> None:
    launch = place.launch()
    handle = provider.launch(launch)
    _until(lambda: place.begun(launch))
    provider.interrupt(handle)
    _until(lambda: place.ended(launch))
    place.tell(launch)
    seen: list[str] = []

    def told() -> bool:
        seen.extend(hint.what for hint in provider.events() if hint.attempt == launch.attempt)
        return "exit" in seen

    _until(told)


def test_a_runner_outlives_its_manager_and_is_adopted(place: Place) -> None:
    first = place.open()
    launch = place.launch()
    handle = first.launch(launch)
    _until(lambda: place.begun(launch))
    first.close()
    second = place.open()
    try:
        assert second.sweep([handle]) == {handle: State.RUNNING}
        assert second.find(launch.attempt, launch.work) is not None
        second.adopt([handle])
        others = []
        while not second.shortage(ONE, place.placement):
            others.append(second.launch(place.launch()))
        assert len(others) == min(2, len(os.sched_getaffinity(0))) - 1  # the adopted one holds its share
        for one in (handle, *others):
            second.release(one)
    finally:
        second.close()


@TELLING
def test_an_instance_is_told_from_its_start_to_its_end_and_its_end_once(place: Place, provider: Provider) -> None:
    launch = place.launch()
    handle = provider.launch(launch)
    _until(lambda: provider.sweep([handle]) == {handle: State.RUNNING})
    [running] = provider.instances()
    assert (running.provider, running.attempts, running.ended_at) == (provider.name, (launch.attempt,), None)
    assert provider.instances() == [running]
    provider.release(handle)
    [ended] = _ended(provider)
    assert (ended.id, ended.started_at, ended.attempts) == (running.id, running.started_at, running.attempts)
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.started_at
    assert ended.reason
    provider.sweep([handle])
    assert provider.instances() == []


@TELLING
def test_an_instance_is_told_by_the_manager_that_adopts_it(place: Place) -> None:
    first = place.open()
    launch = place.launch()
    handle = first.launch(launch)
    _until(lambda: first.sweep([handle]) == {handle: State.RUNNING})
    [begun] = first.instances()
    first.close()
    second = place.open()
    try:
        second.adopt([handle])
        assert second.instances() == [begun]
        second.release(handle)
        assert [one.id for one in _ended(second)] == [begun.id]
    finally:
        second.close()


def test_what_was_never_launched_is_not_found(place: Place, provider: Provider) -> None:
    launch = place.launch()
    assert provider.find(launch.attempt, launch.work) is None
