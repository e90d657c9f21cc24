"""Deploy a site's declaration: see what would change, change it, and say what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.infrastructure import access_keys, names
from neurocaas.bank.aws.infrastructure.declaration import Declaration
from neurocaas.bank.aws.infrastructure.formation import BODY_BYTES, Stack, account_number
from neurocaas.bank.aws.infrastructure.plan import Change, changes
from neurocaas.bank.aws.infrastructure.template import Template, body, template
from neurocaas.bank.aws.stack import STACK_TAG

_FOUNDATION = ("StoreBucket", "StoreBucketPolicy")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What was changed, and the outputs of what is deployed now."""

    changes: list[Change]
    outputs: dict[str, str]


def preview(account: Account, wanted: Declaration) -> list[Change]:
    """What `deploy` would change. Only reads."""
    with told("show what is deployed"):
        return changes(Stack(account, wanted.aws.stack).template(), template(wanted))


def deploy(account: Account, wanted: Declaration, made: Template | None = None) -> Deployment:
    """Make the account what the documents say. A second time changes nothing.

    made: the template, if it is not to be the one that the documents give. Raises NotNow while the stack is being
    changed, RemoteFailed with AWS's reasons if it can't be.
    """
    after = made or template(wanted)
    with told(f"deploy the stack {wanted.aws.stack}"):
        stack = Stack(account, wanted.aws.stack)
        stack.require_quiet()
        before = stack.template()
        found = changes(before, after)
        if found:
            # CloudFormation can't remove a user that has keys, and whoever is removed is to lose them anyway.
            access_keys.withdraw(account, wanted)
            before = _take_in(account, stack, before, after)
            if len(body(after)) > BODY_BYTES and "StoreBucket" not in (before or {}).get("Resources", {}):
                stack.become(_part(after, _FOUNDATION))
            stack.become(after)
        return Deployment(changes=found, outputs=stack.outputs())


def _take_in(account: Account, stack: Stack, before: Template | None, after: Template) -> Template | None:
    """Take in buckets of this stack's that `destroy`, or an analysis' removal, left. Returns what is deployed then."""
    there = _retained(account, stack, before, after)
    if not there:
        return before
    deployed = before or {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}
    taken = {one: after["Resources"][one] for one in there}
    wider = {**deployed, "Resources": {**deployed["Resources"], **taken}}
    stack.become(wider, imported=there)
    return wider


def _retained(account: Account, stack: Stack, before: Template | None, after: Template) -> dict[str, str]:
    """Names of buckets that are to be made and are there already, with this stack's tag, by logical id."""
    known = (before or {}).get("Resources", {})
    number = account_number(account)
    wanted: dict[str, str] = {
        one: resource["Properties"]["BucketName"]["Fn::Sub"].replace("${AWS::AccountId}", number)
        for one, resource in after["Resources"].items()
        if resource["Type"] == "AWS::S3::Bucket" and one not in known
    }
    return {one: name for one, name in wanted.items() if _is_ours(account.client("s3"), name, stack.name)}


def _is_ours(s3: Any, bucket: str, stack: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError:
        return False  # it is not there, or is not ours to read: making it will say which
    return {"Key": STACK_TAG, "Value": stack} in tags


def _part(whole: Template, logical_ids: tuple[str, ...]) -> Template:
    resources = {one: whole["Resources"][one] for one in logical_ids if one in whole["Resources"]}
    return {"AWSTemplateFormatVersion": whole["AWSTemplateFormatVersion"], "Resources": resources}


def boxes(account: Account, wanted: Declaration) -> dict[str, str]:
    """The address of each analysis' drop-box."""
    number = account_number(account)
    return {one: f"s3://{names.bucket(wanted.aws.stack, names.box(one), number)}" for one in wanted.boxes}


def site_entries(outputs: Mapping[str, str], boxes: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, Any]:
    """What `site.json` (document: as it is now) must hold for the site to use what is deployed, where it does not."""
    entries: dict[str, Any] = {}
    store = f"s3://{outputs.get('StoreBucket', '')}"
    if not f"{document.get('store', '')}/".startswith(f"{store}/"):
        entries["store"] = store
    if document.get("storage", {}).get("runner_role") != outputs.get("RunnerRoleArn"):
        entries["storage"] = {"runner_role": outputs.get("RunnerRoleArn")}
    known = document.get("dropboxes", {})
    if missing := {one: url for one, url in boxes.items() if known.get(one) != url}:
        entries["dropboxes"] = missing
    return entries
