"""Every call to AWS Batch, in one place."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.stack import DeployedStack
from neurocaas.bank.provider import InstanceType
from neurocaas.errors import RemoteFailed

AT_ONE_TIME = 100  # jobs that one call describes
NAME_CHARACTERS = 128
TICKET = "NEUROCAAS_TICKET"


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """A job as Batch describes it. instance: the ARN of the ECS container instance it is or was on; "" for none yet."""

    id: str
    status: str
    reason: str = ""
    instance: str = ""

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> BatchJob:
        container = described.get("container") or {}
        # What ECS says of a container that could not be started tells more than "essential container exited".
        reason = container.get("reason") or described.get("statusReason") or ""
        attempts = described.get("attempts") or [{}]
        last = attempts[-1].get("container") or {}
        arn = container.get("containerInstanceArn") or last.get("containerInstanceArn") or ""
        return cls(
            id=described["jobId"],
            status=described["status"],
            reason=reason,
            instance=arn if ":container-instance/" in arn else "",
        )


class Batch:
    """AWS Batch as the provider uses it. Raises RemoteFailed; NotAnswering for what may pass."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._definitions: dict[str, str] = {}

    def submit(
        self,
        name: str,
        *,
        queue: str,
        definition: str,
        instance_type: InstanceType,
        ticket: str,
        timeout_seconds: int,
        tags: Mapping[str, str],
    ) -> str:
        """Have Batch run the runner on a whole instance of this type, once. Returns the job's id."""
        asked = [("VCPU", instance_type.vcpus), ("MEMORY", instance_type.memory_mib), ("GPU", instance_type.gpus)]
        with told("run the stack"):
            job: str = self._client.submit_job(
                jobName=name,
                jobQueue=queue,
                jobDefinition=definition,
                tags=tags,
                containerOverrides={
                    "resourceRequirements": [{"type": kind, "value": str(many)} for kind, many in asked if many],
                    "environment": [{"name": TICKET, "value": ticket}],
                },
                retryStrategy={"attempts": 1},
                timeout={"attemptDurationSeconds": timeout_seconds},
            )["jobId"]
        return job

    def describe(self, ids: Collection[str]) -> dict[str, BatchJob]:
        """The jobs that Batch still knows, by id."""
        found: dict[str, BatchJob] = {}
        ordered = sorted(ids)
        for start in range(0, len(ordered), AT_ONE_TIME):
            with told("describe its jobs"):
                described = self._client.describe_jobs(jobs=ordered[start : start + AT_ONE_TIME])["jobs"]
            found |= {one["jobId"]: BatchJob.read(one) for one in described}
        return found

    def named(self, name: str, queues: Collection[str]) -> str | None:
        """The id of the job of this name; None if it was never submitted."""
        for queue in queues:
            with told("list its jobs"):
                listed = self._client.list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}])
            if found := [one["jobId"] for one in listed["jobSummaryList"] if one["jobName"] == name]:
                return str(found[0])
        return None

    def terminate(self, job: str, reason: str) -> None:
        """SIGTERM, and half a minute later SIGKILL; a job that has not begun never will. Quiet if it has ended."""
        with told("end a job"):
            self._client.terminate_job(jobId=job, reason=reason)

    def definition(self, image: str, stack: DeployedStack) -> str:
        """The ARN of the job definition for an image (`repository@sha256:…`): one for each, registered once."""
        if image not in self._definitions:
            name = definition_name(stack.name, image)
            properties = container_properties(image, stack)
            self._definitions[image] = self._registered(name, properties) or self._register(name, properties, stack)
        return self._definitions[image]

    def trouble(self, queue: str) -> str:
        """What the compute environments behind a queue say is wrong with them; empty if they are well."""
        with told("describe a queue"):
            found = self._client.describe_job_queues(jobQueues=[queue])["jobQueues"]
        environments = [one["computeEnvironment"] for queue in found for one in queue["computeEnvironmentOrder"]]
        with told("describe compute environments"):
            described = self._client.describe_compute_environments(computeEnvironments=environments)
        reasons = [
            one.get("statusReason", "")
            for one in described["computeEnvironments"]
            if one.get("status") == "INVALID" or one.get("state") == "DISABLED"
        ]
        return "; ".join(filter(None, reasons))

    @property
    def _client(self) -> Any:
        return self._account.client("batch")

    def _registered(self, name: str, properties: Mapping[str, Any]) -> str:
        """The newest revision, if it is as it would be registered now; else empty."""
        with told("describe job definitions"):
            known = self._client.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")["jobDefinitions"]
        if not known:
            return ""
        newest = max(known, key=lambda one: one["revision"])
        held = newest.get("containerProperties", {})
        same = all(held.get(part) == value for part, value in properties.items() if part in _COMPARED)
        return str(newest["jobDefinitionArn"]) if same else ""

    def _register(self, name: str, properties: Mapping[str, Any], stack: DeployedStack) -> str:
        with told("register a job definition"):
            answer = self._client.register_job_definition(
                jobDefinitionName=name,
                type="container",
                containerProperties=properties,
                retryStrategy={"attempts": 1},
                platformCapabilities=["EC2"],
                propagateTags=True,
                tags=stack.tags,
            )
        return str(answer["jobDefinitionArn"])


_COMPARED = frozenset({"image", "command", "jobRoleArn", "executionRoleArn", "privileged", "logConfiguration"})


def container_properties(image: str, stack: DeployedStack) -> dict[str, Any]:
    """How the image of an environment is run. What a stack needs of vCPUs and memory is said when it is submitted."""
    properties: dict[str, Any] = {
        "image": image,
        "command": [],  # the image's entrypoint is the runner, which finds its ticket in the environment
        # The instance is this stack's alone; the runner makes the workflow's sandbox inside the container.
        "privileged": True,
        # Its policy lets it do nothing: what a runner may reach, it reaches by its ticket.
        "jobRoleArn": stack.job_role,
        "executionRoleArn": stack.execution_role,
        "linuxParameters": {"initProcessEnabled": True},
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
    }
    if stack.log_group:
        options = {"awslogs-group": stack.log_group, "awslogs-stream-prefix": "runner"}
        properties["logConfiguration"] = {"logDriver": "awslogs", "options": options}
    return properties


def definition_name(stack: str, image: str) -> str:
    """A name that holds the image's digest, so that each image has a definition of its own."""
    repository, _, digest = image.partition("@sha256:")
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise RemoteFailed(f"The image {image} is not named by its digest; {repository}@sha256:… is right.")
    return f"{stack}-{digest[:32]}"[:NAME_CHARACTERS]


def job_name(attempt: str) -> str:
    """An attempt's name as Batch takes it: job/stack/number with hyphens."""
    return attempt.replace("/", "-")[:NAME_CHARACTERS]


def attempt_name(name: str) -> str:
    """The attempt that a job of this name performs; empty if it is none of ours."""
    job, *numbers = name.rsplit("-", 2)
    return "/".join((job, *numbers)) if len(numbers) == 2 and all(map(str.isdigit, numbers)) else ""
