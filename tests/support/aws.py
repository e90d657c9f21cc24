"""An AWS that is not there: moto's server on a port of its own, with policies enforced on S3 (`aws_server`)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from support.aws_server import ADMIN
from support.s3 import answers, free_port

REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Aws:
    """Where it is, and the credentials of who may do everything."""

    endpoint: str
    access_key_id: str = ADMIN
    secret_access_key: str = "secret"
    region: str = REGION

    @property
    def variables(self) -> dict[str, str]:
        """The AWS_* variables of a process that may do everything."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, **credentials: str) -> Any:
        """A boto3 client. credentials: `aws_access_key_id`, …, of somebody else than the administrator."""
        import boto3

        held = {"aws_access_key_id": self.access_key_id, "aws_secret_access_key": self.secret_access_key}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=self.region, **(credentials or held))

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"site-{uuid4().hex[:12]}"
        self.client("s3").create_bucket(Bucket=name)
        return name

    def role(self, policy: dict[str, Any], *, service: str = "ecs-tasks.amazonaws.com") -> str:
        """A new role with this policy. Returns its ARN."""
        name = f"role-{uuid4().hex[:12]}"
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
        iam = self.client("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])

    def runner_role(self, bucket: str) -> str:
        """A role that reaches every object of the bucket, as that of a site's runners does before their sessions."""
        on_objects = ["GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts"]
        everything = {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", *(f"s3:{one}" for one in on_objects)],
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        return self.role({"Version": "2012-10-17", "Statement": [everything]})

    def requests(self) -> dict[str, Counter[str]]:
        """How many S3 requests each access key has made since the start: GET, HEAD, PUT, POST, DELETE, LIST."""
        counted: dict[str, Counter[str]] = {}
        for key, method, _, count in self._counted():
            counted.setdefault(key, Counter())[method] += count
        return counted

    def requests_about(self, job: str) -> Counter[str]:
        """How many were made about the objects of a job, by whomever."""
        counted: Counter[str] = Counter()
        for _, method, about, count in self._counted():
            if about == job:
                counted[method] += count
        return counted

    def _counted(self) -> list[tuple[str, str, str, int]]:
        with urllib.request.urlopen(f"{self.endpoint}/neurocaas/requests", timeout=20) as answer:
            found: list[tuple[str, str, str, int]] = json.load(answer)
        return found


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An account with nothing in it, for the whole session: make buckets and roles of your own."""
    with serving(tmp_path_factory.mktemp("aws") / "server.log", {}) as running:
        yield running


@contextlib.contextmanager
def serving(log: Path, variables: Mapping[str, str]) -> Iterator[Aws]:
    """A new server of its own, with these environment variables beside the tests' own."""
    port = free_port()
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("aws_server.py")), str(port)],
            stdout=output,
            stderr=output,
            env=os.environ | variables,
        )
    running = Aws(endpoint=f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 60
        while not answers(running.endpoint):
            assert server.poll() is None, f"moto's server ended at once: {log.read_text()}"
            assert time.monotonic() < deadline, "moto's server did not start in a minute"
            time.sleep(0.05)
        yield running
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def reached(aws: Aws) -> Iterator[None]:
    """In this block this process is the administrator, and no other AWS_* variable is set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in aws.variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def as_admin(aws: Aws) -> Iterator[Aws]:
    """The same for one test."""
    with reached(aws):
        yield aws
