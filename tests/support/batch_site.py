"""A site on an emulated AWS whose Batch really runs containers: moto, Podman, a registry, and queues for one type."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.amazon import state_change
from support.aws import Aws, serving
from support.containers import Containers
from support.sites import TestSite, make_site

STACK = "neurocaas"
INSTANCE_TYPE = "m5.xlarge"
QUEUES = {"JobQueueM5XlargeOnDemand": "EC2", "JobQueueM5XlargeSpot": "SPOT"}
# What `neurocaas deploy` makes is made here by hand, until a site is deployed by it: then this dictionary of outputs
# is what is read back, and `Resources` is all that changes.
NOTHING_AT_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}


@pytest.fixture(scope="session")
def aws_with_containers(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An emulated AWS whose Batch starts real containers, which reach it as this machine does."""
    variables = containers.variables | {"MOTO_DOCKER_NETWORK_MODE": "host"}
    with serving(tmp_path_factory.mktemp("aws") / "server.log", variables) as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class BatchSite:
    """A site whose only provider is AWS."""

    site: TestSite
    aws: Aws
    containers: Containers
    bucket: str
    outputs: dict[str, str]

    def jobs(self) -> list[dict[str, Any]]:
        """All Batch jobs of this site's queues, as Batch describes them."""
        batch = self.aws.client("batch")
        listed = [
            one["jobId"]
            for queue in QUEUES
            for one in batch.list_jobs(jobQueue=self.outputs[queue], filters=[{"name": "JOB_NAME", "values": ["*"]}])[
                "jobSummaryList"
            ]
        ]
        return list(batch.describe_jobs(jobs=listed)["jobs"]) if listed else []

    def tell(self, attempt: str, status: str) -> None:
        """What EventBridge would send, which moto does not."""
        self.say(state_change(attempt, status))

    def say(self, message: str) -> None:
        self.aws.client("sqs").send_message(QueueUrl=self.outputs["EventsQueueUrl"], MessageBody=message)

    def keys(self, prefix: str) -> list[str]:
        pages = self.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]


@pytest.fixture(scope="module")
def batch_site(aws_with_containers: Aws, containers: Containers, shared_environments: Path) -> Iterator[BatchSite]:
    """One site for all tests of a module: an image is made and pulled once."""
    aws, folder = aws_with_containers, Path(tempfile.mkdtemp(prefix="neurocaas-batch-"))
    folder.chmod(0o755)
    bucket = aws.bucket()
    outputs = deploy(aws, bucket)
    site = make_site(folder, shared_environments, bundled=True, **aws.variables)
    document = json.loads((site.root / "site.json").read_text()) | {
        "providers": ["aws"],
        "store": f"s3://{bucket}/site",
        "storage": {"runner_role": outputs["RunnerRoleArn"]},
        "aws": {
            "region": aws.region,
            "stack": STACK,
            "instance_types": [INSTANCE_TYPE],
            "max_vcpus": 16,
            "repository": f"{containers.registry}/neurocaas",
        },
    }
    (site.root / "site.json").write_text(json.dumps(document, indent=1))
    try:
        yield BatchSite(site=site, aws=aws, containers=containers, bucket=bucket, outputs=outputs)
    finally:
        site.end()
        shutil.rmtree(folder, ignore_errors=True)


def deploy(aws: Aws, bucket: str) -> dict[str, str]:
    """The resources of a site's stack, and a stack with the outputs that name them. Returns these."""
    outputs = {
        "StoreBucket": bucket,
        "RunnerRoleArn": aws.runner_role(bucket),
        "JobRoleArn": aws.role(NOTHING_AT_ALL),
        "ExecutionRoleArn": aws.role(NOTHING_AT_ALL),
        "EventsQueueUrl": aws.client("sqs").create_queue(QueueName=f"{STACK}-events")["QueueUrl"],
        "RepositoryUri": aws.client("ecr").create_repository(repositoryName=STACK)["repository"]["repositoryUri"],
    }
    service = aws.role(NOTHING_AT_ALL, service="batch.amazonaws.com")
    profile = aws.client("iam").create_instance_profile(InstanceProfileName=f"{STACK}-instances")
    ec2, batch = aws.client("ec2"), aws.client("batch")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName=STACK, Description="none", VpcId=subnet["VpcId"])["GroupId"]
    for output, kind in QUEUES.items():
        resources = {
            "type": kind,
            "minvCpus": 0,
            "maxvCpus": 16,
            "desiredvCpus": 0,
            "instanceTypes": [INSTANCE_TYPE],
            "subnets": [subnet["SubnetId"]],
            "securityGroupIds": [group],
            "instanceRole": profile["InstanceProfile"]["Arn"],
        }
        environment = batch.create_compute_environment(
            computeEnvironmentName=f"{STACK}-{kind}", type="MANAGED", computeResources=resources, serviceRole=service
        )["computeEnvironmentArn"]
        outputs[output] = batch.create_job_queue(
            jobQueueName=f"{STACK}-{kind}",
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
        )["jobQueueArn"]
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {"Placeholder": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    aws.client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(template))
    return outputs
