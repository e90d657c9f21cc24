"""Every policy evaluated action by action: each can do exactly its list, and nothing to what is not the stack's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from neurocaas.bank.aws.infrastructure.policies import WITHOUT_RESOURCES
from neurocaas.bank.aws.infrastructure.template import template
from neurocaas.settings import StorageSettings
from neurocaas.storage.scope import Scope, session_policy
from support.declarations import declaration
from support.iam import ACCOUNT, REGION, permits, resolved, statements_of

TEMPLATE = template(declaration(aws={"manager": "role/site"}))
RESOURCES = resolved(TEMPLATE)
STORE, BOX = f"arn:aws:s3:::neurocaas-store-{ACCOUNT}", f"arn:aws:s3:::neurocaas-box-pca-{ACCOUNT}"
OURS = {"neurocaas:stack": "neurocaas"}


@dataclass(frozen=True)
class Thing:
    """Something that a request is about, and what IAM knows of the request."""

    arn: str
    context: tuple[tuple[str, str], ...] = ()


def _here(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def _tagged(arn: str, key: str, stack: str) -> Thing:
    return Thing(arn, ((f"aws:{key}/neurocaas:stack", stack),))


def _listing(bucket: str, prefix: str) -> Thing:
    return Thing(bucket, (("s3:prefix", prefix),))


THINGS = {
    "nothing in particular": Thing("*"),
    "the store": Thing(STORE),
    "the store, listed below a group": _listing(STORE, "groups/lab/jobs/1/"),
    "the store, listed from the top": _listing(STORE, ""),
    "a result": Thing(f"{STORE}/groups/lab/jobs/1/stacks/00000/attempts/0/results/a.npy"),
    "staged data": Thing(f"{STORE}/groups/lab/data/1/file"),
    "a version": Thing(f"{STORE}/versions/pca/abc.tar"),
    "an exchange": Thing(f"{STORE}/exchange/random"),
    "a deployed template": Thing(f"{STORE}/deploy/template.json"),
    "a box": Thing(BOX),
    "a box, listed below lab": _listing(BOX, "lab/results/"),
    "a box, listed below others": _listing(BOX, "others/results/"),
    "a box, listed from the top": _listing(BOX, ""),
    "lab's input": Thing(f"{BOX}/lab/inputs/a.zip"),
    "lab's config": Thing(f"{BOX}/lab/configs/c.yaml"),
    "lab's submission": Thing(f"{BOX}/lab/submissions/1/submit.json"),
    "lab's result": Thing(f"{BOX}/lab/results/job/a.npy"),
    "lab's log": Thing(f"{BOX}/lab/logs/a.txt"),
    "lab's result beside a config": Thing(f"{BOX}/lab/configs/F/results/a.mat"),
    "others' input": Thing(f"{BOX}/others/inputs/a.zip"),
    "others' result": Thing(f"{BOX}/others/results/job/a.npy"),
    "a group whose name begins alike": Thing(f"{BOX}/lab2/inputs/a.zip"),
    "a foreign bucket": Thing("arn:aws:s3:::somebody-elses"),
    "a foreign object": Thing("arn:aws:s3:::somebody-elses/groups/lab/jobs/1/x"),
    "the foreign store of a stack named alike": Thing(f"arn:aws:s3:::neurocaas2-store-{ACCOUNT}/groups/lab/jobs/1/x"),
    "a job definition": Thing(_here("batch", "job-definition/neurocaas-abc:1")),
    "a foreign job definition": Thing(_here("batch", "job-definition/other-abc:1")),
    "a queue": Thing(_here("batch", "job-queue/neurocaas-m5-xlarge-spot")),
    "a foreign queue": Thing(_here("batch", "job-queue/other-m5-xlarge-spot")),
    "a job": _tagged(_here("batch", "job/1"), "ResourceTag", "neurocaas"),
    "a foreign job": _tagged(_here("batch", "job/2"), "ResourceTag", "other"),
    "a job without tags": Thing(_here("batch", "job/3")),
    "a job to be tagged as ours": _tagged(_here("batch", "job/1"), "RequestTag", "neurocaas"),
    "a definition to be tagged as ours": _tagged(
        _here("batch", "job-definition/neurocaas-abc"), "RequestTag", "neurocaas"
    ),
    "a foreign queue to be tagged as ours": _tagged(_here("batch", "job-queue/other"), "RequestTag", "neurocaas"),
    "an instance": _tagged(_here("ec2", "instance/i-1"), "ResourceTag", "neurocaas"),
    "a foreign instance": _tagged(_here("ec2", "instance/i-2"), "ResourceTag", "other"),
    "a cluster": Thing(_here("ecs", "cluster/AWSBatch-neurocaas-m5-xlarge-spot-1")),
    "a foreign cluster": Thing(_here("ecs", "cluster/AWSBatch-other-1")),
    "a container instance": Thing(_here("ecs", "container-instance/neurocaas-m5-xlarge-spot_Batch_1/2")),
    "a foreign container instance": Thing(_here("ecs", "container-instance/other_Batch_1/2")),
    "messages about jobs": Thing(_here("sqs", "neurocaas-EventsQueue")),
    "messages about submissions": Thing(_here("sqs", "neurocaas-SubmissionsQueue")),
    "foreign messages": Thing(_here("sqs", "other-EventsQueue")),
    "a log": Thing(_here("logs", "log-group:/neurocaas/neurocaas:log-stream:runner/1")),
    "a foreign log": Thing(_here("logs", "log-group:/aws/batch/job:log-stream:1")),
    "the images": Thing(_here("ecr", "repository/neurocaas/environments")),
    "foreign images": Thing(_here("ecr", "repository/other")),
    "the stack": Thing(_here("cloudformation", "stack/neurocaas/1")),
    "a foreign stack": Thing(_here("cloudformation", "stack/neurocaas2/1")),
    "the runner's role": Thing(f"arn:aws:iam::{ACCOUNT}:role/neurocaas-RunnerRole"),
    "the job's role, for a task": Thing(
        f"arn:aws:iam::{ACCOUNT}:role/neurocaas-JobRole", (("iam:PassedToService", "ecs-tasks.amazonaws.com"),)
    ),
    "the job's role, for an instance": Thing(
        f"arn:aws:iam::{ACCOUNT}:role/neurocaas-JobRole", (("iam:PassedToService", "ec2.amazonaws.com"),)
    ),
    "a foreign role, for a task": Thing(
        f"arn:aws:iam::{ACCOUNT}:role/admin", (("iam:PassedToService", "ecs-tasks.amazonaws.com"),)
    ),
}

OBJECT = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
GET = {"s3:GetObject"}
PUT = OBJECT - {"s3:GetObject", "s3:DeleteObject"}
OF_BUCKET = {"s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"}
SETUP = {
    "s3:GetBucketCORS",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
}
PULL = {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
PUSH = {
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
}
LISTEN = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
STORED = ("a result", "staged data", "a version", "an exchange", "a deployed template")
DROPPED = [name for name, thing in THINGS.items() if thing.arn.startswith(f"{BOX}/")]

ALLOWED: dict[str, dict[str, set[str]]] = {
    "ManagerPolicy": {
        "a job definition": {"batch:SubmitJob", "batch:RegisterJobDefinition", "batch:DeregisterJobDefinition"},
        "a definition to be tagged as ours": {
            "batch:SubmitJob",
            "batch:RegisterJobDefinition",
            "batch:DeregisterJobDefinition",
            "batch:TagResource",
        },
        "a queue": {"batch:SubmitJob"},
        "a job": {"batch:CancelJob", "batch:TerminateJob"},
        "a job to be tagged as ours": {"batch:TagResource"},
        "an instance": {"ec2:TerminateInstances"},
        "a container instance": {"ecs:DescribeContainerInstances"},
        "messages about jobs": LISTEN,
        "messages about submissions": LISTEN,
        "a log": {"logs:GetLogEvents", "logs:FilterLogEvents", "logs:DescribeLogStreams"},
        "the images": PULL | PUSH,
        "the stack": {"cloudformation:DescribeStacks"},
        "the runner's role": {"sts:AssumeRole"},
        "the job's role, for a task": {"iam:PassRole"},
    },
    "ManagerDataPolicy": {
        **{name: OF_BUCKET | SETUP for name in THINGS if name.startswith("the store")},
        **{name: OF_BUCKET for name in THINGS if name.startswith("a box")},
        **dict.fromkeys([*STORED, *DROPPED], OBJECT),
    },
    "RunnerRole": {
        "the store, listed below a group": {"s3:ListBucket"},
        "a result": OBJECT,
        "staged data": {"s3:GetObject"},
        "a version": {"s3:GetObject"},
        "an exchange": {"s3:GetObject", "s3:DeleteObject"},
    },
    "ExecutionRole": {"the images": PULL, "a log": {"logs:CreateLogStream", "logs:PutLogEvents"}},
    "JobRole": {},
    "InstanceRole": {
        "a cluster": {
            "ecs:DeregisterContainerInstance",
            "ecs:RegisterContainerInstance",
            "ecs:SubmitAttachmentStateChanges",
            "ecs:SubmitContainerStateChange",
            "ecs:SubmitTaskStateChange",
        },
        "a container instance": {
            "ecs:Poll",
            "ecs:StartTelemetrySession",
            "ecs:TagResource",
            "ecs:UpdateContainerInstancesState",
        },
    },
    "a user of lab": {
        "a box, listed below lab": {"s3:ListBucket"},
        **dict.fromkeys(["lab's input", "lab's config", "lab's submission"], PUT),
        **dict.fromkeys(["lab's result", "lab's log"], GET),
        "lab's result beside a config": PUT | {"s3:GetObject"},
    },
}
ANYWHERE = {
    "ManagerPolicy": WITHOUT_RESOURCES - {"ec2:DescribeTags", "ecs:DiscoverPollEndpoint"},
    "ExecutionRole": {"ecr:GetAuthorizationToken"},
    "InstanceRole": {"ec2:DescribeTags", "ecs:DiscoverPollEndpoint"},
}
NEVER = {
    "batch:CreateComputeEnvironment",
    "ec2:RunInstances",
    "ec2:StopInstances",
    "ecr:DeleteRepository",
    "iam:AttachRolePolicy",
    "iam:CreateAccessKey",
    "iam:CreateUser",
    "iam:PutRolePolicy",
    "s3:DeleteBucket",
    "s3:GetBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:PutLifecycleConfiguration",
    "sqs:SendMessage",
    "ssm:StartSession",
    "sts:AssumeRoleWithWebIdentity",
}


def _statements(who: str) -> list[dict[str, Any]]:
    if who in RESOURCES:
        return statements_of(RESOURCES[who])
    group = who.removeprefix("a user of ")
    of_group = [one for name, one in RESOURCES.items() if name.startswith("Access") and group in str(one["Properties"])]
    return [
        statement
        for one in of_group
        if one["Properties"]["Description"].endswith(f" {group}")
        for statement in statements_of(one)
    ]


def _every_action() -> set[str]:
    return NEVER | {action for who in ALLOWED for one in _statements(who) for action in one["Action"]}


@pytest.mark.parametrize("who", ALLOWED)
def test_each_can_do_exactly_its_list(who: str) -> None:
    statements = _statements(who)
    everywhere = ANYWHERE.get(who, set())
    found = {
        name: {one for one in _every_action() if permits(statements, one, thing.arn, dict(thing.context))} - everywhere
        for name, thing in THINGS.items()
    }
    assert {name: actions for name, actions in found.items() if actions} == ALLOWED[who]


def test_no_action_is_a_wildcard_and_only_what_has_no_resource_is_allowed_on_all() -> None:
    for name, resource in RESOURCES.items():
        if resource["Type"] not in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}:
            continue
        for statement in statements_of(resource):
            assert not any("*" in action for action in statement["Action"]), name
            if "*" in statement["Resource"]:
                assert set(statement["Action"]) <= WITHOUT_RESOURCES, name


def test_every_resource_is_the_stacks_by_name_or_by_tag() -> None:
    for name, resource in RESOURCES.items():
        if resource["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}:
            for statement in statements_of(resource):
                by_tag = "neurocaas:stack" in json.dumps(statement.get("Condition", {}))
                for arn in set(statement["Resource"]) - {"*"}:
                    assert "neurocaas" in arn or by_tag or arn.endswith(":role/site"), f"{name}: {arn}"


def test_policies_are_as_short_as_aws_wants_them() -> None:
    for resource in RESOURCES.values():
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            assert len(json.dumps(resource["Properties"]["PolicyDocument"], separators=(",", ":"))) <= 6144
        if resource["Type"] == "AWS::IAM::Role":
            assert len(json.dumps(resource["Properties"].get("Policies", []), separators=(",", ":"))) <= 10_240


def test_only_the_named_manager_and_services_take_roles_on() -> None:
    found = {
        name: one["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        for name, one in RESOURCES.items()
        if one["Type"] == "AWS::IAM::Role"
    }
    tasks = {"Service": "ecs-tasks.amazonaws.com"}
    assert found == {
        "BrakeRole": {"Service": "budgets.amazonaws.com"},
        "ExecutionRole": tasks,
        "InstanceRole": {"Service": "ec2.amazonaws.com"},
        "JobRole": tasks,
        "RunnerRole": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/site"},
    }


def test_the_brake_can_only_put_on_and_take_off_the_one_policy_that_stops_new_jobs() -> None:
    statements = statements_of(RESOURCES["BrakeRole"])
    site, brake = f"arn:aws:iam::{ACCOUNT}:role/site", f"arn:aws:iam::{ACCOUNT}:NothingNew"
    assert permits(statements, "iam:AttachRolePolicy", site, {"iam:PolicyARN": brake})
    assert not permits(statements, "iam:AttachRolePolicy", site, {"iam:PolicyARN": "arn:aws:iam::aws:policy/Admin"})
    assert not permits(statements, "iam:AttachRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/x", {"iam:PolicyARN": brake})


def test_a_spent_budget_stops_new_jobs_and_lets_those_that_run_be_ended() -> None:
    both = [*_statements("ManagerPolicy"), *statements_of(RESOURCES["NothingNew"])]
    job = THINGS["a job"]
    assert permits(_statements("ManagerPolicy"), "batch:SubmitJob", THINGS["a queue"].arn)
    assert not permits(both, "batch:SubmitJob", THINGS["a queue"].arn)
    assert permits(both, "batch:TerminateJob", job.arn, dict(job.context))


def test_only_its_own_rule_sends_to_a_queue() -> None:
    statements = RESOURCES["EventsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    queue = THINGS["messages about jobs"].arn
    assert permits(
        statements, "sqs:SendMessage", queue, {"aws:SourceArn": _here("events", "rule/neurocaas-EventsRule")}
    )
    assert not permits(statements, "sqs:SendMessage", queue, {"aws:SourceArn": _here("events", "rule/other")})
    assert not permits(statements, "sqs:SendMessage", queue)


def test_nobody_reaches_a_bucket_unencrypted() -> None:
    denied = RESOURCES["StoreBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    both = [*_statements("ManagerDataPolicy"), *denied]
    result = THINGS["a result"].arn
    assert permits(both, "s3:GetObject", result, {"aws:SecureTransport": "true"})
    assert not permits(both, "s3:GetObject", result, {"aws:SecureTransport": "false"})


def test_a_runners_session_is_its_attempt_and_its_role_covers_all_that_a_session_allows() -> None:
    scope = Scope(
        own="groups/lab/jobs/1/stacks/00000/attempts/0",
        read=("groups/lab/data/1/file", "versions/pca/abc.tar"),
        folders=("groups/lab/data/2/files",),
        exchange="exchange/random",
    )
    session = session_policy(STORE.removeprefix("arn:aws:s3:::"), "", scope)["Statement"]
    listed = [one if isinstance(one["Action"], list) else one | {"Action": [one["Action"]]} for one in session]
    role = _statements("RunnerRole")
    for statement in listed:
        arns = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        context = {"s3:prefix": "groups/lab/data/2/files/"} if statement["Action"] == ["s3:ListBucket"] else {}
        for action in statement["Action"]:
            for arn in arns:
                example = arn.replace("*", "x")
                assert permits(listed, action, example, context), (action, arn)
                assert permits(role, action, example, context), (action, arn)
    other = f"{STORE}/groups/others/jobs/1/x"
    assert not any(permits(listed, action, other) for action in OBJECT)


def test_a_store_below_a_prefix_is_reached_there_alone() -> None:
    inside = resolved(template(declaration(store_prefix="site/")))
    role = statements_of(inside["RunnerRole"])
    assert permits(role, "s3:PutObject", f"{STORE}/site/groups/lab/jobs/1/x")
    assert not permits(role, "s3:PutObject", f"{STORE}/groups/lab/jobs/1/x")
    assert permits(role, "s3:ListBucket", STORE, {"s3:prefix": "site/groups/lab/"})
    assert not permits(role, "s3:ListBucket", STORE, {"s3:prefix": "groups/lab/"})


def test_the_stores_key_is_usable_by_those_who_use_the_store_and_nobody_else() -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
    made = resolved(template(declaration(storage=StorageSettings(encryption=key))))
    users = {
        name
        for name, one in made.items()
        if one["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}
        and permits(statements_of(one), "kms:Decrypt", key)
    }
    assert users == {"RunnerRole", "ManagerDataPolicy"}
