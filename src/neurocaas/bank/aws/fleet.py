"""The EC2 instances that a site's compute environments started: when, at what price, for which attempts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.stack import STACK_TAG
from neurocaas.bank.provider import Instance, InstanceType, Placement

ZERO = Decimal(0)
AT_ONE_TIME = 100  # container instances that one call describes
ENDED = frozenset({"shutting-down", "terminated", "stopped"})
ENDED_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


class Fleet:
    """The instances of one stack. What an instance ran besides its attempts' time is idle, and the site's to bear."""

    def __init__(self, account: Account, stack: str, types: Mapping[str, InstanceType]) -> None:
        self._account = account
        self._stack = stack
        self._types = types
        self._unresolved: dict[str, set[str]] = defaultdict(set)  # attempts by the ARN of their container instance
        self._attempts: dict[str, set[str]] = defaultdict(set)  # by the instance's id
        self._told: set[str] = set()  # ids of instances whose end was told

    def served(self, attempt: str, container_instance: str) -> None:
        """The attempt runs, or ran, on the instance behind this ARN."""
        self._unresolved[container_instance].add(attempt)

    def instances(self) -> list[Instance]:
        """Those that run, and those that ended since the last call. Raises RemoteFailed."""
        self._resolve()
        found = [self._instance(one) for one in self._described()]
        new = [one for one in found if one.ended_at is None or one.id not in self._told]
        # EC2 forgets an instance about an hour after its end, and so may this.
        self._told = {one.id for one in found if one.ended_at is not None}
        self._attempts = defaultdict(set, {one.id: self._attempts[one.id] for one in found})
        return new

    def end(self, instance: str) -> None:
        """Terminate it. Quiet if EC2 knows it no more. Raises RemoteFailed."""
        from botocore.exceptions import ClientError

        with told(f"end the instance {instance}"):
            try:
                self._account.client("ec2").terminate_instances(InstanceIds=[instance])
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith("InvalidInstanceID"):
                    raise

    def _described(self) -> Iterator[Mapping[str, Any]]:
        filters = [{"Name": f"tag:{STACK_TAG}", "Values": [self._stack]}]
        with told("describe the site's instances"):
            pages = self._account.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
            reservations = [one for page in pages for one in page["Reservations"]]
        for reservation in reservations:
            yield from reservation["Instances"]

    def _instance(self, described: Mapping[str, Any]) -> Instance:
        save = described.get("InstanceLifecycle") == "spot"
        instance_type = self._types.get(described["InstanceType"])
        ended = described["State"]["Name"] in ENDED
        return Instance(
            provider="aws",
            id=described["InstanceId"],
            instance_type=described["InstanceType"],
            price_per_hour=Placement(instance_type=instance_type, save=save).price_per_hour if instance_type else ZERO,
            started_at=described["LaunchTime"].astimezone(UTC),
            save=save,
            ended_at=_ended_at(described) if ended else None,
            attempts=tuple(sorted(self._attempts[described["InstanceId"]])),
            reason=(described.get("StateReason", {}).get("Message") or "") if ended else "",
        )

    def _resolve(self) -> None:
        """Find the EC2 ids of container instances. One that is not found any more will not be."""
        clusters: dict[str, list[str]] = defaultdict(list)
        for arn in self._unresolved:
            clusters[arn.split(":container-instance/")[1].split("/")[0]].append(arn)
        for cluster, arns in clusters.items():
            for start in range(0, len(arns), AT_ONE_TIME):
                self._resolve_some(cluster, arns[start : start + AT_ONE_TIME])
        self._unresolved.clear()

    def _resolve_some(self, cluster: str, arns: Collection[str]) -> None:
        with told("describe container instances"):
            described = self._account.client("ecs").describe_container_instances(
                cluster=cluster, containerInstances=list(arns)
            )
        for one in described["containerInstances"]:
            self._attempts[one["ec2InstanceId"]] |= self._unresolved[one["containerInstanceArn"]]


def _ended_at(described: Mapping[str, Any]) -> datetime:
    """When it ended, which EC2 says in words and to the second; the present where it does not say."""
    if said := ENDED_AT.search(described.get("StateTransitionReason", "")):
        return datetime.fromisoformat(said[1]).replace(tzinfo=UTC)
    return datetime.now(UTC)
