"""What a deployment would change, in words: two templates compared, without asking AWS for anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neurocaas.documents import shown

Verb = Literal["add", "change", "remove", "keep"]

WORDS = {
    "AWS::Batch::ComputeEnvironment": "machines",
    "AWS::Batch::JobQueue": "job queue",
    "AWS::Budgets::Budget": "budget",
    "AWS::Budgets::BudgetsAction": "brake of the budget",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::EC2::InternetGateway": "internet gateway",
    "AWS::EC2::LaunchTemplate": "launch template",
    "AWS::EC2::Route": "route",
    "AWS::EC2::RouteTable": "route table",
    "AWS::EC2::SecurityGroup": "firewall",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::SubnetRouteTableAssociation": "subnet's routes",
    "AWS::EC2::VPC": "network",
    "AWS::EC2::VPCEndpoint": "way to S3",
    "AWS::EC2::VPCGatewayAttachment": "gateway's attachment",
    "AWS::ECR::Repository": "image repository",
    "AWS::Events::Rule": "rule of events",
    "AWS::IAM::InstanceProfile": "instance profile",
    "AWS::IAM::ManagedPolicy": "policy",
    "AWS::IAM::Role": "role",
    "AWS::IAM::User": "drop-box user",
    "AWS::Logs::LogGroup": "log group",
    "AWS::S3::Bucket": "bucket",
    "AWS::S3::BucketPolicy": "bucket's policy",
    "AWS::SNS::Topic": "topic of alarms",
    "AWS::SNS::TopicPolicy": "topic's policy",
    "AWS::SQS::Queue": "message queue",
    "AWS::SQS::QueuePolicy": "message queue's policy",
}
_NAMES = ("BucketName", "ComputeEnvironmentName", "JobQueueName", "UserName", "RepositoryName", "LogGroupName")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource. verb `keep`: it leaves the stack and stays in the account. lines: what differs, field by field."""

    verb: Verb
    what: str
    lines: tuple[str, ...] = ()


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Change]:
    """What turns the deployed template (None: nothing is deployed) into the wanted one; of resources and outputs."""
    was, becomes = (before or {}).get("Resources", {}), after.get("Resources", {})
    found = [_change(name, was.get(name), becomes.get(name)) for name in sorted({*was, *becomes})]
    listed = [one for one in found if one is not None]
    if before is not None and before.get("Outputs") != after.get("Outputs"):
        listed.append(Change(verb="change", what="outputs"))
    return listed


def described(logical_id: str, resource: Mapping[str, Any]) -> str:
    """A resource as people read it: what it is, and its name where it has one."""
    properties = resource.get("Properties", {})
    given = next((properties[name] for name in _NAMES if name in properties), logical_id)
    name = given.get("Fn::Sub", logical_id) if isinstance(given, dict) else given
    return f"{WORDS.get(resource['Type'], resource['Type'])} {name.replace('${AWS::AccountId}', 'ACCOUNT')}"


def _change(name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Change | None:
    if before == after:
        return None
    if before is None:
        assert after is not None
        return Change(verb="add", what=described(name, after))
    if after is None:
        kept = before.get("DeletionPolicy") == "Retain"
        return Change(verb="keep" if kept else "remove", what=described(name, before))
    return Change(verb="change", what=described(name, after), lines=tuple(_lines(before, after)))


def _lines(before: Any, after: Any, path: str = "") -> list[str]:
    """What differs below `path`, down to values that are no objects."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [line for key in keys for line in _lines(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))]
    told = ["nothing" if one is None else shown(one) for one in (before, after)]
    return [f"{path.removeprefix('Properties.')}: {told[0]} → {told[1]}"]
