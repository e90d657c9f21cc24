"""The CloudFormation template of a site: the same documents give the same template, to the byte."""

from __future__ import annotations

from typing import Any

from neurocaas.bank.aws.infrastructure import buckets, guard, machines
from neurocaas.bank.aws.infrastructure.declaration import Declaration
from neurocaas.bank.aws.infrastructure.network import network
from neurocaas.bank.aws.infrastructure.roles import roles
from neurocaas.documents import canonical
from neurocaas.errors import Refused

Template = dict[str, Any]
MOST_RESOURCES = 500
MOST_BYTES = 1_000_000


def template(wanted: Declaration) -> Template:
    """Everything that the documents ask of the account. Raises Refused if that is more than one stack can hold."""
    network_resources, subnets, vpc = network(wanted)
    resources = {
        **network_resources,
        **machines.machines(wanted, subnets, vpc),
        **buckets.store(wanted),
        **buckets.drop_boxes(wanted),
        **roles(wanted),
        **guard.messages(wanted),
        **guard.guard(wanted),
        "Repository": _repository(wanted),
    }
    made = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A NeuroCAAS site: made by neurocaas deploy; changes made by hand are undone by the next one.",
        "Resources": dict(sorted(resources.items())),
        "Outputs": dict(sorted(_outputs(wanted).items())),
    }
    if len(resources) > MOST_RESOURCES or len(body(made)) > MOST_BYTES:
        raise Refused(
            f"The documents ask for {len(resources)} resources in {len(body(made)):,} bytes; AWS takes "
            f"{MOST_RESOURCES} in {MOST_BYTES:,}.",
            remedy="Name fewer analyses in aws.drop_boxes of site.json, or fewer instance types.",
        )
    return made


def body(one: Template) -> str:
    """The template as it is sent and compared."""
    return canonical(one).decode()


def _repository(wanted: Declaration) -> dict[str, Any]:
    return {
        "Type": "AWS::ECR::Repository",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "RepositoryName": f"{wanted.aws.stack}/environments",
            # Images are made again from environments; they are no data.
            "EmptyOnDelete": True,
            "ImageScanningConfiguration": {"ScanOnPush": True},
            "EncryptionConfiguration": {"EncryptionType": "AES256"},
        },
    }


def _outputs(wanted: Declaration) -> dict[str, Any]:
    values = {
        "StoreBucket": {"Ref": "StoreBucket"},
        "RunnerRoleArn": {"Fn::GetAtt": ["RunnerRole", "Arn"]},
        "JobRoleArn": {"Fn::GetAtt": ["JobRole", "Arn"]},
        "ExecutionRoleArn": {"Fn::GetAtt": ["ExecutionRole", "Arn"]},
        "EventsQueueUrl": {"Ref": "EventsQueue"},
        "SubmissionsQueueUrl": {"Ref": "SubmissionsQueue"},
        "LogGroupName": {"Ref": "LogGroup"},
        "RepositoryUri": wanted.aws.repository or {"Fn::GetAtt": ["Repository", "RepositoryUri"]},
        "ManagerPolicyArn": {"Ref": "ManagerPolicy"},
        "ManagerDataPolicyArn": {"Ref": "ManagerDataPolicy"},
        "AlarmTopicArn": guard.topic(wanted),
    }
    return {name: {"Value": value} for name, value in values.items()} | machines.outputs(wanted)
