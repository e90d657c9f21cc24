"""IAM's decision on a request, and CloudFormation's references in policies filled in: as far as they are used here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from support.aws_server import matches

ACCOUNT, REGION = "123456789012", "us-east-1"
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": "neurocaas"}
Context = Mapping[str, str]


def permits(
    statements: Iterable[Mapping[str, Any]], action: str, resource: str, context: Context | None = None
) -> bool:
    """Whether a statement allows it and none denies it."""
    effects = {one["Effect"] for one in statements if _fits(one, action, resource, context or {})}
    return effects == {"Allow"}


def statements_of(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of a role, or a managed policy, of a resolved template."""
    properties = resource["Properties"]
    if "PolicyDocument" in properties:
        return list(properties["PolicyDocument"]["Statement"])
    return [one for policy in properties.get("Policies", ()) for one in policy["PolicyDocument"]["Statement"]]


def resolved(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template's resources with every Ref, GetAtt and Sub filled in, as they would be in an account."""
    resources = template["Resources"]
    return {name: _filled(resource, resources) for name, resource in resources.items()}


def _fits(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    return (
        any(matches(one, action, fold=True) for one in _listed(statement["Action"]))
        and any(matches(one, resource) for one in _listed(statement["Resource"]))
        and all(_holds(operator, tests, context) for operator, tests in statement.get("Condition", {}).items())
    )


def _holds(operator: str, tests: Mapping[str, Any], context: Context) -> bool:
    """A condition on a key that the request lacks does not hold. Raises KeyError for an operator that is not known."""
    compare = {
        "StringEquals": lambda wanted, found: wanted == found,
        "StringLike": matches,
        "ArnEquals": matches,
        "Bool": lambda wanted, found: wanted.lower() == found.lower(),
    }[operator]
    return all(key in context and any(compare(one, context[key]) for one in _listed(of)) for key, of in tests.items())


def _filled(value: Any, resources: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_filled(one, resources) for one in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": name}:
            return _ref(name, resources)
        case {"Fn::GetAtt": [name, attribute]}:
            return _attribute(name, attribute, resources)
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: _named(found.group(1), resources), text)
    return {key: _filled(one, resources) for key, one in value.items()}


def _named(name: str, resources: Mapping[str, Any]) -> str:
    if name in PSEUDO or "." not in name:
        return _ref(name, resources)
    return _attribute(*name.split(".", 1), resources)


def _ref(name: str, resources: Mapping[str, Any]) -> str:
    if name in PSEUDO:
        return PSEUDO[name]
    kind, properties = resources[name]["Type"], resources[name].get("Properties", {})
    if kind == "AWS::S3::Bucket":
        return str(_filled(properties["BucketName"], resources))
    if kind in {"AWS::IAM::ManagedPolicy", "AWS::SNS::Topic"}:
        return f"arn:aws:{'iam' if 'IAM' in kind else 'sns'}::{ACCOUNT}:{name}"
    return str(properties.get("UserName") or properties.get("LogGroupName") or f"neurocaas-{name}")


def _attribute(name: str, attribute: str, resources: Mapping[str, Any]) -> str:
    if attribute != "Arn":
        return f"{name}.{attribute}"
    kind, own = resources[name]["Type"], _ref(name, resources)
    if kind == "AWS::S3::Bucket":
        return f"arn:aws:s3:::{own}"
    if kind == "AWS::ECR::Repository":
        own = resources[name]["Properties"]["RepositoryName"]
    return {
        "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{own}",
        "AWS::IAM::InstanceProfile": f"arn:aws:iam::{ACCOUNT}:instance-profile/{own}",
        "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{own}",
        "AWS::ECR::Repository": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{own}",
        "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{own}:*",
        "AWS::Events::Rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{own}",
    }[kind]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
