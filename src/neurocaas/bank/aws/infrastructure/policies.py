"""Who may do what: each role's policy, statement by statement. No action here is a wildcard.

A resource is one of the stack's, by name or by a name's beginning. Only the actions in `WITHOUT_RESOURCES`, for which
AWS knows no resource, are allowed on "*"; all of them only look, or get a token that opens nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurocaas.bank.aws.infrastructure import names
from neurocaas.bank.aws.stack import STACK_TAG

Statement = dict[str, Any]
VERSION = "2012-10-17"

WITHOUT_RESOURCES = frozenset(
    {
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobQueues",
        "batch:DescribeJobs",
        "batch:ListJobs",
        "ec2:DescribeInstances",
        "ec2:DescribeSpotPriceHistory",
        "ec2:DescribeTags",
        "ecr:GetAuthorizationToken",
        "ecs:DiscoverPollEndpoint",
    }
)

READ_OBJECT = ("s3:GetObject",)
WRITE_OBJECT = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
OWN_OBJECT = (*READ_OBJECT, *WRITE_OBJECT, "s3:DeleteObject")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The ARNs of one stack's things. store_prefix: "" or ending in a slash. kms_key: of the store, if it has one."""

    stack: str
    store_prefix: str = ""
    kms_key: str = ""

    def arn(self, service: str, rest: str) -> dict[str, str]:
        return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"}

    def bucket(self, what: str) -> dict[str, str]:
        return {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{names.bucket(self.stack, what, '${AWS::AccountId}')}"}

    def objects(self, what: str, keys: str) -> dict[str, str]:
        return {"Fn::Sub": f"{self.bucket(what)['Fn::Sub']}/{keys}"}

    def stored(self, keys: str) -> dict[str, str]:
        """Objects of the site's store."""
        return self.objects(names.STORE, self.store_prefix + keys)

    def clusters(self, kind: str) -> list[dict[str, str]]:
        """What Batch makes for the compute environments, whose names are in the clusters' in one of two ways."""
        below = "" if kind == "cluster" else "/*"
        ways = (f"AWSBatch-{self.stack}-*", f"{self.stack}-*_Batch_*")
        return [self.arn("ecs", f"{kind}/{way}{below}") for way in ways]


def document(statements: Sequence[Statement]) -> dict[str, Any]:
    return {"Version": VERSION, "Statement": list(statements)}


def allow(actions: Iterable[str], resources: Any, condition: Mapping[str, Any] | None = None) -> Statement:
    listed = resources if isinstance(resources, list) else [resources]
    statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": listed}
    return statement | {"Condition": dict(condition)} if condition else statement


def trust(principal: Mapping[str, Any]) -> dict[str, Any]:
    """Who may take a role on."""
    return document([{"Effect": "Allow", "Principal": dict(principal), "Action": ["sts:AssumeRole"]}])


def manager_compute(at: Resources) -> list[Statement]:
    """The site: its jobs, its instances, its queues of messages, its images."""
    ours = {"StringEquals": {f"aws:ResourceTag/{STACK_TAG}": at.stack}}
    definitions, queues = at.arn("batch", f"job-definition/{at.stack}-*"), at.arn("batch", f"job-queue/{at.stack}-*")
    jobs = at.arn("batch", "job/*")
    looking = WITHOUT_RESOURCES - {"ec2:DescribeTags", "ecs:DiscoverPollEndpoint"}
    return [
        allow(looking, "*"),
        allow(["batch:SubmitJob"], [definitions, queues]),
        allow(["batch:RegisterJobDefinition", "batch:DeregisterJobDefinition"], [definitions]),
        allow(["batch:CancelJob", "batch:TerminateJob"], [jobs], ours),
        allow(
            ["batch:TagResource"],
            [jobs, definitions],
            {"StringEquals": {f"aws:RequestTag/{STACK_TAG}": at.stack}},
        ),
        allow(
            ["iam:PassRole"],
            [_role("JobRole"), _role("ExecutionRole")],
            {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        allow(["sts:AssumeRole"], [_role("RunnerRole")]),
        allow(["ec2:TerminateInstances"], [at.arn("ec2", "instance/*")], ours),
        allow(["ecs:DescribeContainerInstances"], at.clusters("container-instance")),
        allow(
            ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"],
            [_queue("EventsQueue"), _queue("SubmissionsQueue")],
        ),
        allow(["logs:GetLogEvents", "logs:FilterLogEvents", "logs:DescribeLogStreams"], [_log_group()]),
        allow(["cloudformation:DescribeStacks"], [at.arn("cloudformation", f"stack/{at.stack}/*")]),
        allow([*_PULL, *_PUSH], [_repository()]),
    ]


def manager_data(at: Resources) -> list[Statement]:
    """The site: its own buckets, and no others. How they are set up it may look at; that is deployed, not changed."""
    of_bucket = ("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
    rules = (
        "s3:GetBucketCORS",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
    )
    boxes = names.box("*")
    return [
        allow([*of_bucket, *rules], [at.bucket(names.STORE)]),
        allow(OWN_OBJECT, [at.stored("*")]),
        allow(of_bucket, [at.bucket(boxes)]),
        allow(OWN_OBJECT, [at.objects(boxes, "*")]),
        *_keys(at),
    ]


def runner(at: Resources) -> list[Statement]:
    """All runners together. Each gets a session of this role, narrowed to its own attempt."""
    tops = ("groups", "versions", "environments", "exchange")
    listed = {"StringLike": {"s3:prefix": [f"{at.store_prefix}{top}/*" for top in tops]}}
    return [
        allow(["s3:ListBucket"], [at.bucket(names.STORE)], listed),
        allow(READ_OBJECT, [at.stored(f"{top}/*") for top in tops]),
        allow([*WRITE_OBJECT, "s3:DeleteObject"], [at.stored("groups/*/jobs/*")]),
        allow(["s3:DeleteObject"], [at.stored("exchange/*")]),
        *_keys(at),
    ]


def execution() -> list[Statement]:
    """What starts a container: it pulls the image and begins its log."""
    return [
        allow(["ecr:GetAuthorizationToken"], "*"),
        allow(_PULL, [_repository()]),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], [_log_group()]),
    ]


def instance(at: Resources) -> list[Statement]:
    """The instance itself, as a member of a cluster of Batch's: it takes tasks and reports on them."""
    return [
        allow(["ecs:DiscoverPollEndpoint", "ec2:DescribeTags"], "*"),
        allow(
            (
                "ecs:DeregisterContainerInstance",
                "ecs:RegisterContainerInstance",
                "ecs:SubmitAttachmentStateChanges",
                "ecs:SubmitContainerStateChange",
                "ecs:SubmitTaskStateChange",
            ),
            at.clusters("cluster"),
        ),
        allow(
            ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState", "ecs:TagResource"],
            at.clusters("container-instance"),
        ),
    ]


def box_user(at: Resources, group: str, analyses: Sequence[str]) -> list[Statement]:
    """A member of a group at drop-boxes: what they put in, and what comes out.

    Programs written for the original look for results beside the submission too, below `configs`.
    """
    boxes = [names.box(one) for one in analyses]
    given = ("inputs/*", "configs/*", "submissions/*")
    returned = ("results/*", "logs/*", "configs/*/results/*")
    return [
        allow(WRITE_OBJECT, [at.objects(one, f"{group}/{keys}") for one in boxes for keys in given]),
        allow(READ_OBJECT, [at.objects(one, f"{group}/{keys}") for one in boxes for keys in returned]),
        allow(["s3:ListBucket"], [at.bucket(one) for one in boxes], {"StringLike": {"s3:prefix": [f"{group}/*"]}}),
    ]


def tls_only(bucket: str) -> list[Statement]:
    """Of a bucket (by its logical id): nobody reaches it unencrypted."""
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    return [
        {
            "Sid": "OnlyEncrypted",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"],
            "Resource": [arn, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def sender(queue: str, rule: str) -> list[Statement]:
    """Of a queue: one rule sends to it, nobody else does."""
    return [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": ["sqs:SendMessage"],
            "Resource": [_queue(queue)],
            "Condition": {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [rule, "Arn"]}}},
        }
    ]


def nothing_new(at: Resources) -> list[Statement]:
    """What the budget's guard puts on the site's manager: what runs goes on, nothing is started."""
    return [allow(["batch:SubmitJob"], [at.arn("batch", f"job-queue/{at.stack}-*")]) | {"Effect": "Deny"}]


def _keys(at: Resources) -> list[Statement]:
    return [allow(["kms:Decrypt", "kms:GenerateDataKey"], [at.kms_key])] if at.kms_key else []


_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_PUSH = (
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)


def _role(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def _queue(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def _repository() -> dict[str, Any]:
    return {"Fn::GetAtt": ["Repository", "Arn"]}


def _log_group() -> dict[str, Any]:
    return {"Fn::GetAtt": ["LogGroup", "Arn"]}
