"""Buckets: the site's store and a drop-box for each analysis. They outlive the stack, for they hold people's data."""

from __future__ import annotations

import json
from typing import Any

from neurocaas.bank.aws.infrastructure import names, policies
from neurocaas.bank.aws.infrastructure.declaration import BoxGroup, Declaration
from neurocaas.bank.aws.infrastructure.policies import Resources
from neurocaas.bank.aws.stack import STACK_TAG
from neurocaas.errors import Refused
from neurocaas.storage import bucket as asked

POLICY_CHARACTERS = 6_000  # of a managed policy; AWS accepts 6,144
POLICIES_OF_A_USER = 10
SUBMISSION = "submit.json"
ABANDONED = {"Id": "abandoned", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}


def store(wanted: Declaration) -> dict[str, Any]:
    """The store's bucket, as `neurocaas storage` would have it too."""
    browsers = asked.cors_rule(wanted.web_url)
    browsers = {"Id": browsers.pop("ID"), "ExposedHeaders": browsers.pop("ExposeHeaders"), **browsers}
    rules = asked.lifecycle_rules(wanted.storage.lifecycle, wanted.store_prefix)
    return _bucket(
        wanted,
        "StoreBucket",
        names.STORE,
        encryption=asked.encryption(wanted.storage),
        CorsConfiguration={"CorsRules": [browsers]},
        LifecycleConfiguration={"Rules": [rule.for_cloudformation() for rule in rules]},
    )


def drop_boxes(wanted: Declaration) -> dict[str, Any]:
    """A bucket for each analysis, which reports submissions, and for each member of a group a user with keys to them.

    The keys themselves are not in any template: see `access_keys`.
    """
    resources: dict[str, Any] = {}
    for analysis in wanted.boxes:
        resources |= _bucket(
            wanted,
            names.logical_id("DropBox", analysis),
            names.box(analysis),
            encryption={"SSEAlgorithm": "AES256"},
            NotificationConfiguration={"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            LifecycleConfiguration={"Rules": [ABANDONED]},
        )
    for group in wanted.groups:
        resources |= _members(wanted, group)
    return resources


def submissions_rule(wanted: Declaration) -> dict[str, Any]:
    """The rule by which a submission in any drop-box becomes a message. Buckets are told by how their names begin."""
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Description": "Submissions in drop-boxes",
            "EventPattern": {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [{"prefix": f"{wanted.aws.stack}-{names.box('')}"}]},
                    "object": {"key": [{"suffix": SUBMISSION}]},
                },
            },
            "State": "ENABLED",
            "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": ["SubmissionsQueue", "Arn"]}}],
        },
    }


def _bucket(
    wanted: Declaration, logical_id: str, what: str, *, encryption: dict[str, Any], **properties: Any
) -> dict[str, Any]:
    return {
        logical_id: {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "BucketName": {"Fn::Sub": names.bucket(wanted.aws.stack, what, "${AWS::AccountId}")},
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {"ServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}
                    ]
                },
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "PublicAccessBlockConfiguration": dict(asked.PUBLIC_ACCESS_BLOCK),
                "Tags": [{"Key": STACK_TAG, "Value": wanted.aws.stack}],
                **properties,
            },
        },
        f"{logical_id}Policy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": logical_id},
                "PolicyDocument": policies.document(policies.tls_only(logical_id)),
            },
        },
    }


def _members(wanted: Declaration, group: BoxGroup) -> dict[str, Any]:
    users = {
        names.logical_id("User", f"{group.name}+{user}"): {
            "Type": "AWS::IAM::User",
            "Properties": {
                "UserName": names.box_user(wanted.aws.stack, group.name, user),
                "Path": names.box_path(wanted.aws.stack),
                "Tags": [{"Key": STACK_TAG, "Value": wanted.aws.stack}],
            },
        }
        for user in group.users
    }
    resources: dict[str, Any] = dict(users)
    for number, document in enumerate(_box_policies(wanted, group), start=1):
        resources[names.logical_id(f"Access{number}", group.name)] = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": f"Drop-boxes of the group {group.name}",
                "PolicyDocument": document,
                "Users": [{"Ref": user} for user in users],
            },
        }
    return resources


def _box_policies(wanted: Declaration, group: BoxGroup) -> list[dict[str, Any]]:
    """As many policies as it takes to name every box that the group uses: each may only be so long."""
    at = Resources(stack=wanted.aws.stack)
    found: list[dict[str, Any]] = []
    together: list[str] = []
    for analysis in group.analyses:
        wider = policies.document(policies.box_user(at, group.name, [*together, analysis]))
        if together and len(json.dumps(wider, separators=(",", ":"))) > POLICY_CHARACTERS:
            together = []
            wider = policies.document(policies.box_user(at, group.name, [analysis]))
            found.append(wider)
        elif found:
            found[-1] = wider
        else:
            found.append(wider)
        together.append(analysis)
    if len(found) > POLICIES_OF_A_USER:
        raise Refused(
            f"The group {group.name} may use the drop-boxes of {len(group.analyses)} analyses, which takes "
            f"{len(found)} policies; AWS allows {POLICIES_OF_A_USER} to a user.",
            remedy="Name fewer in the group's profile, or in aws.drop_boxes of site.json.",
        )
    return found
