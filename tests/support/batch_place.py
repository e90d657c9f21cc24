"""What the contract of providers needs of an emulated AWS: settings, a store, and an image to run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from neurocaas.bank.aws.account import Account
from neurocaas.bank.aws.infrastructure.declaration import declare
from neurocaas.bank.aws.infrastructure.deploying import deploy
from neurocaas.environment import EnvironmentSpec, EnvironmentStore
from neurocaas.environment.imaging import image_of, push
from neurocaas.settings import AwsSettings, Images, Settings, SiteDocument, StorageSettings
from neurocaas.storage import Store, keys, open_store
from support.amazon import state_change
from support.aws import Aws, reached
from support.batch_site import INSTANCE_TYPE
from support.containers import Containers
from support.engine import own_base


@dataclass(frozen=True, kw_only=True)
class BatchPlace:
    """environment: as an attempt document has it. workflow: the key of an archive without any file."""

    aws: Aws
    store: Store
    stack: str
    outputs: dict[str, str]
    environment: dict[str, Any]
    workflow: str

    def settings(self, root: Path) -> Settings:
        """Those of a site with room for two stacks."""
        return _settings(root, self.stack, self.outputs)

    def tell(self, attempt: str, status: str) -> None:
        """What EventBridge would send, which moto does not."""
        message = state_change(attempt, status)
        self.aws.client("sqs").send_message(QueueUrl=self.outputs["EventsQueueUrl"], MessageBody=message)


@pytest.fixture(scope="module")
def batch_place(
    aws_with_containers: Aws, containers: Containers, shared_environments: Path, engine: str
) -> Iterator[BatchPlace]:
    """One for all tests of a module; meanwhile this process is the account's administrator."""
    own_base(shared_environments)
    environments = EnvironmentStore(shared_environments)
    environment = environments.build(EnvironmentSpec(lock=b"", python="3.11"))
    image = push(image_of(environments, environment, Images()), f"{containers.registry}/neurocaas")
    stack = f"t{uuid4().hex[:9]}"
    with reached(aws_with_containers):
        wanted = declare(_settings(shared_environments, stack, {}), {}, {})
        outputs = deploy(Account(aws_with_containers.region), wanted).outputs
        store = open_store(f"s3://{outputs['StoreBucket']}")
        archive = io.BytesIO()
        tarfile.open(fileobj=archive, mode="w").close()
        workflow = keys.version_archive("sleep", "0" * 64)
        store.put(workflow, archive.getvalue())
        yield BatchPlace(
            aws=aws_with_containers,
            store=store,
            stack=stack,
            outputs=outputs,
            environment={
                "digest": environment.digest,
                "image": image,
                "mounts": [{"source": str(one.source), "target": one.target} for one in environment.mounts],
                "variables": environment.variables,
                "path": list(environment.path),
            },
            workflow=workflow,
        )


def _settings(root: Path, stack: str, outputs: dict[str, str]) -> Settings:
    url = f"s3://{outputs.get('StoreBucket', 'not-yet')}"
    site = SiteDocument(
        name="test",
        store=url,
        storage=StorageSettings(runner_role=outputs.get("RunnerRoleArn", "")),
        aws=AwsSettings(stack=stack, instance_types=(INSTANCE_TYPE,), max_vcpus=8),
    )
    return Settings(root=root, site=site, database_url="", store_url=url)
