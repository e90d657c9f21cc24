"""From a waiting stack to a running attempt: claim, act outside the transaction, record."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from neurocaas.bank import Launch, Placement, Supplier
from neurocaas.blueprint import Need, Version
from neurocaas.environment import Environment
from neurocaas.protocol import DataRef
from neurocaas.runner import document
from neurocaas.runner.checkpoint import last_checkpoint
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.carrying import Carried
from neurocaas.server.jobs.models import Attempt, Price, Stack
from neurocaas.server.jobs.status import Status, advance
from neurocaas.storage import Store, keys

PROCESSES_PER_CORE = 256
# How often a runner looks whether it may go on, and says that it lives as long as its log is young (supervision.py).
# In a bucket each look costs money; a cancelled attempt is told by its provider before it looks.
HEARTBEAT_SECONDS = 2.0
HEARTBEAT_IN_A_BUCKET_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What all stacks of one analysis version share: its files and its environment, here and on other machines."""

    version: Version
    folder: Path
    environment: Environment
    carried: Carried


def prefix(attempt: Attempt) -> str:
    """The key prefix below which the attempt, and nothing else, writes."""
    job = attempt.stack.job
    return keys.attempt(job.group_id, job.id, attempt.stack.index, attempt.number)


def prefixes(attempt: Attempt) -> list[str]:
    """Those of the attempt and of all before it on its stack, newest first."""
    job, index = attempt.stack.job, attempt.stack.index
    return [keys.attempt(job.group_id, job.id, index, number) for number in range(attempt.number, 0, -1)]


def work_folder(root: Path, attempt: Attempt) -> Path:
    return root / f"{attempt.stack.job_id}-{attempt.stack.index}-{attempt.number}"


def claim(stack: Stack, placement: Placement, at: datetime) -> Attempt:
    """Make the next attempt of a waiting stack, so that no other process launches it too.

    Its price is that of this moment, but never more than the job was admitted at.
    """
    price = min(ledger.nanodollars(placement.price_per_hour), stack.price_nanodollars_per_hour)
    job = stack.job
    with transaction.atomic():
        advance(stack, to=Status.LAUNCHING, at=at, attempts_made=stack.attempts_made + 1, progress=0, note="")
        if job.status == Status.WAITING:
            advance(job, to=Status.RUNNING, at=at)
        return Attempt.objects.create(
            stack=stack,
            number=stack.attempts_made,
            token=secrets.token_hex(16),
            provider=placement.instance_type.provider,
            instance_type=placement.instance_type.name,
            price=Price.SAVE if placement.save else Price.STANDARD,
            price_nanodollars_per_hour=price,
            launched_at=at,
        )


def launch(
    attempt: Attempt, placement: Placement, prepared: Prepared, store: Store, provider: Supplier, work_root: Path
) -> str:
    """Give the attempt its lease and start its runner. Returns the allocation's handle. Raises NoCapacity."""
    store.put(keys.lease(prefix(attempt)), json.dumps({"token": attempt.token}).encode())
    work = work_folder(work_root, attempt)
    request = Launch(
        attempt=attempt.name,
        work=work,
        document=_document(attempt, prepared, store, work).model_dump(mode="json"),
        need=Need(**attempt.stack.need),
        placement=placement,
    )
    return provider.launch(request)


def record(attempt: Attempt, handle: str, at: datetime) -> None:
    """The attempt runs on this allocation."""
    with transaction.atomic():
        advance(attempt, to=Status.RUNNING, at=at, handle=handle)
        advance(attempt.stack, to=Status.RUNNING, at=at)


def revoke(attempt: Attempt, store: Store) -> None:
    """Take the attempt's lease away: its runner stops, and one that has not begun yet never will."""
    store.delete(keys.lease(prefix(attempt)))


def _document(attempt: Attempt, prepared: Prepared, store: Store, work: Path) -> document.AttemptDocument:
    stack = attempt.stack
    need, blueprint, environment = Need(**stack.need), prepared.version.blueprint, prepared.environment
    workflow = blueprint.own_workflow
    return document.AttemptDocument(
        attempt=attempt.name,
        token=attempt.token,
        store=store.url,
        prefix=prefix(attempt),
        work=work,
        inputs=tuple(_inputs(DataRef(**one) for one in stack.inputs)),
        config=stack.config,
        seed=stack.seed,
        workflow=document.Workflow(
            files=prepared.folder,
            archive=keys.version_archive(prepared.version.name, prepared.version.digest),
            command=workflow.command,
            checks=tuple(one.check for one in blueprint.inputs.values() if one.check),
            network=workflow.network,
            checkpoints=workflow.checkpoints,
        ),
        outputs=tuple(
            document.Output(name=name, pattern=one.pattern, required=one.required)
            for name, one in blueprint.outputs.items()
        ),
        metrics=tuple(
            document.Metric(name=name, pattern=blueprint.outputs[one.output].pattern, pointer=one.pointer)
            for name, one in blueprint.metrics.items()
        ),
        environment=document.AttemptEnvironment(
            digest=environment.digest,
            image=prepared.carried.image,
            engine=prepared.carried.engine,
            mounts=tuple(
                document.EnvironmentMount(
                    source=one.source, target=one.target, archive=prepared.carried.archives.get(one.target, "")
                )
                for one in environment.mounts
            ),
            variables=environment.variables,
            path=environment.path,
        ),
        resources=document.Resources(
            vcpus=need.vcpus,
            memory_mib=need.memory_mib,
            storage_mib=need.storage_mib,
            processes=PROCESSES_PER_CORE * need.vcpus,
        ),
        timeout_seconds=stack.step.timeout_seconds,
        heartbeat_seconds=HEARTBEAT_SECONDS if store.local_path(prefix(attempt)) else HEARTBEAT_IN_A_BUCKET_SECONDS,
        checkpoint=last_checkpoint(store, prefixes(attempt)[1:]) if workflow.checkpoints else None,
    )


def _inputs(references: Iterable[DataRef]) -> Iterable[document.Input]:
    for one in references:
        yield document.Input(
            name=one.name,
            form="folder" if one.form == "folder" else "file",
            filename=one.filename,
            path=Path(one.path) if one.path else None,
            key=one.key,
            parts=tuple(document.Part(path=part.path, key=part.key) for part in one.parts),
            sha256=one.sha256,
            size_bytes=one.size_bytes,
            fingerprint=one.fingerprint,
        )
