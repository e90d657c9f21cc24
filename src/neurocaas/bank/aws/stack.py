"""A site's CloudFormation stack: its outputs name the queues, roles and addresses that the provider uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from neurocaas.bank.aws.account import Account, told
from neurocaas.errors import Refused, RemoteFailed

STACK_TAG = "neurocaas:stack"  # on every EC2 instance that the stack's compute environments start


@dataclass(frozen=True, kw_only=True)
class DeployedStack:
    """A stack as it is deployed."""

    name: str
    outputs: Mapping[str, str]

    def queue(self, instance_type: str, *, save: bool) -> str:
        """The ARN of the queue for whole instances of this type, on demand or at the save price."""
        return self._output(queue_output(instance_type, save=save))

    @property
    def job_role(self) -> str:
        return self._output("JobRoleArn")

    @property
    def execution_role(self) -> str:
        return self._output("ExecutionRoleArn")

    @property
    def repository(self) -> str:
        return self._output("RepositoryUri")

    @property
    def events_queue(self) -> str:
        """The URL of the SQS queue of state changes; empty for a stack without one."""
        return self.outputs.get("EventsQueueUrl", "")

    @property
    def submissions_queue(self) -> str:
        """The URL of the SQS queue that is told of submissions in drop-boxes; empty for a stack without one."""
        return self.outputs.get("SubmissionsQueueUrl", "")

    @property
    def log_group(self) -> str:
        """Where what runners print goes; empty for a stack without one."""
        return self.outputs.get("LogGroupName", "")

    @property
    def tags(self) -> dict[str, str]:
        """What marks all that belongs to this stack; the manager may touch nothing else."""
        return {STACK_TAG: self.name}

    def _output(self, name: str) -> str:
        if value := self.outputs.get(name):
            return value
        raise Refused(
            f"The CloudFormation stack {self.name} has no output {name}; one deployed from the present settings is "
            "right.",
            remedy="Deploy it again: neurocaas deploy --provider aws",
        )


def queue_output(instance_type: str, *, save: bool) -> str:
    """The output with the ARN of a type's queue: JobQueueM5XlargeOnDemand, JobQueueM5XlargeSpot."""
    return f"JobQueue{camel(instance_type)}{'Spot' if save else 'OnDemand'}"


def camel(name: str) -> str:
    """A name as CloudFormation takes it: m5.xlarge as M5Xlarge."""
    return "".join(part[0].upper() + part[1:] for part in re.split("[^A-Za-z0-9]+", name) if part)


def usable_mib(memory_mib: int) -> int:
    """How much of an instance's memory a container may ask for, in MiB: the system and ECS's agent keep the rest.

    What an instance offers is known only once it runs, so this is somewhat less than was seen of all types.
    """
    return memory_mib - max(512, memory_mib * 6 // 100)


def read_stack(account: Account, name: str) -> DeployedStack:
    """The stack as it is now. Raises Refused if it is not deployed, RemoteFailed."""
    try:
        with told(f"describe the CloudFormation stack {name}"):
            [found] = account.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except RemoteFailed as cause:
        if "does not exist" not in cause.message:
            raise
        raise Refused(
            f'site.json: aws.stack: found "{name}", which is not deployed in {account.region}.',
            remedy="Deploy it: neurocaas deploy --provider aws",
        ) from cause
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}
    return DeployedStack(name=name, outputs=outputs)
