"""What follows a failure: the reason decides where the next attempt goes, what it costs, and when there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank import InstanceType
from neurocaas.reasons import Reason
from neurocaas.server.jobs.failures import ACTIONS, Action, wait_before
from support.world import World

pytestmark = pytest.mark.usefixtures("sqlite_database")


def _type(name: str, price: str, *, save: str | None = None, memory_gib: int = 8) -> InstanceType:
    return InstanceType(
        name=name,
        vcpus=4,
        memory_mib=memory_gib * 1024,
        gpus=0,
        price_per_hour=Decimal(price),
        save_price_per_hour=Decimal(save) if save else None,
    )


def _attempts(job: Any) -> list[tuple[str, str, str]]:
    from neurocaas.server.jobs.models import Attempt

    rows = Attempt.objects.filter(stack__job=job).order_by("stack__index", "number")
    return [(one.instance_type, one.price, one.reason) for one in rows]


def test_every_reason_has_an_action_and_only_lost_machines_are_tried_again() -> None:
    assert set(ACTIONS) == set(Reason)
    again = {reason for reason, action in ACTIONS.items() if action is not Action.GIVE_UP}
    assert again == {Reason.INSTANCE_LOST, Reason.INTERRUPTED, Reason.NO_CAPACITY}


def test_each_wait_is_twice_the_one_before_up_to_ten_minutes() -> None:
    assert [wait_before(number, 3).total_seconds() for number in (1, 2, 3, 20)] == [3, 6, 12, 600]


def test_the_first_fault_is_told_at_the_end_of_a_chain_too() -> None:
    from neurocaas.server.jobs.following import NOT_MADE, why
    from neurocaas.server.jobs.models import Stack

    first = Stack(dataset="mouse.npy", reason=Reason.WORKFLOW_FAILED, message="mouse.npy holds no frames.")
    other = Stack(dataset="mouse.npy", label="size=3", reason=Reason.WORKFLOW_FAILED, message="3 is too small.")
    said = "mouse.npy: mouse.npy holds no frames; size=3: 3 is too small."
    assert why([first, other]) == said
    second = Stack(dataset="mouse.npy", reason=Reason.STEP_BEFORE_FAILED, message=f"{NOT_MADE} {said}")
    assert why([second, second]) == said


def test_an_interrupted_stack_goes_on_at_the_standard_price_and_costs_what_it_used(
    tmp_path: Path, analysis: Path, numbers: Callable[..., list[str]]
) -> None:
    from neurocaas.server.jobs import ledger

    world = World(tmp_path, analysis, capacity=None, run_seconds=lambda _: 600.0)
    world.cloud.catalogue = (_type("c", "3.6", save="1.2"),)
    world.cloud.interrupted_after = lambda _, placement: 60.0 if placement.save else None
    job = world.submit(numbers(1), save=True, timeout_minutes=20)
    assert ledger.held(job) == 3_600_000_000  # the standard price for 20 minutes, three times
    world.drive(world.manager())
    job.refresh_from_db()
    assert _attempts(job) == [("c", "save", "INTERRUPTED"), ("c", "standard", "")]
    assert (job.status, ledger.held(job)) == ("succeeded", 0)
    assert ledger.charged(job) == 20_000_000 + 600_000_000  # 60 s at $1.20, 600 s at $3.60


def test_a_type_without_capacity_is_left_for_one_that_costs_no_more(
    tmp_path: Path, analysis: Path, numbers: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.bank import NoCapacity

    world = World(tmp_path, analysis, capacity=None, run_seconds=lambda _: 600.0)
    world.cloud.catalogue = (_type("a", "1"), _type("b", "1", memory_gib=16), _type("dear", "9"))
    launch = world.cloud.launch

    def without_a(one: Any) -> str:
        if one.placement.instance_type.name == "a":
            raise NoCapacity("There is no a to be had in this zone.")
        return launch(one)

    monkeypatch.setattr(world.cloud, "launch", without_a)
    job = world.submit(numbers(1))
    world.drive(world.manager())
    job.refresh_from_db()
    assert _attempts(job) == [("a", "standard", "NO_CAPACITY"), ("b", "standard", "")]
    assert job.status == "succeeded"
    assert job.stacks.get().tries == 0  # what had no instance does not count


def test_a_price_that_rises_after_admission_is_not_charged(
    tmp_path: Path, analysis: Path, numbers: Callable[..., list[str]]
) -> None:
    from neurocaas.server.jobs import ledger

    world = World(tmp_path, analysis, capacity=None, run_seconds=lambda _: 3600.0)
    world.cloud.catalogue = (_type("a", "2"),)
    job = world.submit(numbers(1))
    world.cloud.catalogue = (_type("a", "5"),)
    world.drive(world.manager())
    assert ledger.charged(job) == 2 * 10**9


def _chain(analysis: Path, **hardware: Any) -> None:
    """`mean` writes a matrix, `grow` needs more memory the larger it is, `both` chains them."""
    from neurocaas.blueprint import read_version
    from neurocaas.blueprint.pinning import pin

    mean = json.loads((analysis / "blueprint.json").read_text())
    mean["outputs"] = {"means": {"kind": "npy", "pattern": "means.npy"}}
    (analysis / "blueprint.json").write_text(json.dumps(mean))
    grow = analysis.parent / "grow"
    grow.mkdir()
    for path in analysis.iterdir():
        (grow / path.name).write_bytes(path.read_bytes())
    (grow / "blueprint.json").write_text(json.dumps(mean | {"name": "grow", "hardware": hardware}))
    both = analysis.parent / "both"
    both.mkdir()
    composite = {key: mean[key] for key in ("title", "summary", "inputs")} | {
        "name": "both",
        "protocol": {
            "kind": "chain",
            "steps": [{"name": "mean", "analysis": "mean"}, {"name": "grow", "analysis": "grow"}],
        },
    }
    (both / "blueprint.json").write_text(json.dumps(composite))
    pin(both, lambda name: read_version(analysis.parent / name).digest)


def test_a_step_whose_input_turns_out_larger_than_the_budget_allows_stops_and_continues_when_it_is_raised(
    tmp_path: Path, analysis: Path, numbers: Callable[..., list[str]]
) -> None:
    from neurocaas.blueprint.profile import Profile
    from neurocaas.server.groups.deploy import deploy_profile
    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.admission import admit
    from neurocaas.server.jobs.retry import prepare_retry

    # What `mean` writes has 2 bytes in the simulation: 2 / 2**30 GiB, so this asks for 16 GiB more.
    growth = [{"resource": "memory_gib", "per_input_gib": 8 * 2**30}]
    _chain(analysis, memory_gib=1, grow=growth)
    world = World(tmp_path, analysis, capacity=None, run_seconds=lambda _: 60.0)
    world.cloud.catalogue = (_type("small", "1"), _type("large", "20", memory_gib=64))
    deploy_profile(Profile(name="lab", budget_dollars=Decimal(10)))
    job = world.submit(numbers(1), "both")
    assert ledger.held(job) == 6 * 10**9
    world.drive(world.manager())
    job.refresh_from_db()
    assert (job.status, job.reason) == ("failed", "BUDGET_SPENT")
    assert "group lab has" in job.message
    assert ledger.held(job) == 0

    deploy_profile(Profile(name="lab", budget_dollars=Decimal(100)))
    again = admit(prepare_retry(world, job, "ada"))  # type: ignore[arg-type]
    world.drive(world.manager())
    again.refresh_from_db()
    assert again.status == "succeeded"
    assert _attempts(again) == [("large", "standard", "")]
    assert again.stacks.get(index=0).reused_from == job.stacks.get(index=0)


def test_a_job_whose_last_stack_can_not_be_launched_ends_in_the_same_turn(
    tmp_path: Path, analysis: Path, numbers: Callable[..., list[str]]
) -> None:
    world = World(tmp_path, analysis, capacity=1)
    first, manager = world.submit(numbers(1)), world.manager()
    other = world.submit(numbers(1), config={"components": 5})
    manager.turn()
    other.stacks.update(need={"vcpus": 999, "memory_mib": 1, "storage_mib": 1, "gpus": 0})
    world.cloud.finish(f"{first.id}/0/1")
    manager._queue.clear()
    manager.turn(world.cloud.events())
    other.refresh_from_db()
    assert (other.status, other.reason) == ("failed", "NO_CAPACITY")
