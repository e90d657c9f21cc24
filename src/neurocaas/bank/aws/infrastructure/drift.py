"""What was changed by hand since the last deployment: by CloudFormation's own account of it, and by looking.

CloudFormation knows most properties, but not what was added beside them: a second policy on a role, a rule of a
firewall that has none declared. So what keeps people out is looked at one by one, wherever the stack runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.infrastructure.formation import Stack
from neurocaas.documents import shown
from neurocaas.errors import Refused
from neurocaas.settings import AwsSettings

POLL_SECONDS = 5
GIVE_UP_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One resource that is not as it was deployed. what: a sentence without its full stop."""

    resource: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """found: nothing, if all is as deployed. unavailable: why CloudFormation could not be asked; "" if it was."""

    found: tuple[Drift, ...]
    unavailable: str = ""


def drift(account: Account, aws: AwsSettings, *, pause: Callable[[float], None] = time.sleep) -> Findings:
    """What differs from what is deployed. Changes nothing. Raises Refused if nothing is deployed."""
    with told("show what was changed by hand"):
        template = Stack(account, aws.stack).template()
        if template is None:
            raise Refused(
                f"The stack {aws.stack} is not deployed in {account.region}.",
                remedy="Deploy it: neurocaas deploy --provider aws",
            )
        declared, unavailable = _asked(account, aws.stack, pause)
        found = {*declared, *_looked(account, aws.stack, template)}
        return Findings(
            found=tuple(sorted(set(found), key=lambda one: (one.resource, one.what))), unavailable=unavailable
        )


def _asked(account: Account, stack: str, pause: Callable[[float], None]) -> tuple[list[Drift], str]:
    """CloudFormation's own detection."""
    from botocore.exceptions import ClientError
    from botocore.parsers import ResponseParserError

    cloudformation = account.client("cloudformation")
    try:
        detection = cloudformation.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
    except ClientError as error:
        return [], str(error.response.get("Error", {}).get("Message") or "it does not know how")
    except ResponseParserError:  # of what speaks for AWS elsewhere, and does not know the question
        return [], "it does not know the question"
    for _ in range(GIVE_UP_SECONDS // POLL_SECONDS):
        status = cloudformation.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
        if status["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            break
        pause(POLL_SECONDS)
    else:
        return [], f"it did not answer within {GIVE_UP_SECONDS // 60} minutes"
    complete = status["DetectionStatus"] == "DETECTION_COMPLETE"
    unavailable = "" if complete else status.get("DetectionStatusReason", "it failed")
    pages = cloudformation.get_paginator("describe_stack_resource_drifts").paginate(
        StackName=stack, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
    )
    return [one for page in pages for resource in page["StackResourceDrifts"] for one in _told(resource)], unavailable


def _told(resource: dict[str, Any]) -> Iterator[Drift]:
    name = resource["LogicalResourceId"]
    if resource["StackResourceDriftStatus"] == "DELETED":
        yield Drift(resource=name, what="it is gone")
    for one in resource.get("PropertyDifferences", ()):
        found, wanted = shown(one.get("ActualValue")), shown(one.get("ExpectedValue"))
        yield Drift(resource=name, what=f"{one['PropertyPath'].strip('/')} is {found}; {wanted} was deployed")


def _looked(account: Account, stack: str, template: dict[str, Any]) -> Iterator[Drift]:
    """What keeps people out, and what lets jobs run, looked at one by one."""
    pages = account.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    there = {
        one["LogicalResourceId"]: one["PhysicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one.get("PhysicalResourceId")
    }
    looks: dict[str, Callable[[Account, str, dict[str, Any]], str]] = {
        "AWS::EC2::SecurityGroup": _firewall,
        "AWS::EC2::LaunchTemplate": _launch_template,
        "AWS::S3::Bucket": _bucket,
        "AWS::IAM::Role": _role,
        "AWS::Batch::JobQueue": _queue,
    }
    for name, resource in sorted(template["Resources"].items()):
        if resource["Type"] in looks and name in there:
            what = _look(looks[resource["Type"]], account, there[name], resource)
            if what:
                yield Drift(resource=name, what=what)


def _look(
    look: Callable[[Account, str, dict[str, Any]], str], account: Account, physical: str, resource: dict[str, Any]
) -> str:
    from botocore.exceptions import ClientError

    try:
        return look(account, physical, resource)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if "NotFound" in code or code.startswith("NoSuch") or code == "404":
            return "it is gone"
        raise


def _firewall(account: Account, physical: str, _: dict[str, Any]) -> str:
    [group] = account.client("ec2").describe_security_groups(GroupIds=[physical])["SecurityGroups"]
    ports = [f"{one['IpProtocol']}:{one.get('FromPort', 'all')}" for one in group["IpPermissions"]]
    return f"it lets in {', '.join(ports)}; nothing is right" if ports else ""


def _launch_template(account: Account, physical: str, resource: dict[str, Any]) -> str:
    [version] = account.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=physical, Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    found = version["LaunchTemplateData"].get("MetadataOptions", {})
    wanted = resource["Properties"]["LaunchTemplateData"]["MetadataOptions"]
    differing = [key for key, value in wanted.items() if found.get(key) != value]
    return "; ".join(f"{key} is {found.get(key)}; {wanted[key]} was deployed" for key in differing)


def _bucket(account: Account, physical: str, resource: dict[str, Any]) -> str:
    from botocore.exceptions import ClientError

    s3 = account.client("s3")
    s3.head_bucket(Bucket=physical)
    try:
        found = s3.get_public_access_block(Bucket=physical)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchPublicAccessBlockConfiguration":
            raise
        return "the public is not kept out of it"
    wanted = resource["Properties"]["PublicAccessBlockConfiguration"]
    open_ways = sorted(key for key, value in wanted.items() if found.get(key) != value)
    return f"the public is not kept out of it: {', '.join(open_ways)} is off" if open_ways else ""


def _role(account: Account, physical: str, resource: dict[str, Any]) -> str:
    iam = account.client("iam")
    declared = {one["PolicyName"] for one in resource["Properties"].get("Policies", ())}
    inline = set(iam.list_role_policies(RoleName=physical)["PolicyNames"])
    attached = {one["PolicyName"] for one in iam.list_attached_role_policies(RoleName=physical)["AttachedPolicies"]}
    more = sorted(inline - declared | attached)
    return f"it has policies that were not deployed: {', '.join(more)}" if more else ""


def _queue(account: Account, physical: str, _: dict[str, Any]) -> str:
    found = account.client("batch").describe_job_queues(jobQueues=[physical])["jobQueues"]
    if not found:
        return "it is gone"
    return "" if found[0]["state"] == "ENABLED" else f"it is {found[0]['state']}; ENABLED was deployed"
