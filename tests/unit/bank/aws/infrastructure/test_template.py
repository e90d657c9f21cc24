"""The template: the same documents give the same one, cfn-lint finds nothing, and nobody reaches an instance."""

from __future__ import annotations

import json
from decimal import Decimal
from email import message_from_string
from typing import Any

import pytest
from cfnlint import ManualArgs, lint

from neurocaas.bank.aws.infrastructure import names
from neurocaas.bank.aws.infrastructure.declaration import BoxGroup
from neurocaas.bank.aws.infrastructure.machines import user_data
from neurocaas.bank.aws.infrastructure.template import body, template
from neurocaas.bank.aws.stack import queue_output
from neurocaas.errors import Refused
from neurocaas.settings import StorageSettings
from support.declarations import declaration

KMS = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"

VARIANTS: dict[str, dict[str, Any]] = {
    "as little as can be": {
        "aws": {"budget_dollars_per_month": None},
        "boxes": (),
        "groups": (),
        "types": ("m5.xlarge",),
    },
    "by default, with a manager": {"aws": {"manager": "role/site"}},
    "all changed": {
        "aws": {
            "manager": "user/site",
            "alarm_topic": "arn:aws:sns:us-east-1:123456789012:alarms",
            "vpc": "vpc-0a1b2c3d",
            "subnets": ("subnet-0a1b2c3d", "subnet-1a2b3c4d"),
        },
        "storage": StorageSettings.model_validate({"encryption": KMS, "lifecycle": {"cold_days": 90}}),
        "store_prefix": "site/",
    },
}


def _of_type(made: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in made["Resources"].items() if one["Type"] == kind}


def _linted(made: dict[str, Any]) -> list[str]:
    """What cfn-lint says, information included. I4010 asks for prose about the template inside it."""
    given = ManualArgs(regions=["us-east-1"], include_checks=["I"], ignore_checks=["I4010"])
    return [str(one) for one in lint(body(made), config=given)]


@pytest.mark.thorough
@pytest.mark.parametrize("variant", VARIANTS)
def test_cfn_lint_finds_nothing(variant: str) -> None:
    assert _linted(template(declaration(**VARIANTS[variant]))) == []


@pytest.mark.thorough
def test_cfn_lint_would_find_something() -> None:
    made = template(declaration())
    made["Resources"]["StoreBucket"]["Properties"]["BucketNaem"] = "x"
    (told,) = _linted(made)
    assert "BucketNaem" in told


def test_the_same_documents_give_the_same_template() -> None:
    assert body(template(declaration())) == body(template(declaration()))


def test_the_outputs_name_what_the_provider_reads() -> None:
    outputs = template(declaration())["Outputs"]
    queues = {queue_output(one, save=save) for one in ("g5.xlarge", "m5.xlarge") for save in (False, True)}
    read = {"StoreBucket", "RunnerRoleArn", "JobRoleArn", "ExecutionRoleArn", "EventsQueueUrl", "RepositoryUri"}
    assert queues | read | {"LogGroupName", "SubmissionsQueueUrl"} <= outputs.keys()


