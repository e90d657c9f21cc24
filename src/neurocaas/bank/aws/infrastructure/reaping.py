"""Instances that no job claims: found and ended from without. The other means is on each instance: watchdog.sh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.stack import STACK_TAG

AT_ONE_TIME = 100
CLAIMING = ("STARTING", "RUNNING")
UP = ("pending", "running")


@dataclass(frozen=True, kw_only=True)
class Unclaimed:
    """An instance of the stack's that runs for nobody. since: when it was first seen so, or when it started."""

    id: str
    instance_type: str
    started_at: datetime
    since: datetime


class Sweep:
    """Looks for unclaimed instances of one stack, again and again. minutes: how long one may be so.

    What it has seen is in memory only: after a restart an instance gets its minutes once more.
    """

    def __init__(
        self, account: Account, stack: str, *, minutes: float, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._account = account
        self._stack = stack
        self._patience = timedelta(minutes=minutes)
        self._clock = clock
        self._since: dict[str, datetime] = {}

    def unclaimed(self) -> list[Unclaimed]:
        """Those that have run without a job of the stack's queues for longer than they may. Raises RemoteFailed."""
        with told("look for instances that nobody claims"):
            # The instances first: one that is claimed in between counts as claimed.
            up = list(self._up())
            claimed = set(self._claimed())
        now = self._clock()
        self._since = {one["InstanceId"]: self._since.get(one["InstanceId"], now) for one in up}
        for instance in claimed & self._since.keys():
            self._since[instance] = now
        return [
            Unclaimed(
                id=one["InstanceId"],
                instance_type=one["InstanceType"],
                started_at=one["LaunchTime"],
                since=self._since[one["InstanceId"]],
            )
            for one in up
            if one["InstanceId"] not in claimed and now - self._since[one["InstanceId"]] >= self._patience
        ]

    def end(self, found: Collection[Unclaimed]) -> None:
        """Terminate them. Quiet for one that is gone already. Raises RemoteFailed."""
        from botocore.exceptions import ClientError

        for one in found:
            with told(f"end the instance {one.id}"):
                try:
                    self._account.client("ec2").terminate_instances(InstanceIds=[one.id])
                except ClientError as error:
                    if not error.response["Error"]["Code"].startswith("InvalidInstanceID"):
                        raise
            self._since.pop(one.id, None)

    def _up(self) -> Iterator[dict[str, Any]]:
        filters = [
            {"Name": f"tag:{STACK_TAG}", "Values": [self._stack]},
            {"Name": "instance-state-name", "Values": list(UP)},
        ]
        for page in self._account.client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]

    def _claimed(self) -> Iterator[str]:
        """Ids of the instances that a job starts or runs on."""
        clusters: dict[str, set[str]] = defaultdict(set)
        for arn in self._container_instances():
            clusters[arn.split(":container-instance/")[1].split("/")[0]].add(arn)
        ecs = self._account.client("ecs")
        for cluster, arns in clusters.items():
            for some in _by_hundreds(sorted(arns)):
                described = ecs.describe_container_instances(cluster=cluster, containerInstances=some)
                yield from (one["ec2InstanceId"] for one in described["containerInstances"])

    def _container_instances(self) -> Iterator[str]:
        batch = self._account.client("batch")
        for page in batch.get_paginator("describe_job_queues").paginate():
            for queue in page["jobQueues"]:
                if queue["jobQueueName"].startswith(f"{self._stack}-"):
                    for some in _by_hundreds(self._jobs(queue["jobQueueName"])):
                        for job in batch.describe_jobs(jobs=some)["jobs"]:
                            if arn := job.get("container", {}).get("containerInstanceArn"):
                                yield arn

    def _jobs(self, queue: str) -> list[str]:
        batch = self._account.client("batch")
        return [
            job["jobId"]
            for status in CLAIMING
            for page in batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status)
            for job in page["jobSummaryList"]
        ]


def _by_hundreds(listed: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(listed), AT_ONE_TIME):
        yield listed[start : start + AT_ONE_TIME]
