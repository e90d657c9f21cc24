"""One CloudFormation stack: what is deployed, and the only way in which it is changed (a change set, to its end)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from neurocaas.bank.aws.account import Account
from neurocaas.bank.aws.infrastructure import names
from neurocaas.bank.aws.infrastructure.template import Template, body
from neurocaas.bank.aws.stack import STACK_TAG
from neurocaas.errors import NotNow, RemoteFailed

BODY_BYTES = 51_200  # a longer template is read from a bucket
WAIT = {"Delay": 5, "MaxAttempts": 720}  # an hour: Batch lets go of instances slowly
TEMPLATE_KEY = "deploy/template.json"  # in the store's bucket, where no runner reads
_UNBORN = frozenset({"REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE"})
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")


class Stack:
    """The stack of this name, deployed or not."""

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._account = account
        self._cloudformation = account.client("cloudformation")

    def status(self) -> str | None:
        """CloudFormation's word for where it is; None if there is none, or none that ever came to be."""
        found = self._described()
        return found["StackStatus"] if found and found["StackStatus"] not in _UNBORN else None

    def template(self) -> Template | None:
        """What is deployed; None if nothing is."""
        if self.status() is None:
            return None
        found = self._cloudformation.get_template(StackName=self.name)["TemplateBody"]
        template: Template = json.loads(found if isinstance(found, str) else json.dumps(found))
        return template

    def outputs(self) -> dict[str, str]:
        found = self._described() or {}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    def require_quiet(self) -> None:
        """Raises NotNow while somebody else changes the stack, or after a change that could not be undone."""
        status = self.status() or ""
        if status.endswith("_IN_PROGRESS"):
            raise NotNow(f"The stack {self.name} is being changed ({status}).", remedy="Try again when that is done.")
        if status.endswith("_FAILED"):
            raise NotNow(
                f"The stack {self.name} is in the state {status}: a change failed and could not be undone.",
                remedy=f"See why, then: aws cloudformation continue-update-rollback --stack-name {self.name}",
            )

    def become(self, template: Template, *, imported: Mapping[str, str] | None = None) -> None:
        """Make the stack what the template says, and wait until it is. Nothing to change is no fault.

        imported: buckets that are there already, by their logical ids: they are taken in, and nothing else is changed.
        Raises RemoteFailed with AWS's reasons if it can't be; CloudFormation then puts back what was.
        """
        exists = self.status() is not None
        if not exists:
            self._clear()
        kind = "IMPORT" if imported else "UPDATE" if exists else "CREATE"
        name = f"neurocaas-{secrets.token_hex(6)}"
        self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType=kind,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": STACK_TAG, "Value": self.name}],
            **self._sent(template),
            **({"ResourcesToImport": _to_import(imported)} if imported else {}),
        )
        if self._ready(name):
            self._cloudformation.execute_change_set(StackName=self.name, ChangeSetName=name)
            self._settle(kind)

    def delete(self) -> None:
        """Take the stack down and wait until it is; what it is told to retain stays. Quiet if there is none."""
        found = self._described()
        if found is None:
            return
        self._cloudformation.delete_stack(StackName=self.name)
        # Asked for by its id: a stack that is gone has no name any more.
        self._wait("stack_delete_complete", found["StackId"])

    def _described(self) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            found: dict[str, Any] = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return found

    def _clear(self) -> None:
        """Take away what a creation that failed has left: a stack of that name, without anything in it."""
        self.delete()

    def _sent(self, template: Template) -> dict[str, str]:
        text = body(template)
        if len(text) <= BODY_BYTES:
            return {"TemplateBody": text}
        s3, bucket = self._account.client("s3"), names.bucket(self.name, names.STORE, account_number(self._account))
        s3.put_object(Bucket=bucket, Key=TEMPLATE_KEY, Body=text.encode())
        return {"TemplateURL": f"{s3.meta.endpoint_url}/{bucket}/{TEMPLATE_KEY}"}

    def _ready(self, change_set: str) -> bool:
        """Whether the change set can be executed; False if it would change nothing."""
        from botocore.exceptions import WaiterError

        waiter = self._cloudformation.get_waiter("change_set_create_complete")
        try:
            waiter.wait(StackName=self.name, ChangeSetName=change_set, WaiterConfig=WAIT)
        except WaiterError as error:
            reason = str(error.last_response.get("StatusReason", "")) or str(error)
            self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
            if any(one in reason for one in _NO_CHANGE):
                return False
            raise RemoteFailed(f"AWS does not accept the template of {self.name}: {reason.rstrip('.')}.") from error
        return True

    def _settle(self, kind: str) -> None:
        waiters = {
            "CREATE": "stack_create_complete",
            "UPDATE": "stack_update_complete",
            "IMPORT": "stack_import_complete",
        }
        self._wait(waiters[kind], self.name)

    def _wait(self, waiter: str, stack: str) -> None:
        from botocore.exceptions import WaiterError

        try:
            self._cloudformation.get_waiter(waiter).wait(StackName=stack, WaiterConfig=WAIT)
        except WaiterError as error:
            reasons = "; ".join(self._reasons(stack)) or str(error)
            raise RemoteFailed(
                f"The stack {self.name} could not be changed: {reasons.rstrip('.')}.",
                remedy="What was there before is put back. Deploy again when the cause is gone.",
            ) from error

    def _reasons(self, stack: str) -> list[str]:
        """Why resources failed, in the last change; not those that were only called off because another had."""
        found = []
        for event in self._cloudformation.describe_stack_events(StackName=stack)["StackEvents"]:
            if event.get("ResourceStatusReason") == "User Initiated":
                break
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
                found.append(f"{event['LogicalResourceId']}: {reason}")
        return found[::-1]


def _to_import(buckets: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"ResourceType": "AWS::S3::Bucket", "LogicalResourceId": one, "ResourceIdentifier": {"BucketName": name}}
        for one, name in sorted(buckets.items())
    ]


def account_number(account: Account) -> str:
    """The account's twelve digits."""
    return str(account.client("sts").get_caller_identity()["Account"])
