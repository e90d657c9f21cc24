"""The job manager keeps a record of every instance, flags what is wrong, and ends what nobody claims."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.bank import Instance, Placement
from neurocaas.errors import RemoteFailed
from neurocaas.settings import HardwareSettings
from neurocaas.testing import SimulatedCloud
from support.world import World

if TYPE_CHECKING:
    from neurocaas.server.hardware.models import InstanceRecord
    from neurocaas.server.hardware.reading import Account

HOUR = 3600


@pytest.fixture
def world(tmp_path: Path, analysis: Path, any_database: str) -> World:
    return World(tmp_path, analysis, price=18, capacity=1)


def _records() -> list[InstanceRecord]:
    from neurocaas.server.hardware.models import InstanceRecord

    return list(InstanceRecord.objects.order_by("started_at", "name"))


def _accounts(world: World, **narrowed: Any) -> list[Account]:
    from neurocaas.server.hardware.reading import accounts, since

    return accounts(since(None), world.settings.site.hardware, world.clock(), **narrowed)


def _anywhere(cloud: SimulatedCloud) -> Placement:
    return Placement(instance_type=cloud.instance_types()[0])


def _sweep(world: World, manager: Any, *, minutes: float, every: float = 1) -> None:
    """Turn after turn, until so many minutes have passed."""
    for _ in range(int(minutes / every)):
        world.clock.advance(60 * every)
        manager.turn()


def test_an_instance_is_recorded_from_its_start_to_its_end(world: World, numbers: Callable[..., list[str]]) -> None:
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    [record] = _records()
    assert (record.name, record.instance_type, record.ended_at) == ("simulated/i-00000", "sim.large", None)
    world.clock.advance(12.345)
    world.cloud.finish(f"{job.id}/0/1")
    manager.turn()
    [record] = _records()
    assert record.ended_at is not None
    assert record.ended_at - record.started_at == timedelta(seconds=12.345)
    assert record.reason == "Its attempt ended."
    [account] = _accounts(world)
    assert [one.attempt for one in account.measured.served] == [f"{job.id}/0/1"]
    assert (account.use.total_ms, account.use.idle_ms) == (12345, 0)
    assert account.use.total_nanodollars == 61_725_000
    assert account.findings == ()


def test_what_an_instance_idles_between_attempts_is_the_sites(world: World, numbers: Callable[..., list[str]]) -> None:
    from neurocaas.server.hardware.reading import totals
    from neurocaas.server.jobs.models import Account as Money

    world.cloud.fleet.keep_seconds = 300
    for _ in range(2):
        job, manager = world.submit(numbers(1), fresh=True), world.manager()
        manager.turn()
        world.clock.advance(100)
        world.cloud.finish(f"{job.id}/0/1")
        manager.turn()
        world.clock.advance(50)
    _sweep(world, manager, minutes=6)
    [account] = _accounts(world)
    assert len(account.measured.served) == 2
    assert (account.use.total_ms, account.use.idle_ms) == (550_000, 350_000)
    assert totals([account]).idle_nanodollars == 1_750_000_000
    assert Money.objects.get(user="").spent_nanodollars == 1_000_000_000  # the group's: what its attempts took


def test_an_instance_that_nobody_claims_is_flagged_then_ended(world: World, caplog: pytest.LogCaptureFixture) -> None:
    stray, manager = world.cloud.fleet.stray(_anywhere(world.cloud)), world.manager()
    rules = world.settings.site.hardware
    assert rules.grace_minutes is not None
    with caplog.at_level(logging.WARNING):
        _sweep(world, manager, minutes=rules.unclaimed_minutes + 5)
    [flagged] = _accounts(world, flagged=True)
    assert [one.flag for one in flagged.findings] == ["unclaimed"]
    said = [one for one in caplog.messages if "is unclaimed: It has run for nobody for 16 minutes." in one]
    assert len(said) == 1  # not at each sweep
    assert world.cloud.fleet.strays == {stray}
    _sweep(world, manager, minutes=rules.grace_minutes)
    assert world.cloud.fleet.strays == set()
    [record] = _records()
    assert record.reason == "It was ended on request."


def test_without_a_grace_it_is_flagged_only(tmp_path: Path, analysis: Path, any_database: str) -> None:
    world = World(tmp_path, analysis)
    site = world.settings.site.model_copy(update={"hardware": HardwareSettings(grace_minutes=None)})
    world.settings = world.settings.model_copy(update={"site": site})
    stray, manager = world.cloud.fleet.stray(_anywhere(world.cloud)), world.manager()
    _sweep(world, manager, minutes=200, every=20)
    assert world.cloud.fleet.strays == {stray}
    assert len(_accounts(world, flagged=True)) == 1


def test_an_instance_that_serves_a_live_attempt_is_never_ended(world: World, numbers: Callable[..., list[str]]) -> None:
    world.silence_seconds = 10 * HOUR
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    _sweep(world, manager, minutes=300, every=30)
    assert world.cloud.running == [f"{job.id}/0/1"]
    [account] = _accounts(world)
    assert [one.flag for one in account.findings] == ["overdue"]


def test_a_provider_that_does_not_end_an_instance_stops_nothing(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Instance) -> bool:
        raise RemoteFailed("AWS would not end the instance.")

    monkeypatch.setattr(world.cloud, "end_instance", refuse)
    world.cloud.fleet.stray(_anywhere(world.cloud))
    _sweep(world, world.manager(), minutes=40, every=10)
    assert "instance simulated/i-00000 could not be ended: AWS would not end the instance." in caplog.messages


def test_jobs_go_on_when_instances_cannot_be_recorded(
    world: World, numbers: Callable[..., list[str]], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault() -> list[Instance]:
        raise ValueError

    monkeypatch.setattr(world.cloud, "instances", fault)
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    world.cloud.finish(f"{job.id}/0/1")
    manager.turn()
    job.refresh_from_db()
    assert job.status == "succeeded"
    assert "the instances could not be recorded" in caplog.messages


def test_an_end_that_no_manager_heard_of_is_the_end_of_the_last_attempt(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    world.clock.advance(30)
    world.cloud.finish(f"{job.id}/0/1")
    world.cloud.instances()  # told to one that died with it
    over = world.clock()
    manager.turn()
    [record] = _records()
    assert record.ended_at is None
    _sweep(world, manager, minutes=7)
    [record] = _records()
    assert (record.ended_at, record.reason) == (over, "Its provider told of it no more.")


def test_an_instance_that_is_named_again_has_not_ended(any_database: str) -> None:
    from neurocaas.server.hardware.recording import Recording

    now = datetime(2026, 1, 1, tzinfo=UTC)
    cloud = _Reports([_instance(0, now)])
    recording = Recording(provider=cloud, rules=HardwareSettings())  # type: ignore[arg-type]
    recording.look(now)
    cloud.reports = []
    recording.look(now + timedelta(minutes=6))
    [record] = _records()
    assert record.ended_at == now
    cloud.reports = [_instance(0, now)]
    recording.look(now + timedelta(minutes=7))
    [record] = _records()
    assert (record.ended_at, record.reason) == (None, "")


def test_a_sweep_asks_the_database_as_often_for_a_hundred_instances_as_for_one(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from neurocaas.server.hardware.recording import Recording

    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    counts = []
    for count in (1, 100):
        found = [_instance(index, world.clock(), attempts=(f"{job.id}/0/1",)) for index in range(count)]
        recording = Recording(provider=_Reports(found), rules=HardwareSettings())  # type: ignore[arg-type]
        with CaptureQueriesContext(connection) as asked:
            recording.look(world.clock())
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 10


def test_attempts_that_are_not_known_are_passed_over(any_database: str) -> None:
    from neurocaas.server.hardware.recording import note

    now = datetime(2026, 1, 1, tzinfo=UTC)
    note([_instance(0, now, attempts=("gone/0/1", "gone/1/12"))], now)
    assert [one.attempts.count() for one in _records()] == [0]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["submit", "finish", "lose", "wait", "die", "stray", "sweep"]), max_size=20))
def test_whatever_happens_records_are_what_the_cloud_knows(
    steps: list[str],
    sqlite_template: Path,
    point_django_at: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
    analysis: Path,
    numbers: Callable[..., list[str]],
) -> None:
    root = tmp_path_factory.mktemp("world")
    shutil.copyfile(sqlite_template, root / "own.sqlite3")
    point_django_at(f"sqlite:///{root / 'own.sqlite3'}")
    world = World(root, analysis, price=1, capacity=3)
    world.cloud.fleet.keep_seconds = 90
    manager = world.manager()
    for step in steps:
        if step == "submit":
            world.submit(numbers(2), fresh=True)
        elif step == "finish" and world.cloud.running:
            world.cloud.finish(world.cloud.running[0])
        elif step == "lose" and world.cloud.running:
            world.cloud.lose(world.cloud.running[-1])
        elif step == "stray":
            world.cloud.fleet.stray(_anywhere(world.cloud))
        elif step == "die":
            manager = world.manager()
            manager.recover()
        elif step == "sweep":
            manager.turn()
        world.clock.advance(7.001)
    manager.turn()
    known = {f"simulated/{one.id}": one for one in world.cloud.fleet._all.values()}
    records = {one.name: one for one in _records()}
    assert records.keys() == known.keys()
    for account in _accounts(world):
        told = known[account.record.name]
        assert (account.record.started_at, account.record.ended_at) == (told.started_at, told.ended_at)
        assert {one.attempt for one in account.measured.served} == set(told.attempts)
        assert account.use.total_ms == ((told.ended_at or world.clock()) - told.started_at) // timedelta(milliseconds=1)
        assert 0 <= account.use.idle_ms <= account.use.total_ms


class _Reports:
    """A supplier that reports what it is told to."""

    def __init__(self, reports: list[Instance]) -> None:
        self.reports = reports

    def instances(self) -> list[Instance]:
        return self.reports


def _instance(number: int, at: datetime, **facts: Any) -> Instance:
    one = Instance(
        provider="aws", id=f"i-{number}", instance_type="m6i.large", price_per_hour=Decimal("0.1"), started_at=at
    )
    return replace(one, **facts)
