"""The stack deployed, looked at, changed and destroyed, in an account that is emulated; nothing is stripped from it."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from moto.cloudformation.parsing import resource_class_from_type

from neurocaas.bank.aws.account import Account
from neurocaas.bank.aws.infrastructure import deploying
from neurocaas.bank.aws.infrastructure.declaration import Declaration
from neurocaas.bank.aws.infrastructure.destroying import Destroyed, destroy, standing
from neurocaas.bank.aws.infrastructure.drift import drift
from neurocaas.bank.aws.infrastructure.formation import BODY_BYTES, Stack
from neurocaas.bank.aws.infrastructure.template import body, template
from neurocaas.bank.aws.stack import read_stack
from neurocaas.errors import NotNow, Refused, RemoteFailed
from support.aws import Aws
from support.aws_server import ACCOUNT
from support.declarations import declaration
from support.formation_gaps import PASSED_OVER


@pytest.fixture
def account(as_admin: Aws) -> Account:
    return Account(as_admin.region)


@pytest.fixture
def stack() -> str:
    return f"t{uuid4().hex[:9]}"


MORE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::anything/*"}],
}


def _wanted(stack: str, **changes: Any) -> Declaration:
    aws = {"stack": stack} | changes.pop("aws", {})
    return declaration(**{"types": ("m5.xlarge",)} | changes, aws=aws)


def _buckets(account: Account, stack: str) -> set[str]:
    return {one["Name"] for one in account.client("s3").list_buckets()["Buckets"] if one["Name"].startswith(stack)}


def test_the_emulator_passes_over_these_types_and_no_others() -> None:
    made = template(declaration(aws={"manager": "role/site"}))
    types = {one["Type"] for one in made["Resources"].values()}
    assert {one for one in types if resource_class_from_type(one) is None} == PASSED_OVER


def test_a_preview_changes_nothing(account: Account, stack: str) -> None:
    for _ in range(2):
        assert {one.verb for one in deploying.preview(account, _wanted(stack))} == {"add"}
    assert Stack(account, stack).status() is None
    assert _buckets(account, stack) == set()


def test_what_is_deployed_is_what_the_provider_reads(account: Account, stack: str) -> None:
    done = deploying.deploy(account, _wanted(stack))
    deployed = read_stack(account, stack)
    assert deployed.outputs == done.outputs
    queue = deployed.queue("m5.xlarge", save=True)
    assert queue.endswith(f"job-queue/{stack}-m5-xlarge-spot")
    (found,) = account.client("batch").describe_job_queues(jobQueues=[queue])["jobQueues"]
    assert found["state"] == "ENABLED"
    assert deployed.log_group == f"/neurocaas/{stack}"
    assert done.outputs["StoreBucket"] == f"{stack}-store-{ACCOUNT}"
    account.client("sqs").get_queue_attributes(QueueUrl=deployed.events_queue)


def test_a_second_time_nothing_changes(account: Account, stack: str) -> None:
    first = deploying.deploy(account, _wanted(stack))
    before = account.client("cloudformation").list_change_sets(StackName=stack)["Summaries"]
    second = deploying.deploy(account, _wanted(stack))
    assert second.changes == []
    assert second.outputs == first.outputs
    assert account.client("cloudformation").list_change_sets(StackName=stack)["Summaries"] == before
    assert deploying.preview(account, _wanted(stack)) == []


def test_a_change_changes_that_alone(account: Account, stack: str) -> None:
    deploying.deploy(account, _wanted(stack))
    wider = _wanted(stack, types=("g5.xlarge", "m5.xlarge"))
    added = {one.what for one in deploying.preview(account, wider) if one.verb == "add"}
    assert added == {
        f"{what} {stack}-g5-xlarge-{way}" for what in ("machines", "job queue") for way in ("on-demand", "spot")
    }
    done = deploying.deploy(account, wider)
    assert {one.verb for one in done.changes} == {"add", "change"}  # the change is that of the outputs
    assert "JobQueueG5XlargeSpot" in done.outputs


def test_the_site_is_told_what_to_hold_until_it_holds_it(account: Account, stack: str) -> None:
    wanted = _wanted(stack)
    outputs, boxes = deploying.deploy(account, wanted).outputs, deploying.boxes(account, wanted)
    entries = deploying.site_entries(outputs, boxes, {"name": "site", "store": "file"})
    assert entries == {
        "store": f"s3://{stack}-store-{ACCOUNT}",
        "storage": {"runner_role": outputs["RunnerRoleArn"]},
        "dropboxes": {one: f"s3://{stack}-box-{one}-{ACCOUNT}" for one in ("kalman", "pca")},
    }
    assert deploying.site_entries(outputs, boxes, entries | {"store": f"{entries['store']}/below"}) == {}


def test_destroying_leaves_nothing_but_data(account: Account, stack: str) -> None:
    deploying.deploy(account, _wanted(stack))
    store = f"{stack}-store-{ACCOUNT}"
    account.client("s3").put_object(Bucket=store, Key="groups/lab/data/1/file", Body=b"data")
    kept = {store, f"{stack}-box-kalman-{ACCOUNT}", f"{stack}-box-pca-{ACCOUNT}"}
    wanted = _wanted(stack)
    assert len(_left(account, stack)) > 20
    assert standing(account, wanted.aws) == Destroyed(stack=True, kept=tuple(sorted(kept)))
    assert destroy(account, wanted.aws) == Destroyed(stack=True, kept=tuple(sorted(kept)))
    assert _buckets(account, stack) == kept
    assert _left(account, stack) == []
    assert destroy(account, wanted.aws).stack is False, "a second time finds nothing to do"


def _left(account: Account, stack: str) -> list[Any]:
    """Everything of the stack's that costs, reaches or runs something, by the services themselves."""
    of = account.client
    tagged = [{"Name": "tag:aws:cloudformation:stack-name", "Values": [stack]}]
    queues = of("batch").describe_job_queues()["jobQueues"]
    environments = of("batch").describe_compute_environments()["computeEnvironments"]
    return [
        *(one for one in queues if one["jobQueueName"].startswith(stack)),
        *(one for one in environments if one["computeEnvironmentName"].startswith(stack)),
        *(one for one in of("iam").list_roles()["Roles"] if stack in one["RoleName"]),
        *(one for one in of("iam").list_instance_profiles()["InstanceProfiles"] if stack in one["InstanceProfileName"]),
        *(one for one in of("iam").list_policies(Scope="Local")["Policies"] if stack in one["PolicyName"]),
        *of("iam").list_users(PathPrefix=f"/{stack}/")["Users"],
        *(one for one in of("sqs").list_queues().get("QueueUrls", ()) if stack in one),
        *(one for one in of("ecr").describe_repositories()["repositories"] if stack in one["repositoryName"]),
        *(one for one in of("events").list_rules()["Rules"] if stack in one["Name"]),
        *(one for one in of("sns").list_topics()["Topics"] if stack in one["TopicArn"]),
        *of("logs").describe_log_groups(logGroupNamePrefix=f"/neurocaas/{stack}")["logGroups"],
        *of("ec2").describe_vpcs(Filters=tagged)["Vpcs"],
        *of("ec2").describe_subnets(Filters=tagged)["Subnets"],
        *of("ec2").describe_security_groups(Filters=tagged)["SecurityGroups"],
        *of("ec2").describe_internet_gateways(Filters=tagged)["InternetGateways"],
    ]


