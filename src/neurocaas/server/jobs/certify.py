"""The facts of a job, from its rows to its signed certificate (paper §9.4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurocaas import __version__
from neurocaas.blueprint.version import BLUEPRINT_FILE
from neurocaas.certificate import SigningKey, as_text, seal
from neurocaas.environment.values import current_platform, image_platform
from neurocaas.reasons import Reason
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.delivered import Delivered, delivered
from neurocaas.server.jobs.models import Attempt, Job, Stack, Step
from neurocaas.server.jobs.status import Status
from neurocaas.server.jobs.view import timestamp
from neurocaas.settings import Settings
from neurocaas.storage import Store, keys


def certify(job: Job, status: Status, reason: Reason, *, settings: Settings, store: Store, key: SigningKey) -> None:
    """Write the job's certificate, as JSON and as text. Writing it again writes the same facts."""
    certificate = seal(facts(job, status, reason, settings), key)
    store.put(keys.certificate(job.group_id, job.id), json.dumps(certificate, ensure_ascii=False, indent=2).encode())
    store.put(keys.certificate_text(job.group_id, job.id), as_text(certificate).encode())


def facts(job: Job, status: Status, reason: Reason, settings: Settings) -> dict[str, Any]:
    """Everything that a certificate says, for a job that ends with this status."""
    attempts: dict[int, list[Attempt]] = {}
    for attempt in Attempt.objects.filter(stack__job=job).order_by("number"):
        attempts.setdefault(attempt.stack_id, []).append(attempt)
    stacks = list(job.stacks.select_related("step", "reused_from__step", "reused_from__job", "job").order_by("index"))
    files = delivered(stacks)
    return {
        "job": {
            "id": job.id,
            "group": job.group_id,
            "user": job.user,
            "price": job.price,
            "bound_dollars": str(ledger.dollars(job.bound_nanodollars)),
            "retry_of": job.retry_of_id,
            "submitted_at": timestamp(job.submitted_at),
            "started_at": timestamp(job.started_at),
            "ended_at": timestamp(job.ended_at),
            "status": status.value,
            "reason": reason.value,
        },
        "site": {"name": settings.site.name},
        "analysis": {
            "name": job.analysis,
            "version": job.version,
            "committed": bool(job.git_commit),
            "label": job.label,
            "git_commit": job.git_commit or None,
            "execution_digest": job.execution_digest,
        },
        "datasets": _datasets(stacks),
        "config": job.config,
        "sweep": job.points,
        "seed": job.seed,
        "timeout_minutes": job.timeout_minutes,
        "steps": [_step(step, settings) for step in job.steps.order_by("index")],
        "stacks": [_stack(stack, attempts.get(stack.pk, []), files.get(stack.pk)) for stack in stacks],
        "outputs": job.outputs,
        "cost_dollars": str(ledger.dollars(ledger.charged(job))),
        "software": {"neurocaas": __version__},
    }


def _step(step: Step, settings: Settings) -> dict[str, Any]:
    kind = _kind(settings.versions / step.version / BLUEPRINT_FILE)
    return {
        "name": step.name,
        "analysis": step.analysis,
        "version": step.version,
        "label": step.label,
        "execution_digest": step.execution_digest,
        "environment": {
            "kind": kind,
            "digest": step.environment_digest or None,
            "platform": current_platform() if kind == "python" else image_platform(),
        },
    }


def _kind(blueprint: Path) -> str:
    """The kind of environment that an unpacked version declares; a version that never ran need not be unpacked."""
    try:
        return str(json.loads(blueprint.read_bytes())["environment"]["kind"])
    except (OSError, ValueError, LookupError, TypeError):
        return "python"


def _datasets(stacks: Sequence[Stack]) -> list[dict[str, Any]]:
    """What was submitted, out of what the stacks took of it."""
    names: dict[int, str] = {}
    inputs: dict[int, dict[str, dict[str, Any]]] = {}
    for stack in stacks:
        names[stack.dataset_index] = stack.dataset
        for one in stack.inputs:
            if not one.get("from_stacks", []):
                name = one.get("submitted_as") or one["name"]
                inputs.setdefault(stack.dataset_index, {})[name] = _data(one) | {"name": name}
    return [{"name": names[index], "inputs": list(inputs.get(index, {}).values())} for index in sorted(names)]


def _stack(stack: Stack, attempts: list[Attempt], files: Delivered | None) -> dict[str, Any]:
    origin = stack.reused_from
    return {
        "index": stack.index,
        "step": stack.step.name,
        "label": stack.label,
        "dataset": stack.dataset,
        "folder": stack.folder,
        "status": stack.status,
        "reason": stack.reason,
        "message": stack.message,
        "inputs": [_input(one) for one in stack.inputs],
        "config": stack.config,
        "seed": stack.seed,
        "attempts": [_attempt(one, stack) for one in attempts],
        "outputs": files.outputs if files else [],
        "metrics": files.record.get("metrics", {}) if files else {},
        "reused_from": _origin(origin) if origin else None,
        "cost_dollars": str(ledger.dollars(sum(one.cost_nanodollars for one in attempts))),
    }


def _origin(stack: Stack) -> dict[str, Any]:
    return {"job": stack.job_id, "stack": stack.index, "environment": stack.step.environment_digest or None}


def _input(one: dict[str, Any]) -> dict[str, Any]:
    return _data(one) | {"from_stacks": one.get("from_stacks", [])}


def _data(one: dict[str, Any]) -> dict[str, Any]:
    facts = {key: one[key] for key in ("name", "filename", "sha256", "size_bytes")}
    return facts | {"form": "folder" if one["form"] == "folder" else "file"}


def _attempt(attempt: Attempt, stack: Stack) -> dict[str, Any]:
    exit_record = attempt.exit_record or {}
    return {
        "number": attempt.number,
        "reason": attempt.reason,
        "message": attempt.message,
        "started_at": exit_record.get("started_at") or timestamp(attempt.started_at),
        "ended_at": exit_record.get("ended_at") or timestamp(attempt.ended_at),
        "instance": {
            "provider": attempt.provider,
            "type": attempt.instance_type,
            "price": attempt.price,
            "vcpus": stack.need["vcpus"],
            "memory_mib": stack.need["memory_mib"],
            "gpus": stack.need["gpus"],
            "host": exit_record.get("host"),
        },
        "exit_code": exit_record.get("exit_code"),
        "sandbox": exit_record.get("sandbox"),
        "usage": exit_record.get("usage"),
        "cost_dollars": str(ledger.dollars(attempt.cost_nanodollars)),
    }
