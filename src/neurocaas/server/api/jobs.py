"""Jobs: quoted, submitted, listed, looked into, and what may be done to them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

from django.http import HttpRequest, JsonResponse
from ninja import Query, Router, Status
from pydantic import Field

from neurocaas.client.documents import (
    Cancelled,
    JobDescription,
    JobSummary,
    Page,
    QuoteDocument,
    StackDescription,
    SubmissionDocument,
)
from neurocaas.documents import Document
from neurocaas.errors import Forbidden, Refused
from neurocaas.server.accounts import audit
from neurocaas.server.api import listing
from neurocaas.server.api.answers import JobId, answers, asking
from neurocaas.server.api.files import certificate_of
from neurocaas.server.api.submitting import KEY_HEADER, submit_once
from neurocaas.server.groups.deployed import check_access
from neurocaas.server.groups.models import Handover
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.jobs.cancel import cancel
from neurocaas.server.jobs.deleting import delete_job
from neurocaas.server.jobs.models import Attempt, Job
from neurocaas.server.jobs.quoting import as_json, quote
from neurocaas.server.jobs.reproducing import prepare_again, read_facts
from neurocaas.server.jobs.retry import prepare_retry
from neurocaas.server.jobs.status import ENDED
from neurocaas.server.jobs.submit import Request, prepare
from neurocaas.server.jobs.view import described_stacks, description, summary
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.uploads.staging import stage_items

MOST_STACKS = 200
router = Router(tags=["jobs"])
Cursor = Annotated[str, Query(max_length=200, description="`next` of the page before.")]
Text = Annotated[str, Query(max_length=100)]
KEY_PARAMETER = {
    "parameters": [
        {
            "in": "header",
            "name": KEY_HEADER,
            "required": False,
            "schema": {"type": "string", "maxLength": 200},
            "description": "Of the client's own making: asked again under the same key, the same job is answered.",
        }
    ]
}


class SharingDocument(Document):
    """private: only its user and the group's owners see the job."""

    private: bool


class HandoverDocument(Document):
    """For so many days the developers of the job's analysis may read it: inputs, config, logs, results."""

    days: Annotated[int, Field(ge=1, le=90)] = 14
    note: Annotated[str, Field(max_length=4000)] = ""


@router.post("/quotes", response=answers(QuoteDocument))
def quote_job(request: HttpRequest, body: SubmissionDocument) -> JsonResponse:
    """What a job will take and cost; starts and holds nothing."""
    return JsonResponse(as_json(quote(this_site(), _prepared(asking(request), body))))


@router.post("/jobs", response=answers(JobDescription, 201), openapi_extra=KEY_PARAMETER)
def submit_job(request: HttpRequest, body: SubmissionDocument) -> JsonResponse:
    """Submit a job. It is admitted, with its cost held, or refused with nothing started."""
    caller = asking(request)
    asked = body.model_dump(mode="json")
    return _created(submit_once(this_site(), request, caller, asked, partial(_prepared, caller, body)))


