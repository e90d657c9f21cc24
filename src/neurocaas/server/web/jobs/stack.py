"""The page of one stack: its live log, what it uses, its attempts, parameters and inputs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from neurocaas.errors import NotFound
from neurocaas.reasons import REMEDY, Reason
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.jobs.output import Output, readable
from neurocaas.server.web.jobs.values import flat
from neurocaas.server.web.pages import page

MOST_INPUTS = 100
BIG = 2**31


@page
def stack(request: HttpRequest, caller: Caller, job_id: str, index: int) -> HttpResponse:
    """A stack; of its attempts the newest, or the one that `?attempt=` says."""
    found = stack_of(caller.job(job_id, To.READ), index)
    attempts = attempts_of(found)
    chosen = _chosen(attempts, request.GET.get("attempt", ""))
    output = Output.of(this_site().store, found, chosen.number) if chosen else None
    text = readable(output.end()) if output else ""
    context = about(found, attempts) | {
        "chosen": chosen,
        "named": bool(request.GET.get("attempt")),
        "log": text,
        "cut": output.cut if output else False,
        "after": output.after if output else -1,
        "charts": output.charts() if output else {},
        "config": flat(found.config),
        "inputs": found.inputs[:MOST_INPUTS],
        "more_inputs": max(0, len(found.inputs) - MOST_INPUTS),
    }
    return render(request, "web/job/stack.html", context)


def stack_of(job: Job, index: int) -> Stack:
    """The job's stack. Raises NotFound."""
    rows = job.stacks.select_related("step", "job", "reused_from__job")
    found = rows.filter(index=index).first() if index < BIG else None
    if found is None:
        raise NotFound(f"There is no stack {index} in job {job.id}.")
    return found


def attempts_of(found: Stack) -> list[Attempt]:
    """The attempts of the stack that ran: this one, or the earlier one whose results it took."""
    return list(Attempt.objects.filter(stack=found.origin).order_by("number"))


def about(found: Stack, attempts: list[Attempt]) -> dict[str, Any]:
    """What changes of the stack while it runs, log and usage apart."""
    now = timezone.now()
    return {
        "job": found.job,
        "stack": found,
        "name": found.name,
        "over": found.status in ENDED,
        "remedy": REMEDY[Reason(found.reason)] if found.status != Status.SUCCEEDED else "",
        "takes": (found.ended_at or now) - found.started_at if found.started_at else None,
        "attempts": [
            {
                "attempt": one,
                "takes": (one.ended_at or now) - (one.started_at or one.launched_at),
                "exit_code": (one.exit_record or {}).get("exit_code"),
                "peak_memory_bytes": ((one.exit_record or {}).get("usage") or {}).get("peak_memory_bytes"),
            }
            for one in attempts
        ],
    }


def _chosen(attempts: list[Attempt], asked: str) -> Attempt | None:
    if not asked:
        return attempts[-1] if attempts else None
    for one in attempts:
        if str(one.number) == asked:
            return one
    raise NotFound(f"There is no attempt {asked[:20]!r} of this stack.")