def test_deploying_again_takes_the_data_in(account: Account, stack: str) -> None:
    wanted = _wanted(stack)
    deploying.deploy(account, wanted)
    store = f"{stack}-store-{ACCOUNT}"
    account.client("s3").put_object(Bucket=store, Key="groups/lab/data/1/file", Body=b"data")
    destroy(account, wanted.aws)
    assert deploying.deploy(account, wanted).outputs["StoreBucket"] == store
    assert account.client("s3").get_object(Bucket=store, Key="groups/lab/data/1/file")["Body"].read() == b"data"
    assert deploying.preview(account, wanted) == []


def test_data_goes_only_when_that_is_said(account: Account, stack: str) -> None:
    wanted = _wanted(stack)
    deploying.deploy(account, wanted)
    s3, store = account.client("s3"), f"{stack}-store-{ACCOUNT}"
    s3.put_bucket_versioning(Bucket=store, VersioningConfiguration={"Status": "Enabled"})
    for content in (b"old", b"new"):
        s3.put_object(Bucket=store, Key="groups/lab/data/1/file", Body=content)
    s3.delete_object(Bucket=store, Key="groups/lab/data/1/file")
    s3.create_multipart_upload(Bucket=store, Key="half")
    other = f"{stack}-of-somebody-else"
    s3.create_bucket(Bucket=other)
    assert store in destroy(account, wanted.aws, with_data=True).emptied
    assert _buckets(account, stack) == {other}, "what does not bear the stack's tag is not its own"


