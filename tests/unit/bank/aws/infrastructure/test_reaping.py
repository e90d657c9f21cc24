"""Instances that nobody claims are found and ended from without; others are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from neurocaas.bank.aws.account import Account
from neurocaas.bank.aws.infrastructure.reaping import Sweep
from neurocaas.bank.aws.stack import STACK_TAG
from neurocaas.testing import FakeClock
from support.aws import Aws

MINUTE = 60


@pytest.fixture
def account(as_admin: Aws) -> Account:
    return Account(as_admin.region)


@pytest.fixture
def stack() -> str:
    return f"t{uuid4().hex[:9]}"


def _start(account: Account, stack: str) -> str:
    ec2 = account.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": STACK_TAG, "Value": stack}]}]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="m5.xlarge", TagSpecifications=tags)
    return str(made["Instances"][0]["InstanceId"])


def _state(account: Account, instance: str) -> str:
    found = account.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


@pytest.fixture
def claim(account: Account, stack: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let these instances be those on which a job of the stack's only queue runs, as Batch and ECS would say it."""

    class Claimed:
        instances: tuple[str, ...] = ()

    def answers(**pages: Callable[..., Any]) -> Callable[[str], Any]:
        class Paginator:
            def __init__(self, operation: str) -> None:
                self.operation = operation

            def paginate(self, **asked: Any) -> list[Any]:
                return [pages[self.operation](**asked)]

        return Paginator

    def list_jobs(jobQueue: str, jobStatus: str) -> dict[str, Any]:
        assert jobQueue == f"{stack}-m5-xlarge-spot", "only the stack's own queues are asked for"
        running = Claimed.instances if jobStatus == "RUNNING" else ()
        return {"jobSummaryList": [{"jobId": f"job-on-{one}"} for one in running]}

    def describe_job_queues() -> dict[str, Any]:
        return {"jobQueues": [{"jobQueueName": f"{stack}-m5-xlarge-spot"}, {"jobQueueName": "other-m5-xlarge-spot"}]}

    def describe_jobs(jobs: list[str]) -> dict[str, Any]:
        arn = "arn:aws:ecs:us-east-1:123456789012:container-instance/cluster/"
        return {
            "jobs": [{"container": {"containerInstanceArn": f"{arn}{one.removeprefix('job-on-')}"}} for one in jobs]
        }

    def describe_container_instances(cluster: str, containerInstances: list[str]) -> dict[str, Any]:
        assert cluster == "cluster"
        return {"containerInstances": [{"ec2InstanceId": one.rpartition("/")[2]} for one in containerInstances]}

    batch, ecs = account.client("batch"), account.client("ecs")
    paginator = answers(list_jobs=list_jobs, describe_job_queues=describe_job_queues)
    monkeypatch.setattr(batch, "get_paginator", paginator)
    monkeypatch.setattr(batch, "describe_jobs", describe_jobs)
    monkeypatch.setattr(ecs, "describe_container_instances", describe_container_instances)

    def set_claimed(*instances: str) -> None:
        Claimed.instances = instances

    return set_claimed


def test_an_instance_without_a_job_is_found_after_its_minutes_and_ended(
    account: Account, stack: str, claim: Callable[..., None]
) -> None:
    clock = FakeClock()
    instance, foreign = _start(account, stack), _start(account, "somebody-elses")
    sweep = Sweep(account, stack, minutes=30, clock=clock)
    claim()
    assert sweep.unclaimed() == []
    clock.advance(29 * MINUTE)
    assert sweep.unclaimed() == []
    clock.advance(1 * MINUTE)
    (found,) = sweep.unclaimed()
    assert (found.id, found.instance_type) == (instance, "m5.xlarge")
    assert (clock() - found.since).total_seconds() == 30 * MINUTE
    sweep.end([found])
    assert _state(account, instance) in {"shutting-down", "terminated"}
    assert _state(account, foreign) == "running"
    assert sweep.unclaimed() == []


def test_a_claimed_one_is_left_alone_and_its_minutes_begin_when_the_job_ends(
    account: Account, stack: str, claim: Callable[..., None]
) -> None:
    clock = FakeClock()
    instance = _start(account, stack)
    sweep = Sweep(account, stack, minutes=30, clock=clock)
    claim(instance)
    for _ in range(4):
        assert sweep.unclaimed() == []
        clock.advance(20 * MINUTE)
    assert sweep.unclaimed() == []
    claim()
    clock.advance(20 * MINUTE)
    assert sweep.unclaimed() == []
    clock.advance(10 * MINUTE)
    assert [one.id for one in sweep.unclaimed()] == [instance]


def test_many_at_once_are_each_found(account: Account, stack: str, claim: Callable[..., None]) -> None:
    clock = FakeClock()
    instances = [_start(account, stack) for _ in range(5)]
    sweep = Sweep(account, stack, minutes=30, clock=clock)
    claim(*instances[:2])
    sweep.unclaimed()
    clock.advance(30 * MINUTE)
    assert sorted(one.id for one in sweep.unclaimed()) == sorted(instances[2:])


def test_ending_what_is_gone_is_quiet(account: Account, stack: str, claim: Callable[..., None]) -> None:
    clock = FakeClock()
    _start(account, stack)
    sweep = Sweep(account, stack, minutes=30, clock=clock)
    claim()
    sweep.unclaimed()
    clock.advance(31 * MINUTE)
    found = sweep.unclaimed()
    sweep.end(found)
    sweep.end(found)
