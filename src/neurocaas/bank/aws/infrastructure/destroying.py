"""Take a site's stack down. People's data stays, unless it is said that it is to go too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.infrastructure import access_keys
from neurocaas.bank.aws.infrastructure.formation import Stack
from neurocaas.bank.aws.stack import STACK_TAG
from neurocaas.errors import NotNow
from neurocaas.settings import AwsSettings

ALIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


@dataclass(frozen=True, kw_only=True)
class Destroyed:
    """stack: whether there was one. kept: the buckets that still hold data. emptied: those that were deleted."""

    stack: bool
    kept: tuple[str, ...]
    emptied: tuple[str, ...] = ()


def standing(account: Account, aws: AwsSettings) -> Destroyed:
    """What `destroy` would find: whether there is a stack, and the buckets that it would keep. Only reads."""
    with told("show what is deployed"):
        deployed = Stack(account, aws.stack).status() is not None
        return Destroyed(stack=deployed, kept=tuple(_buckets(account, aws.stack)))


def destroy(account: Account, aws: AwsSettings, *, with_data: bool = False) -> Destroyed:
    """Remove everything of the site's from the account but its buckets; with `with_data` those too, whatever they hold.

    A second time finds nothing to do. Raises NotNow while jobs are in the stack's queues, or it is being changed.
    """
    with told(f"destroy the stack {aws.stack}"):
        stack = Stack(account, aws.stack)
        stack.require_quiet()
        there = stack.status() is not None
        if there:
            _require_idle(account.client("batch"), aws.stack)
        # CloudFormation can't remove users that have keys, nor what the site registered with Batch by itself.
        access_keys.withdraw_all(account, aws.stack)
        _deregister(account.client("batch"), aws.stack)
        stack.delete()
        found = tuple(_buckets(account, aws.stack))
        if not with_data:
            return Destroyed(stack=there, kept=found)
        for bucket in found:
            _empty(account.client("s3"), bucket)
        return Destroyed(stack=there, kept=(), emptied=found)


def _require_idle(batch: Any, stack: str) -> None:
    pages = batch.get_paginator("describe_job_queues").paginate()
    queues = [one["jobQueueName"] for page in pages for one in page["jobQueues"]]
    alive = sum(
        len(batch.list_jobs(jobQueue=queue, jobStatus=status)["jobSummaryList"])
        for queue in queues
        if queue.startswith(f"{stack}-")
        for status in ALIVE
    )
    if alive:
        jobs = "1 job is" if alive == 1 else f"{alive} jobs are"
        raise NotNow(
            f"{jobs} still in the queues of the stack {stack}.",
            remedy="Wait for them, or cancel them: neurocaas jobs, neurocaas cancel",
        )


def _deregister(batch: Any, stack: str) -> None:
    pages = batch.get_paginator("describe_job_definitions").paginate(status="ACTIVE")
    found = [one for page in pages for one in page["jobDefinitions"]]
    for one in found:
        if one["jobDefinitionName"].startswith(f"{stack}-"):
            batch.deregister_job_definition(jobDefinition=one["jobDefinitionArn"])


def _buckets(account: Account, stack: str) -> Iterator[str]:
    """Buckets with the stack's tag: a name alone would not prove whose they are."""
    from botocore.exceptions import ClientError

    s3 = account.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith(f"{stack}-"):
            try:
                tags = s3.get_bucket_tagging(Bucket=bucket["Name"])["TagSet"]
            except ClientError:
                continue  # untagged
            if {"Key": STACK_TAG, "Value": stack} in tags:
                yield bucket["Name"]


def _empty(s3: Any, bucket: str) -> None:
    """Delete everything in the bucket, older versions and markers of deletion too, and the bucket."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if listed:
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for one in page.get("Uploads", ()):
            s3.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
    s3.delete_bucket(Bucket=bucket)