def test_a_stack_with_jobs_is_not_destroyed(account: Account, stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = _wanted(stack)
    deploying.deploy(account, wanted)

    def list_jobs(jobQueue: str, jobStatus: str) -> dict[str, Any]:
        running = (jobQueue, jobStatus) == (f"{stack}-m5-xlarge-spot", "RUNNING")
        return {"jobSummaryList": [{"jobId": "1"}] * running}

    monkeypatch.setattr(account.client("batch"), "list_jobs", list_jobs)
    with pytest.raises(NotNow, match=rf"1 job is still in the queues of the stack {stack}"):
        destroy(account, wanted.aws)
    assert Stack(account, stack).status() is not None


def test_what_the_site_registered_with_batch_goes_too(account: Account, stack: str) -> None:
    wanted = _wanted(stack)
    deploying.deploy(account, wanted)
    batch = account.client("batch")
    for name in (f"{stack}-abc", f"other-{stack}"):
        properties = {"image": "busybox", "vcpus": 1, "memory": 128, "command": ["true"]}
        batch.register_job_definition(jobDefinitionName=name, type="container", containerProperties=properties)
    destroy(account, wanted.aws)
    left = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert [one["jobDefinitionName"] for one in left if stack in one["jobDefinitionName"]] == [f"other-{stack}"]


def test_a_template_too_long_to_be_sent_is_read_from_the_store_even_the_first_time(
    account: Account, stack: str
) -> None:
    types = ("c6i.xlarge", "c7i.large", "g5.xlarge", "m5.4xlarge", "m5.large", "m5.xlarge", "m6i.xlarge", "m7i.large")
    boxes = tuple(f"analysis-{number}" for number in range(20))
    wanted = _wanted(stack, types=types, boxes=boxes, groups=())
    assert len(body(template(wanted))) > BODY_BYTES
    deploying.deploy(account, wanted)
    assert deploying.preview(account, wanted) == []
    assert len(_buckets(account, stack)) == 21


def test_what_was_changed_by_hand_is_told(account: Account, stack: str) -> None:
    wanted = _wanted(stack)
    deploying.deploy(account, wanted)
    clean = drift(account, wanted.aws)
    assert clean.found == ()
    assert clean.unavailable == "it does not know the question", "moto has no detection of its own, and that is said"
    there = {
        one["LogicalResourceId"]: one["PhysicalResourceId"]
        for one in account.client("cloudformation").list_stack_resources(StackName=stack)["StackResourceSummaries"]
    }
    account.client("ec2").authorize_security_group_ingress(
        GroupId=there["Firewall"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    account.client("iam").put_role_policy(RoleName=there["JobRole"], PolicyName="more", PolicyDocument=json.dumps(MORE))
    account.client("batch").update_job_queue(jobQueue=f"{stack}-m5-xlarge-spot", state="DISABLED")
    account.client("s3").delete_bucket(Bucket=f"{stack}-box-pca-{ACCOUNT}")
    found = {one.what for one in drift(account, wanted.aws).found}
    assert found == {
        "it lets in tcp:22; nothing is right",
        "it has policies that were not deployed: more",
        "it is DISABLED; ENABLED was deployed",
        "it is gone",
    }


def test_drift_of_what_is_not_deployed_is_refused(account: Account, stack: str) -> None:
    with pytest.raises(Refused, match=f"The stack {stack} is not deployed in us-east-1"):
        drift(account, _wanted(stack).aws)


def test_a_manager_that_is_not_there_is_told_in_a_sentence(account: Account, stack: str) -> None:
    with pytest.raises(RemoteFailed, match=f"AWS would not deploy the stack {stack}: .*nobody"):
        deploying.deploy(account, _wanted(stack, aws={"manager": "role/nobody"}))
