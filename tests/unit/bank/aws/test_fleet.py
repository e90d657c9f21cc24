from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from neurocaas.bank import InstanceType
from neurocaas.bank.aws.fleet import Fleet
from neurocaas.errors import RemoteFailed
from support.amazon import FakeAmazon, refusal

LARGE = InstanceType(
    name="m5.xlarge",
    vcpus=4,
    memory_mib=15401,
    gpus=0,
    price_per_hour=Decimal("0.192"),
    save_price_per_hour=Decimal("0.0627"),
    provider="aws",
)
ARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/cluster/0123"
BEGUN = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)


def described(name: str, **more: Any) -> dict[str, Any]:
    return {
        "InstanceId": name,
        "InstanceType": "m5.xlarge",
        "LaunchTime": BEGUN,
        "State": {"Name": "running"},
    } | more


TERMINATED = {
    "State": {"Name": "terminated"},
    "StateTransitionReason": "User initiated (2026-11-28 12:34:56 GMT)",
    "StateReason": {"Message": "Client.UserInitiatedShutdown: User initiated shutdown"},
}


@pytest.fixture
def amazon() -> FakeAmazon:
    return FakeAmazon()


@pytest.fixture
def fleet(amazon: FakeAmazon) -> Fleet:
    return Fleet(amazon, "neurocaas", {"m5.xlarge": LARGE})


def test_an_instance_is_told_with_its_price_and_start(amazon: FakeAmazon, fleet: Fleet) -> None:
    amazon.instances = [described("i-1"), described("i-2", InstanceLifecycle="spot")]
    first, second = fleet.instances()
    assert (first.id, first.price_per_hour, first.started_at, first.ended_at, first.save) == (
        "i-1",
        Decimal("0.192"),
        BEGUN,
        None,
        False,
    )
    assert (second.price_per_hour, second.save) == (Decimal("0.0627"), True)
    [asked] = amazon.calls("describe_instances")
    assert asked["Filters"] == [{"Name": "tag:neurocaas:stack", "Values": ["neurocaas"]}]


def test_an_instances_end_is_told_once_with_its_reason(amazon: FakeAmazon, fleet: Fleet) -> None:
    amazon.instances = [described("i-1", **TERMINATED)]
    [one] = fleet.instances()
    assert one.ended_at == datetime(2026, 11, 28, 12, 34, 56, tzinfo=UTC)
    assert one.reason == "Client.UserInitiatedShutdown: User initiated shutdown"
    assert fleet.instances() == []


def test_an_instance_names_the_attempts_it_served(amazon: FakeAmazon, fleet: Fleet) -> None:
    amazon.instances = [described("i-1"), described("i-2")]
    amazon.container_instances = {ARN: "i-1"}
    fleet.served("job/0/1", ARN)
    assert [one.attempts for one in fleet.instances()] == [("job/0/1",), ()]
    fleet.served("job/1/1", ARN)
    amazon.instances = [described("i-1", **TERMINATED)]
    [ended] = fleet.instances()
    assert ended.attempts == ("job/0/1", "job/1/1")
    [*_, asked] = amazon.calls("describe_container_instances")
    assert asked["cluster"] == "cluster"


def test_a_container_instance_that_is_forgotten_does_no_harm(amazon: FakeAmazon, fleet: Fleet) -> None:
    amazon.instances = [described("i-1")]
    fleet.served("job/0/1", ARN)
    assert [one.attempts for one in fleet.instances()] == [()]


def test_a_type_that_is_no_longer_offered_has_no_price(amazon: FakeAmazon, fleet: Fleet) -> None:
    amazon.instances = [described("i-1", InstanceType="c5.large")]
    [one] = fleet.instances()
    assert one.price_per_hour == 0


def test_an_instance_is_ended_and_one_that_is_gone_is_no_fault(amazon: FakeAmazon, fleet: Fleet) -> None:
    fleet.end("i-1")
    assert amazon.calls("terminate_instances") == [{"InstanceIds": ["i-1"]}]
    amazon.fault = refusal("InvalidInstanceID.NotFound", "It does not exist.")
    fleet.end("i-1")
    amazon.fault = refusal("UnauthorizedOperation", "You may not.")
    with pytest.raises(RemoteFailed, match="AWS would not end the instance i-1: You may not"):
        fleet.end("i-1")
