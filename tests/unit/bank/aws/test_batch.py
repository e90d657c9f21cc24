from __future__ import annotations

import pytest

from neurocaas.bank.aws.account import NotAnswering
from neurocaas.bank.aws.batch import Batch, attempt_name, job_name
from neurocaas.bank.aws.stack import DeployedStack, queue_output, read_stack, usable_mib
from neurocaas.errors import Refused, RemoteFailed
from support.amazon import OUTPUTS, FakeAmazon, refusal

IMAGE = f"registry/neurocaas@sha256:{'a' * 64}"
STACK = DeployedStack(name="neurocaas", outputs=OUTPUTS)


@pytest.fixture
def amazon() -> FakeAmazon:
    return FakeAmazon()


@pytest.fixture
def batch(amazon: FakeAmazon) -> Batch:
    return Batch(amazon)


def test_jobs_are_described_a_hundred_at_a_time(amazon: FakeAmazon, batch: Batch) -> None:
    ids = [f"job-{number}" for number in range(250)]
    amazon.jobs = {one: {"jobId": one, "jobName": "x", "status": "RUNNING"} for one in ids}
    assert set(batch.describe(ids)) == set(ids)
    assert [len(call["jobs"]) for call in amazon.calls("describe_jobs")] == [100, 100, 50]


def test_nothing_is_asked_about_no_jobs(amazon: FakeAmazon, batch: Batch) -> None:
    assert batch.describe([]) == {}
    assert amazon.asked == []


def test_an_image_has_one_definition_also_for_the_next_manager(amazon: FakeAmazon, batch: Batch) -> None:
    arn = batch.definition(IMAGE, STACK)
    assert batch.definition(IMAGE, STACK) == arn
    assert Batch(amazon).definition(IMAGE, STACK) == arn
    [registered] = amazon.calls("register_job_definition")
    assert registered["retryStrategy"] == {"attempts": 1}
    assert registered["containerProperties"]["image"] == IMAGE
    assert registered["containerProperties"]["privileged"]
    assert registered["containerProperties"]["jobRoleArn"] == OUTPUTS["JobRoleArn"]


def test_a_definition_of_other_roles_gets_a_new_revision(amazon: FakeAmazon, batch: Batch) -> None:
    before = batch.definition(IMAGE, STACK)
    moved = DeployedStack(name="neurocaas", outputs=OUTPUTS | {"JobRoleArn": "arn:role/other"})
    assert Batch(amazon).definition(IMAGE, moved) != before


def test_an_image_without_a_digest_is_never_run(batch: Batch) -> None:
    with pytest.raises(RemoteFailed, match="not named by its digest"):
        batch.definition("registry/neurocaas:latest", STACK)


@pytest.mark.parametrize("attempt", ["20261128-0a1b2c3d/0/1", "job/12/3", "with-hyphens-in-it/0/10"])
def test_a_jobs_name_gives_its_attempt_back(attempt: str) -> None:
    assert attempt_name(job_name(attempt)) == attempt


@pytest.mark.parametrize("name", ["", "x", "someone-else", "a-b-c", "job--1"])
def test_another_jobs_name_is_no_attempt(name: str) -> None:
    assert attempt_name(name) == ""


def test_the_trouble_of_a_queue_is_that_of_its_environments(amazon: FakeAmazon, batch: Batch) -> None:
    amazon.environments = [{"status": "VALID", "statusReason": "ComputeEnvironment Healthy"}]
    assert batch.trouble("arn:queue") == ""
    amazon.environments = [{"status": "INVALID", "statusReason": "CLIENT_ERROR - Not authorized"}]
    assert batch.trouble("arn:queue") == "CLIENT_ERROR - Not authorized"


def test_what_may_pass_is_told_from_what_will_not(amazon: FakeAmazon, batch: Batch) -> None:
    amazon.fault = refusal("InternalError", "Try later", status=503)
    with pytest.raises(NotAnswering, match=r"^AWS would not describe its jobs: Try later\.$"):
        batch.describe(["a"])
    amazon.fault = refusal("ThrottlingException", "Rate exceeded")
    with pytest.raises(NotAnswering):
        batch.describe(["a"])
    amazon.fault = refusal("AccessDeniedException", "User is not authorized.", status=403)
    with pytest.raises(RemoteFailed, match=r"User is not authorized\.$") as told:
        batch.describe(["a"])
    assert not isinstance(told.value, NotAnswering)


def test_outputs_are_named_after_instance_types() -> None:
    assert queue_output("m5.xlarge", save=False) == "JobQueueM5XlargeOnDemand"
    assert queue_output("u-6tb1.112xlarge", save=True) == "JobQueueU6tb1112xlargeSpot"


def test_a_stack_that_lacks_an_output_says_what_to_do() -> None:
    with pytest.raises(Refused, match="has no output JobQueueC5LargeSpot") as told:
        STACK.queue("c5.large", save=True)
    assert "neurocaas deploy" in told.value.remedy


def test_a_stack_that_is_not_deployed_says_what_to_do(amazon: FakeAmazon) -> None:
    amazon.fault = refusal("ValidationError", "Stack with id neurocaas does not exist")
    with pytest.raises(Refused, match=r"site\.json: aws\.stack: found \"neurocaas\", which is not deployed"):
        read_stack(amazon, "neurocaas")


def test_a_container_leaves_memory_to_the_system() -> None:
    assert usable_mib(2048) == 1536
    assert usable_mib(16384) == 15401
