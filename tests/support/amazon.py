"""An AWS account in memory, as far as the provider asks it: what a test tells it to say, and what it was asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from neurocaas.bank.aws.account import Account

OUTPUTS = {
    "JobQueueM5XlargeOnDemand": "arn:queue/m5-xlarge-on-demand",
    "JobQueueM5XlargeSpot": "arn:queue/m5-xlarge-spot",
    "JobRoleArn": "arn:role/job",
    "ExecutionRoleArn": "arn:role/execution",
    "RepositoryUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/neurocaas",
}


def refusal(code: str, message: str, status: int = 400) -> ClientError:
    """What botocore raises when AWS says no."""
    said = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "Operation")


@dataclass
class FakeAmazon(Account):
    """Every service in one object: its methods are those of boto3's clients."""

    region: str = "us-east-1"
    outputs: dict[str, str] = field(default_factory=lambda: dict(OUTPUTS))
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    definitions: list[dict[str, Any]] = field(default_factory=list)
    environments: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    container_instances: dict[str, str] = field(default_factory=dict)  # ARN -> EC2 id
    messages: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fault: Exception | None = None

    def client(self, service: str) -> Any:
        return self

    def close(self) -> None:
        """Nothing is open."""

    def calls(self, name: str) -> list[dict[str, Any]]:
        return [arguments for called, arguments in self.asked if called == name]

    def moves(self, job: str, status: str, **more: Any) -> None:
        self.jobs[job] |= {"status": status, **more}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        self._note("describe_stacks", StackName=StackName)
        return {"Stacks": [{"Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in self.outputs.items()]}]}

    def submit_job(self, **arguments: Any) -> dict[str, str]:
        self._note("submit_job", **arguments)
        job = f"job-{len(self.jobs)}"
        self.jobs[job] = {"jobId": job, "jobName": arguments["jobName"], "status": "SUBMITTED"}
        self.jobs[job]["jobQueue"] = arguments["jobQueue"]
        return {"jobId": job}

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        self._note("describe_jobs", jobs=jobs)
        assert len(jobs) <= 100, "AWS describes 100 jobs at a time"
        return {"jobs": [self.jobs[one] for one in jobs if one in self.jobs]}

    def list_jobs(self, jobQueue: str, filters: list[dict[str, Any]]) -> dict[str, Any]:
        self._note("list_jobs", jobQueue=jobQueue)
        found = [one for one in self.jobs.values() if one["jobName"] in filters[0]["values"]]
        return {"jobSummaryList": [one for one in found if one["jobQueue"] == jobQueue]}

    def terminate_job(self, jobId: str, reason: str) -> None:
        self._note("terminate_job", jobId=jobId, reason=reason)

    def describe_job_definitions(self, jobDefinitionName: str, status: str) -> dict[str, Any]:
        self._note("describe_job_definitions", definition=jobDefinitionName)
        return {"jobDefinitions": [one for one in self.definitions if one["jobDefinitionName"] == jobDefinitionName]}

    def register_job_definition(self, **arguments: Any) -> dict[str, str]:
        self._note("register_job_definition", **arguments)
        revision = 1 + sum(one["jobDefinitionName"] == arguments["jobDefinitionName"] for one in self.definitions)
        arn = f"arn:definition/{arguments['jobDefinitionName']}:{revision}"
        self.definitions.append({**arguments, "revision": revision, "jobDefinitionArn": arn})
        return {"jobDefinitionArn": arn}

    def get_authorization_token(self) -> dict[str, Any]:
        return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:secret").decode()}]}

    def describe_job_queues(self, jobQueues: list[str]) -> dict[str, Any]:
        self._note("describe_job_queues")
        return {"jobQueues": [{"computeEnvironmentOrder": [{"computeEnvironment": "arn:environment"}]}]}

    def describe_compute_environments(self, computeEnvironments: list[str]) -> dict[str, Any]:
        return {"computeEnvironments": self.environments}

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        self._note("receive_message", **arguments)
        some, self.messages = self.messages[:10], self.messages[10:]
        return {"Messages": [{"Body": one, "ReceiptHandle": one} for one in some]}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> None:
        self.deleted += [one["ReceiptHandle"] for one in Entries]

    def get_paginator(self, name: str) -> FakeAmazon:
        assert name == "describe_instances"
        return self

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        self._note("describe_instances", **arguments)
        return iter([{"Reservations": [{"Instances": [one]}]} for one in self.instances])

    def describe_container_instances(self, cluster: str, containerInstances: list[str]) -> dict[str, Any]:
        self._note("describe_container_instances", cluster=cluster)
        known = [one for one in containerInstances if one in self.container_instances]
        found = [{"containerInstanceArn": one, "ec2InstanceId": self.container_instances[one]} for one in known]
        return {"containerInstances": found}

    def terminate_instances(self, InstanceIds: list[str]) -> None:
        self._note("terminate_instances", InstanceIds=InstanceIds)

    def _note(self, name: str, **arguments: Any) -> None:
        self.asked.append((name, arguments))
        if self.fault is not None:
            raise self.fault


def state_change(attempt: str, status: str) -> str:
    """The message that EventBridge sends of a Batch job."""
    detail = {"jobName": attempt.replace("/", "-"), "jobId": "0", "status": status}
    return json.dumps({"detail-type": "Batch Job State Change", "source": "aws.batch", "detail": detail})
