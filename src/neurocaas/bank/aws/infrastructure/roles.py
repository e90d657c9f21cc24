"""Roles, each with what it needs and nothing else, and the policies of whoever runs the site."""

from __future__ import annotations

from typing import Any

from neurocaas.bank.aws.infrastructure import policies
from neurocaas.bank.aws.infrastructure.declaration import Declaration
from neurocaas.bank.aws.infrastructure.policies import Resources, Statement, document, trust
from neurocaas.bank.aws.stack import STACK_TAG

SESSION_SECONDS = 12 * 3600  # the longest that a runner's credentials can be asked for


def roles(wanted: Declaration) -> dict[str, Any]:
    """Resources, by logical id."""
    encryption = wanted.storage.encryption
    at = Resources(
        stack=wanted.aws.stack,
        store_prefix=wanted.store_prefix,
        kms_key=encryption if encryption.startswith("arn:") else "",
    )
    tasks, machines = {"Service": "ecs-tasks.amazonaws.com"}, {"Service": "ec2.amazonaws.com"}
    # Without a manager named, whoever in this account is allowed it by a policy of their own.
    manager = {"AWS": {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{wanted.aws.manager or 'root'}"}}
    return {
        "InstanceRole": _role(wanted, machines, policies.instance(at)),
        "InstanceProfile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "InstanceRole"}]}},
        "ExecutionRole": _role(wanted, tasks, policies.execution()),
        "JobRole": _role(wanted, tasks, []),
        "RunnerRole": _role(wanted, manager, policies.runner(at), MaxSessionDuration=SESSION_SECONDS),
        "ManagerPolicy": _managed(wanted, "The site: jobs, instances, messages", policies.manager_compute(at)),
        "ManagerDataPolicy": _managed(wanted, "The site: its buckets", policies.manager_data(at)),
    }


def _role(
    wanted: Declaration, principal: dict[str, Any], statements: list[Statement], **properties: Any
) -> dict[str, Any]:
    allowed = [{"PolicyName": "own", "PolicyDocument": document(statements)}]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": trust(principal),
            **({"Policies": allowed} if statements else {}),
            "Tags": [{"Key": STACK_TAG, "Value": wanted.aws.stack}],
            **properties,
        },
    }


def _managed(wanted: Declaration, description: str, statements: list[Statement]) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "Description": description,
            "PolicyDocument": document(statements),
            **attached(wanted),
        },
    }


def attached(wanted: Declaration) -> dict[str, Any]:
    """Whom a managed policy is put on: the site's manager, if `site.json` names it."""
    kind, _, name = wanted.aws.manager.partition("/")
    return {f"{kind.title()}s": [name]} if name else {}
