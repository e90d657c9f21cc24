"""A site on an emulated AWS whose Batch really runs containers: moto, Podman, a registry, and the site's own stack."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from support.amazon import state_change
from support.aws import Aws, serving
from support.containers import Containers
from support.engine import own_base
from support.sites import TestSite, make_site

INSTANCE_TYPE = "m5.xlarge"
QUEUES = ("JobQueueM5XlargeOnDemand", "JobQueueM5XlargeSpot")


@pytest.fixture(scope="session")
def aws_with_containers(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An emulated AWS whose Batch starts real containers, which reach it as this machine does."""
    variables = containers.variables | {"MOTO_DOCKER_NETWORK_MODE": "host"}
    with serving(tmp_path_factory.mktemp("aws") / "server.log", variables) as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class BatchSite:
    """A site whose only provider is AWS. outputs: of its stack."""

    site: TestSite
    aws: Aws
    containers: Containers
    outputs: dict[str, str]

    def jobs(self, job: str) -> list[dict[str, Any]]:
        """The Batch jobs of a job's attempts, as Batch describes them."""
        batch = self.aws.client("batch")
        named = [{"name": "JOB_NAME", "values": [f"{job}-*"]}]
        queues = [batch.list_jobs(jobQueue=self.outputs[one], filters=named)["jobSummaryList"] for one in QUEUES]
        ids = [one["jobId"] for listed in queues for one in listed]
        return list(batch.describe_jobs(jobs=ids)["jobs"]) if ids else []

    def tell(self, attempt: str, status: str) -> None:
        """What EventBridge would send, which moto does not."""
        self.say(state_change(attempt, status))

    def say(self, message: str) -> None:
        self.aws.client("sqs").send_message(QueueUrl=self.outputs["EventsQueueUrl"], MessageBody=message)

    def keys(self, prefix: str) -> list[str]:
        """The keys in the site's store."""
        pages = self.aws.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.outputs["StoreBucket"], Prefix=prefix)
        return [one["Key"] for page in found for one in page.get("Contents", [])]


@pytest.fixture(scope="module")
def batch_site(
    aws_with_containers: Aws, containers: Containers, shared_environments: Path, engine: str
) -> Iterator[BatchSite]:
    """One site for all tests of a module, deployed as a person does: an image is made and pulled once."""
    own_base(shared_environments)
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-batch-"))
    folder.chmod(0o755)
    site = make_site(folder, shared_environments, bundled=True, **aws_with_containers.variables)
    try:
        aws = {
            "stack": f"t{uuid4().hex[:9]}",
            "instance_types": [INSTANCE_TYPE],
            "max_vcpus": 16,
            # moto's ECR takes no pushes.
            "repository": f"{containers.registry}/neurocaas",
        }
        site.declare(aws=aws)
        deployed = site("deploy", "--provider", "aws", "--json").json
        site.declare(providers=["aws"], **deployed["site"])
        yield BatchSite(site=site, aws=aws_with_containers, containers=containers, outputs=deployed["outputs"])
    finally:
        site.end()
        shutil.rmtree(folder, ignore_errors=True)