def test_nothing_comes_in_to_an_instance_and_only_the_web_goes_out() -> None:
    made = template(declaration())
    (firewall,) = _of_type(made, "AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in firewall
    assert [one["FromPort"] for one in firewall["SecurityGroupEgress"]] == [443, 80]
    assert not _of_type(made, "AWS::EC2::SecurityGroupIngress")
    assert "KeyName" not in body(made)
    assert "Ec2KeyPair" not in body(made)
    assert "ssm" not in body(made).lower().replace("ssmessages", "")


def test_the_metadata_service_answers_the_system_alone() -> None:
    (made,) = _of_type(template(declaration()), "AWS::EC2::LaunchTemplate").values()
    options = made["LaunchTemplateData"]["MetadataOptions"]
    assert options == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert "169.254.169.254,169.254.170.2 --match owner ! --uid-owner 0 --jump REJECT" in user_data(declaration())


def test_every_instance_type_is_had_on_demand_and_at_the_save_price() -> None:
    environments = _of_type(template(declaration()), "AWS::Batch::ComputeEnvironment").values()
    had = [(one["ComputeResources"]["InstanceTypes"], one["ComputeResources"]["Type"]) for one in environments]
    wanted = [([one], way) for one in ("g5.xlarge", "m5.xlarge") for way in ("EC2", "SPOT")]
    assert sorted(had) == wanted
    assert all(one["ComputeResources"]["MinvCpus"] == 0 for one in environments), "an idle instance costs"
    assert all(one["ComputeResources"]["Tags"]["neurocaas:stack"] == "neurocaas" for one in environments)


def test_instances_with_gpus_get_the_image_with_the_driver() -> None:
    environments = _of_type(template(declaration()), "AWS::Batch::ComputeEnvironment").values()
    images = {
        one["ComputeResources"]["InstanceTypes"][0]: one["ComputeResources"]["Ec2Configuration"][0]["ImageType"]
        for one in environments
    }
    assert images == {"g5.xlarge": "ECS_AL2023_NVIDIA", "m5.xlarge": "ECS_AL2023"}


def test_buckets_outlive_the_stack_and_nothing_else_does() -> None:
    resources = template(declaration())["Resources"]
    kept = {one["Type"] for one in resources.values() if one.get("DeletionPolicy") == "Retain"}
    assert kept == {"AWS::S3::Bucket"}


def test_no_bucket_is_open_to_the_public_or_reached_unencrypted() -> None:
    made = template(declaration())
    for name, bucket in _of_type(made, "AWS::S3::Bucket").items():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert bucket["BucketEncryption"]
        (statement,) = made["Resources"][f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_change_of_state_is_passed_on_without_the_ticket() -> None:
    rule = template(declaration())["Resources"]["EventsRule"]["Properties"]
    transformer = rule["Targets"][0]["InputTransformer"]
    assert set(transformer["InputPathsMap"].values()) == {
        "$.detail-type",
        "$.detail.jobId",
        "$.detail.jobName",
        "$.detail.status",
    }
    assert "container" not in json.dumps(transformer)


def test_the_budget_is_the_whole_accounts_and_stops_the_manager() -> None:
    resources = template(declaration(aws={"manager": "role/site", "budget_dollars_per_month": 120}))["Resources"]
    budget = resources["Budget"]["Properties"]["Budget"]
    assert Decimal(str(budget["BudgetLimit"]["Amount"])) == 120
    assert "CostFilters" not in budget, "a filter by tag sees nothing until somebody activates the tag"
    brake = resources["Brake"]["Properties"]
    assert brake["ApprovalModel"] == "AUTOMATIC"
    assert brake["Definition"]["IamActionDefinition"]["Roles"] == ["site"]
    assert "Brake" not in template(declaration())["Resources"]


def test_the_watchdog_is_in_the_user_data_as_batch_wants_it() -> None:
    parts = message_from_string(user_data(declaration())).get_payload()
    assert isinstance(parts, list)
    (script,) = parts
    assert script.get_content_type() == "text/x-shellscript"
    text = str(script.get_payload())
    assert text.startswith("#!/bin/sh\n")
    assert "Environment=UNCLAIMED_MINUTES=30 LIFETIME_MINUTES=4320" in text
    assert "exec shutdown -h now" in text


def test_more_than_a_stack_can_hold_is_refused_with_what_to_do() -> None:
    boxes = tuple(f"analysis-{number}" for number in range(250))
    with pytest.raises(Refused, match=r"AWS takes 500 .* Name fewer analyses"):
        template(declaration(boxes=boxes, groups=()))


def test_a_group_with_many_boxes_gets_policies_that_aws_accepts() -> None:
    boxes = tuple(f"analysis-with-a-rather-long-name-{number}" for number in range(30))
    group = BoxGroup(name="lab", users={"ada": 1}, analyses=boxes)
    made = template(declaration(boxes=boxes, groups=(group,)))
    documents = [
        one["PolicyDocument"] for one in _of_type(made, "AWS::IAM::ManagedPolicy").values() if one.get("Users")
    ]
    assert 1 < len(documents) <= 10
    assert all(len(json.dumps(one, separators=(",", ":"))) <= 6144 for one in documents)
    assert all(names.box(one) in json.dumps(documents) for one in boxes)


def test_a_group_with_more_boxes_than_policies_can_name_is_refused() -> None:
    boxes = tuple(f"analysis-{'x' * 40}-{number}" for number in range(120))
    with pytest.raises(Refused, match="The group lab may use the drop-boxes of 120 analyses"):
        template(declaration(boxes=boxes, groups=(BoxGroup(name="lab", users={"ada": 1}, analyses=boxes),)))