@router.get("/jobs", response=answers(Page[JobSummary]))
def list_jobs(
    request: HttpRequest,
    cursor: Cursor = "",
    status: Literal["", "waiting", "running", "succeeded", "failed", "cancelled"] = "",
    analysis: Text = "",
    user: Text = "",
    search: Text = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JsonResponse:
    """The group's jobs, the newest first. search: in their ids, analyses, users and messages."""
    jobs = listing.narrowed(asking(request).own_jobs(), status=status, analysis=analysis, user=user, search=search)
    page, following = listing.page(jobs, cursor, limit)
    return JsonResponse({"items": [summary(job) for job in page], "next": following})


@router.get("/jobs/{job_id}", response=answers(JobDescription))
def get_job(request: HttpRequest, job_id: JobId) -> JsonResponse:
    """Everything about a job."""
    return JsonResponse(description(asking(request).job(job_id)))


@router.get("/jobs/{job_id}/stacks", response=answers(Page[StackDescription]))
def list_stacks(
    request: HttpRequest,
    job_id: JobId,
    cursor: Annotated[int, Query(ge=0, le=2_000_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_STACKS)] = 50,
) -> JsonResponse:
    """The stacks of a job, from the index `cursor` on."""
    job = asking(request).job(job_id)
    chosen = job.stacks.select_related("job", "step", "reused_from").filter(index__gte=cursor).order_by("index")
    stacks = list(chosen[: limit + 1])
    following = str(stacks[limit].index) if len(stacks) > limit else None
    attempts = Attempt.objects.filter(stack__in=[one.pk for one in stacks[:limit]])
    return JsonResponse({"items": described_stacks(stacks[:limit], attempts), "next": following})


@router.post("/jobs/{job_id}/cancel", response=answers(Cancelled))
def cancel_job(request: HttpRequest, job_id: JobId) -> dict[str, Any]:
    """Cancel a job: what runs is stopped, what waits never starts, what has ended stays. Asking again is harmless."""
    job = asking(request).job(job_id, To.ACT)
    cancelled = cancel(job)
    daemon.wake(this_site().settings, daemon.CANCEL)
    return {"job": job.id, "cancelled": cancelled}


@router.post("/jobs/{job_id}/retry", response=answers(JobDescription, 201), openapi_extra=KEY_PARAMETER)
def retry_job(request: HttpRequest, job_id: JobId) -> JsonResponse:
    """Run again what failed or was cancelled, and nothing else, as a new job that takes over the rest."""
    caller, site = asking(request), this_site()
    job = caller.job(job_id, To.ACT)
    check_access(job.group_id, job.analysis)
    return _created(submit_once(site, request, caller, job.id, lambda: prepare_retry(site, job, caller.user)))


@router.post("/jobs/{job_id}/share", response=answers(JobSummary))
def share_job(request: HttpRequest, job_id: JobId, body: SharingDocument) -> JsonResponse:
    """Hide a job from the other members of its group, owners apart, or let them see it again."""
    caller = asking(request)
    job = caller.job(job_id, To.ACT)
    job.private = body.private
    job.save(update_fields=["private"])
    _audit("hid a job" if body.private else "showed a job", request, caller, job)
    return JsonResponse(summary(job))


@router.post("/jobs/{job_id}/handover", response=answers(None, 204))
def hand_job_over(request: HttpRequest, job_id: JobId, body: HandoverDocument) -> Status[None]:
    """Let the developers of the analysis read a job that did not succeed, for a while."""
    caller = asking(request)
    job = caller.job(job_id, To.ACT)
    if job.status not in ENDED or job.status == "succeeded":
        raise Refused(f"Job {job.id} is {job.status}; one that failed or was cancelled can be handed over.")
    until = datetime.now(UTC) + timedelta(days=body.days)
    Handover.objects.update_or_create(job=job, defaults={"by": caller.user, "note": body.note, "until": until})
    _audit("handed a job over", request, caller, job, days=body.days)
    return Status(204, None)


@router.delete("/jobs/{job_id}/handover", response=answers(None, 204))
def take_job_back(request: HttpRequest, job_id: JobId) -> Status[None]:
    """End a handover. Quiet if there is none."""
    caller = asking(request)
    job = caller.job(job_id, To.ACT)
    Handover.objects.filter(job=job).delete()
    _audit("took a job back", request, caller, job)
    return Status(204, None)


@router.delete("/jobs/{job_id}", response=answers(None, 204))
def remove_job(request: HttpRequest, job_id: JobId) -> Status[None]:
    """Delete a job that has ended, with its results and logs. What it cost stays in the ledger."""
    caller = asking(request)
    job = caller.job(job_id, To.ACT)
    delete_job(this_site().store, job)
    _audit("deleted a job", request, caller, job)
    return Status(204, None)


@router.post("/jobs/{job_id}/reproduce", response=answers(JobDescription, 201), openapi_extra=KEY_PARAMETER)
def reproduce_job(request: HttpRequest, job_id: JobId) -> JsonResponse:
    """Run again what the job's certificate certifies, on the same data, all of it anew, as a job of your group."""
    caller, site = asking(request), this_site()
    job = caller.job(job_id, To.READ)
    if job.group_id not in caller.data_groups():
        raise Forbidden(f"The data of job {job.id} belongs to group {job.group_id}, which does not lend it to yours.")
    facts = read_facts(json.loads(certificate_of(site, job)))
    again = partial(prepare_again, site, facts, job, caller.require_group(), caller.user)
    return _created(submit_once(site, request, caller, job.id, again))


def _prepared(caller: Caller, body: SubmissionDocument) -> Admissible:
    """The job that the document asks for, its data looked for in the caller's group and those that lend it theirs."""
    group = caller.require_group()
    asked = body.model_dump()
    return prepare(
        this_site(), Request(group=group, user=caller.user, **asked), partial(stage_items, caller.data_groups())
    )


def _created(job: Job) -> JsonResponse:
    return JsonResponse(description(job), status=201, headers={"Location": f"/api/v1/jobs/{job.id}"})


def _audit(action: str, request: HttpRequest, caller: Caller, job: Job, **detail: Any) -> None:
    audit.record(action, job.id, user=caller.user, group=job.group_id, request=request, **detail)
