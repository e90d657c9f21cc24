"""What CloudFormation may answer that an emulator never does: failures, leftovers, another's change, its own drift."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from neurocaas.bank.aws.account import Account
from neurocaas.bank.aws.infrastructure.drift import Drift, drift
from neurocaas.bank.aws.infrastructure.formation import Stack
from neurocaas.errors import NotNow, RemoteFailed
from neurocaas.settings import AwsSettings

TEMPLATE: dict[str, Any] = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}


@dataclass
class FakeFormation(Account):
    """CloudFormation with one stack or none, and what it is to say. asked: the calls that change something."""

    region: str = "us-east-1"
    status: str | None = None
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)  # a waiter's last answer, by the waiter
    events: list[dict[str, str]] = field(default_factory=list)
    drifts: list[dict[str, Any]] = field(default_factory=list)
    detections: list[dict[str, str]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    waited: str = ""

    def client(self, service: str) -> Any:
        return self

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        if self.status is None:
            said = {"Error": {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}}
            raise ClientError(said, "DescribeStacks")  # type: ignore[arg-type]
        return {"Stacks": [{"StackStatus": self.status, "StackId": f"id of {StackName}"}]}

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:
        return {"StackEvents": self.events}

    def get_template(self, StackName: str) -> dict[str, Any]:
        return {"TemplateBody": json.dumps(TEMPLATE)}

    def create_change_set(self, **given: Any) -> None:
        self.asked.append(("create_change_set", given))

    def execute_change_set(self, **given: Any) -> None:
        self.asked.append(("execute_change_set", given))

    def delete_change_set(self, **given: Any) -> None:
        self.asked.append(("delete_change_set", given))

    def delete_stack(self, **given: Any) -> None:
        self.asked.append(("delete_stack", given))
        self.status = None

    def get_waiter(self, name: str) -> Any:
        self.waited = name
        return self

    def wait(self, **given: Any) -> None:
        if self.waited in self.faults:
            raise WaiterError(self.waited, "a terminal failure", self.faults[self.waited])

    def detect_stack_drift(self, StackName: str) -> dict[str, str]:
        return {"StackDriftDetectionId": "1"}

    def describe_stack_drift_detection_status(self, StackDriftDetectionId: str) -> dict[str, str]:
        return self.detections.pop(0)

    def get_paginator(self, operation: str) -> Any:
        self.waited = operation
        return self

    def paginate(self, **given: Any) -> list[dict[str, Any]]:
        return [{"StackResourceDrifts": self.drifts, "StackResourceSummaries": []}]

    @property
    def calls(self) -> list[str]:
        return [name for name, _ in self.asked]


def _event(resource: str, status: str, reason: str) -> dict[str, str]:
    return {"LogicalResourceId": resource, "ResourceStatus": status, "ResourceStatusReason": reason}


def test_a_failure_is_told_with_its_causes_and_not_with_what_was_called_off_because_of_it() -> None:
    account = FakeFormation(
        faults={"stack_create_complete": {}},
        events=[  # the newest first, as AWS has it
            _event("Budget", "CREATE_FAILED", "Resource creation cancelled"),
            _event("EventsQueue", "CREATE_COMPLETE", ""),
            _event("StoreBucket", "CREATE_FAILED", "neurocaas-store-1 already exists."),
            _event("neurocaas", "CREATE_IN_PROGRESS", "User Initiated"),
            _event("Brake", "CREATE_FAILED", "of an earlier attempt"),
        ],
    )
    with pytest.raises(RemoteFailed) as told:
        Stack(account, "neurocaas").become(TEMPLATE)
    assert (
        told.value.message == "The stack neurocaas could not be changed: StoreBucket: neurocaas-store-1 already exists."
    )


@pytest.mark.parametrize("left", ["ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_what_a_failed_creation_left_is_cleared_and_made_anew(left: str) -> None:
    account = FakeFormation(status=left)
    stack = Stack(account, "neurocaas")
    assert (stack.status(), stack.template()) == (None, None)
    stack.become(TEMPLATE)
    assert account.calls == ["delete_stack", "create_change_set", "execute_change_set"]
    assert account.asked[1][1]["ChangeSetType"] == "CREATE"


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information",
        "No updates are to be performed.",
    ],
)
def test_nothing_to_change_is_quiet_and_leaves_no_change_set(reason: str) -> None:
    account = FakeFormation(
        status="UPDATE_COMPLETE", faults={"change_set_create_complete": {"StatusReason": reason, "Status": "FAILED"}}
    )
    Stack(account, "neurocaas").become(TEMPLATE)
    assert account.calls == ["create_change_set", "delete_change_set"]


def test_a_template_that_aws_does_not_accept_is_told_with_its_reason() -> None:
    fault = {"StatusReason": "Template error: no such type.", "Status": "FAILED"}
    account = FakeFormation(status="UPDATE_COMPLETE", faults={"change_set_create_complete": fault})
    with pytest.raises(
        RemoteFailed, match=r"AWS does not accept the template of neurocaas: Template error: no such type\.$"
    ):
        Stack(account, "neurocaas").become(TEMPLATE)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("UPDATE_IN_PROGRESS", "is being changed"),
        ("UPDATE_ROLLBACK_FAILED", "a change failed and could not be undone"),
    ],
)
def test_a_stack_that_is_not_at_rest_is_left_alone(status: str, said: str) -> None:
    with pytest.raises(NotNow, match=said):
        Stack(FakeFormation(status=status), "neurocaas").require_quiet()


def test_buckets_that_are_there_are_imported_by_name() -> None:
    account = FakeFormation()
    Stack(account, "neurocaas").become(TEMPLATE, imported={"StoreBucket": "neurocaas-store-1"})
    given = account.asked[0][1]
    assert given["ChangeSetType"] == "IMPORT"
    assert given["ResourcesToImport"] == [
        {
            "ResourceType": "AWS::S3::Bucket",
            "LogicalResourceId": "StoreBucket",
            "ResourceIdentifier": {"BucketName": "neurocaas-store-1"},
        }
    ]
    assert account.waited == "stack_import_complete"


def test_cloudformations_own_findings_are_told_property_by_property() -> None:
    difference = {"PropertyPath": "/State", "ActualValue": "DISABLED", "ExpectedValue": "ENABLED"}
    account = FakeFormation(
        status="CREATE_COMPLETE",
        detections=[{"DetectionStatus": "DETECTION_IN_PROGRESS"}, {"DetectionStatus": "DETECTION_COMPLETE"}],
        drifts=[
            {"LogicalResourceId": "Q", "StackResourceDriftStatus": "MODIFIED", "PropertyDifferences": [difference]},
            {"LogicalResourceId": "R", "StackResourceDriftStatus": "DELETED"},
        ],
    )
    pauses: list[float] = []
    findings = drift(account, AwsSettings(), pause=pauses.append)
    assert findings.found == (
        Drift(resource="Q", what='State is "DISABLED"; "ENABLED" was deployed'),
        Drift(resource="R", what="it is gone"),
    )
    assert findings.unavailable == ""
    assert len(pauses) == 1


def test_a_detection_that_fails_is_said_to_have_failed() -> None:
    failed = {"DetectionStatus": "DETECTION_FAILED", "DetectionStatusReason": "not allowed to look at Budget"}
    account = FakeFormation(status="CREATE_COMPLETE", detections=[failed])
    assert drift(account, AwsSettings()).unavailable == "not allowed to look at Budget"
