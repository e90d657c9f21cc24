"""The job manager against a simulated cloud: what it does, and that it may be killed at any call it makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.storage import keys
from neurocaas.testing import Killed, Mortal
from support.world import World

if TYPE_CHECKING:
    from neurocaas.server.jobs.models import Job


@pytest.fixture
def world(tmp_path: Path, analysis: Path, any_database: str) -> World:
    return World(tmp_path, analysis)


def _statuses(job: Job) -> list[str]:
    return list(job.stacks.order_by("index").values_list("status", flat=True))


def test_stacks_run_as_capacity_allows_in_the_order_given(world: World, numbers: Callable[..., list[str]]) -> None:
    job, manager = world.submit(numbers(3)), world.manager()
    manager.turn()
    assert world.cloud.running == [f"{job.id}/0/1", f"{job.id}/1/1"]
    waiting = job.stacks.get(index=2)
    assert (waiting.reason, waiting.message) == ("WAITING_FOR_INSTANCE", "All 2 instances are in use.")
    world.cloud.finish(f"{job.id}/0/1")
    manager.turn(world.cloud.events())
    assert world.cloud.running == [f"{job.id}/1/1", f"{job.id}/2/1"]


def test_a_job_ends_with_its_certificate_when_all_stacks_have(world: World, numbers: Callable[..., list[str]]) -> None:
    job, manager = world.submit(numbers(2)), world.manager()
    manager.turn()
    for attempt in world.cloud.running:
        world.cloud.finish(attempt)
    manager.turn()
    job.refresh_from_db()
    assert job.status == "succeeded"
    assert world.store.head(keys.certificate("lab", job.id)) is not None
    assert job.ended_at is not None


def test_a_workflow_that_fails_is_not_tried_again(world: World, numbers: Callable[..., list[str]]) -> None:
    job, manager = world.submit(numbers(2)), world.manager()
    manager.turn()
    world.cloud.finish(f"{job.id}/0/1", reason="WORKFLOW_FAILED", message="recording-0.npy holds no numbers.")
    world.cloud.finish(f"{job.id}/1/1")
    manager.turn()
    job.refresh_from_db()
    assert _statuses(job) == ["failed", "succeeded"]
    assert job.status == "failed"
    assert job.message.startswith("1 of 2 datasets failed; the first: recording-0.npy holds no numbers.")


def test_a_lost_instance_is_tried_again_after_a_while_and_not_for_ever(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job, manager = world.submit(numbers(1)), world.manager()
    for attempt in (1, 2, 3):
        manager.turn()
        assert world.cloud.running == [f"{job.id}/0/{attempt}"]
        world.cloud.lose(f"{job.id}/0/{attempt}")
        manager.turn(world.cloud.events())
        manager.turn()
        assert world.cloud.running == []
        world.clock.advance(10)
    job.refresh_from_db()
    assert (job.status, job.reason) == ("failed", "INSTANCE_LOST")


def test_a_stack_that_is_due_again_goes_before_those_that_came_later(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job, manager = world.submit(numbers(4)), world.manager()
    manager.turn()
    world.cloud.lose(f"{job.id}/0/1")
    manager.turn(world.cloud.events())
    assert world.cloud.running == [f"{job.id}/1/1", f"{job.id}/2/1"]
    world.clock.advance(2)
    manager.turn([])
    world.cloud.finish(f"{job.id}/1/1")
    manager.turn(world.cloud.events())
    assert world.cloud.running == [f"{job.id}/2/1", f"{job.id}/0/2"]


@pytest.mark.usefixtures("sqlite_database")
def test_stacks_that_wait_are_found_in_their_order_by_an_index() -> None:
    from neurocaas.server.jobs.models import waiting

    plan = waiting(ready=True).order_by("pk").explain()
    assert "USING INDEX jobs_stack_status_a72f40_idx (status=? AND ready=?)" in plan
    assert "TEMP" not in plan


def test_a_silent_runner_is_taken_for_lost_and_its_late_result_changes_nothing(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    late = world.cloud._running[f"{job.id}/0/1"]
    for _ in range(6):
        world.clock.advance(40)
        manager.turn()
    assert world.cloud.running == [f"{job.id}/0/2"]
    assert world.store.head(keys.lease(late.document["prefix"])) is None
    world.cloud._running[f"{job.id}/0/1"] = late
    world.cloud._busy["sim.large"] += 1
    world.cloud.finish(f"{job.id}/0/1")
    world.cloud.finish(f"{job.id}/0/2")
    manager.turn()
    assert job.stacks.get().published_attempt == 2


def test_what_has_no_instance_yet_is_neither_silent_nor_charged(
    tmp_path: Path, analysis: Path, numbers: Callable[..., list[str]], any_database: str
) -> None:
    world = World(tmp_path, analysis, price=18)
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    attempt = f"{job.id}/0/1"
    world.cloud.hold(attempt, "AWS was asked for an m5.xlarge.")
    for _ in range(20):
        world.clock.advance(30)
        manager.turn()
    assert world.cloud.running == [attempt]
    assert job.stacks.get().note == "AWS was asked for an m5.xlarge."
    world.cloud.begin(attempt)
    manager.turn(world.cloud.events())
    world.clock.advance(7)
    world.cloud.finish(attempt)
    manager.turn()
    assert job.stacks.get().charged_nanodollars == 35_000_000


def test_what_got_no_instance_in_time_is_tried_again_and_costs_nothing(
    tmp_path: Path, analysis: Path, numbers: Callable[..., list[str]], any_database: str
) -> None:
    world = World(tmp_path, analysis, price=18)
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    world.clock.advance(600)
    world.cloud.give_up(f"{job.id}/0/1", "AWS was asked for an m5.xlarge for 10 minutes.")
    manager.turn(world.cloud.events())
    stack = job.stacks.get()
    assert (stack.status, stack.tries, stack.moves, stack.charged_nanodollars) == ("waiting", 0, 1, 0)
    assert stack.message.startswith("No instance could be had. AWS was asked for an m5.xlarge for 10 minutes.")
    assert stack.attempts.get().reason == "NO_CAPACITY"


def test_a_runner_that_was_stopped_though_nobody_cancelled_its_job_is_lost(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job, manager = world.submit(numbers(2)), world.manager()
    manager.turn()
    first, second = world.cloud.running
    world.cloud.finish(first, reason="CANCELLED", message="The attempt was cancelled: its lease was taken away.")
    world.cloud.reclaim(second, reason="CANCELLED", message="The runner was asked to stop.")
    manager.turn(world.cloud.events())
    assert _statuses(job) == ["waiting", "waiting"]
    reasons = [stack.attempts.get().reason for stack in job.stacks.order_by("index")]
    assert reasons == ["INSTANCE_LOST", "INTERRUPTED"]


def test_cancelling_stops_what_runs_and_what_waits(world: World, numbers: Callable[..., list[str]]) -> None:
    from neurocaas.server.jobs.cancel import cancel

    job, manager = world.submit(numbers(4)), world.manager()
    manager.turn()
    world.cloud.finish(f"{job.id}/0/1")
    manager.turn(world.cloud.events())
    assert cancel(job)
    manager.turn()
    manager.turn(world.cloud.events())
    job.refresh_from_db()
    assert _statuses(job) == ["succeeded", "cancelled", "cancelled", "cancelled"]
    assert (job.status, world.cloud.running) == ("cancelled", [])
    assert not cancel(job)


def test_an_environment_that_can_not_be_built_fails_the_job_in_words(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    world.environments.broken = True
    job, manager = world.submit(numbers(2)), world.manager()
    manager.turn()
    manager.preparation._builders.shutdown(wait=True)
    manager.turn()
    job.refresh_from_db()
    assert (job.status, job.reason) == ("failed", "ENVIRONMENT_BROKEN")
    assert "The lock names a package that does not exist." in job.message


def test_a_running_stack_survives_a_new_version_of_its_analysis(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job = world.submit(numbers(1))
    (world.repo.folder("mean") / "workflow.py").write_text("print('edited')")
    world.manager().turn()
    document = world.cloud.document(f"{job.id}/0/1")
    assert (Path(document["workflow"]["files"]) / "workflow.py").read_text() == "print(1)\n"


def test_a_record_of_the_end_that_can_not_be_read_fails_its_stack_only(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job, manager = world.submit(numbers(2)), world.manager()
    manager.turn()
    garbled = world.cloud.document(f"{job.id}/0/1")
    world.store.put(keys.exit_record(garbled["prefix"]), b"garbage")
    world.cloud.finish(f"{job.id}/1/1")
    manager.turn()
    assert list(job.stacks.order_by("index").values_list("status", "reason")) == [
        ("failed", "INTERNAL"),
        ("succeeded", ""),
    ]


def test_a_stack_that_no_instance_fits_any_more_fails_and_does_not_block_the_queue(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    job, manager = world.submit(numbers(2)), world.manager()
    job.stacks.filter(index=0).update(need={"vcpus": 1, "memory_mib": 1, "storage_mib": 1, "gpus": 1})
    manager.turn()
    assert world.cloud.running == [f"{job.id}/1/1"]
    first = job.stacks.get(index=0)
    assert (first.status, first.reason) == ("failed", "NO_CAPACITY")


def test_a_job_uses_no_more_instances_than_its_analysis_may_and_says_so(
    world: World, numbers: Callable[..., list[str]]
) -> None:
    from neurocaas.server.jobs.models import Job

    job, other = world.submit(numbers(2)), world.submit(numbers(1))
    Job.objects.filter(pk=job.pk).update(max_instances=1)
    world.manager().turn()
    assert world.cloud.running == [f"{job.id}/0/1", f"{other.id}/0/1"]
    assert job.stacks.get(index=1).message == "The job has as many instances as its analysis may use at once (1)."


def test_a_runner_that_does_not_stop_when_cancelled_loses_its_instance(
    world: World, numbers: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.jobs.cancel import cancel

    monkeypatch.setattr(world.cloud, "interrupt", lambda handle: None)
    job, manager = world.submit(numbers(1)), world.manager()
    manager.turn()
    cancel(job)
    manager.turn()
    assert manager.due is not None
    assert (manager.due - world.clock()).total_seconds() == 5
    world.clock.advance(5)
    manager.turn()
    job.refresh_from_db()
    assert (job.status, world.cloud.running) == ("cancelled", [])


def test_money_is_held_charged_and_released(tmp_path: Path, analysis: Path, any_database: str) -> None:
    from neurocaas.blueprint.profile import Profile
    from neurocaas.server.jobs import ledger

    world = World(tmp_path, analysis, price=6)
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY")
    job, manager = world.submit([str(path)]), world.manager()
    (balance, _) = ledger.balances(Profile(name="lab"))
    assert (balance.held, balance.left) == (18 * 10**9, 282 * 10**9)
    assert ledger.held(job) == 18 * 10**9  # $6 an hour, one hour at most, three attempts at most
    manager.turn()
    world.clock.advance(600)
    world.cloud.finish(f"{job.id}/0/1")
    manager.turn()
    (balance, _) = ledger.balances(Profile(name="lab"))
    assert (ledger.charged(job), ledger.held(job), balance.held, balance.spent) == (10**9, 0, 0, 10**9)


@pytest.mark.thorough
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths=st.lists(st.integers(1, 25), max_size=12), before=st.booleans(), losses=st.sets(st.integers(0, 4)))
def test_killed_at_any_call_every_stack_ends_once_and_the_money_adds_up(
    tmp_path_factory: pytest.TempPathFactory,
    analysis: Path,
    any_database: str,
    deaths: list[int],
    before: bool,
    losses: set[int],
) -> None:
    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.models import Attempt, Entry, Job, Step

    root = tmp_path_factory.mktemp("world")
    world = World(root, analysis, price=1)
    data = [root / f"{index}.npy" for index in range(4)]
    for path in data:
        path.write_bytes(b"\x93NUMPY" + path.name.encode())
    job = world.submit([str(path) for path in data], fresh=True)  # the database is that of all examples
    Step.objects.filter(job=job).update(max_attempts=99)
    turns = 0
    for death in [*deaths, 10**9]:
        calls = [0]
        manager = world.manager(lambda part, c=calls, d=death: Mortal(part, c, d, before))
        try:
            manager.recover()
            while Job.objects.get(pk=job.pk).status in {"waiting", "running"}:
                turns += 1
                assert turns < 400
                manager.turn()
                world.clock.advance(30)
                for attempt in world.cloud.running:
                    if turns in losses:
                        world.cloud.lose(attempt)
                    else:
                        world.cloud.finish(attempt)
        except Killed:
            continue
    job.refresh_from_db()
    assert job.status == "succeeded"
    assert _statuses(job) == ["succeeded"] * 4
    assert world.cloud.running == []
    assert not Attempt.objects.filter(status__in=["launching", "running"]).exists()
    for stack in job.stacks.all():
        assert stack.attempts.filter(status="succeeded").count() == 1
    charges = Entry.objects.filter(job=job, kind="charge").values_list("attempt_id", flat=True)
    assert len(charges) == len(set(charges))
    assert ledger.held(job) == 0
    assert ledger.charged(job) == sum(Attempt.objects.filter(stack__job=job).values_list("cost_nanodollars", flat=True))
