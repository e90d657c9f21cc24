"""What may be done to a job from its page: cancel, run again, share, hand to the developers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from neurocaas.errors import Forbidden, NotFound, Refused
from neurocaas.server.accounts import audit
from neurocaas.server.api.files import certificate_of
from neurocaas.server.api.submitting import submit_once
from neurocaas.server.groups.deployed import check_access
from neurocaas.server.groups.models import Handover
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.cancel import cancel
from neurocaas.server.jobs.models import Job
from neurocaas.server.jobs.reproducing import prepare_again, read_facts
from neurocaas.server.jobs.retry import prepare_retry
from neurocaas.server.jobs.status import Status
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.pages import page

MOST_DAYS, NOTE_CHARACTERS = 90, 4000
Deed = Callable[[HttpRequest, Caller, str], Job]


@require_POST
@page
def act(request: HttpRequest, caller: Caller, job_id: str, deed: str) -> HttpResponse:
    """Do it, and show the job it is about: the same, or the new one."""
    if deed not in DEEDS:
        raise NotFound("There is no such page.")
    shown = DEEDS[deed](request, caller, job_id)
    return redirect("job", shown.id)


def _cancel(request: HttpRequest, caller: Caller, job_id: str) -> Job:
    job = caller.job(job_id, To.ACT)
    if cancel(job):
        daemon.wake(this_site().settings, daemon.CANCEL)
        messages.success(request, "The job is being cancelled: what runs is stopped, and what waits never starts.")
    else:
        messages.info(request, f"The job had {job.status} already.")
    return job


def _retry(request: HttpRequest, caller: Caller, job_id: str) -> Job:
    site, job = this_site(), caller.job(job_id, To.ACT)
    check_access(job.group_id, job.analysis)
    again = submit_once(site, request, caller, job.id, partial(prepare_retry, site, job, caller.user))
    messages.success(request, f"This job runs what did not succeed in {job.id}; all else is taken over from it.")
    return again


def _reproduce(request: HttpRequest, caller: Caller, job_id: str) -> Job:
    site, job = this_site(), caller.job(job_id, To.READ)
    if job.group_id not in caller.data_groups():
        raise Forbidden(f"The data of job {job.id} belongs to group {job.group_id}, which does not lend it to yours.")
    facts = read_facts(json.loads(certificate_of(site, job)))
    prepare = partial(prepare_again, site, facts, job, caller.require_group(), caller.user)
    again = submit_once(site, request, caller, job.id, prepare)
    messages.success(
        request, f"This job runs all of {job.id} anew, on the same data. Compare the two when it has ended."
    )
    return again


def _share(request: HttpRequest, caller: Caller, job_id: str) -> Job:
    job = caller.job(job_id, To.ACT)
    job.private = request.POST.get("private") == "yes"
    job.save(update_fields=["private"])
    _record("hid a job" if job.private else "showed a job", request, caller, job)
    seen = "Only who submitted it and the group's owners" if job.private else "All members of the group"
    messages.success(request, f"{seen} can see this job now.")
    return job


def _hand_over(request: HttpRequest, caller: Caller, job_id: str) -> Job:
    job = caller.job(job_id, To.ACT)
    if job.status not in {Status.FAILED, Status.CANCELLED}:
        raise Refused(f"Job {job.id} is {job.status}; one that failed or was cancelled can be handed over.")
    days, note = request.POST.get("days", ""), request.POST.get("note", "")
    if not (days.isdecimal() and len(days) < 4 and 1 <= int(days) <= MOST_DAYS):
        raise Refused(f"days: found {days[:20]!r}; a whole number from 1 to {MOST_DAYS} is right.")
    if len(note) > NOTE_CHARACTERS:
        raise Refused(f"note: found {len(note):,} characters; at most {NOTE_CHARACTERS:,} are right.")
    until = timezone.now() + timedelta(days=int(days))
    Handover.objects.update_or_create(job=job, defaults={"by": caller.user, "note": note, "until": until})
    _record("handed a job over", request, caller, job, days=int(days))
    messages.success(request, f"The developers of {job.analysis} can read this job until {until:%-d %B %Y}.")
    return job


def _take_back(request: HttpRequest, caller: Caller, job_id: str) -> Job:
    job = caller.job(job_id, To.ACT)
    Handover.objects.filter(job=job).delete()
    _record("took a job back", request, caller, job)
    messages.success(request, "The developers can't read this job any more.")
    return job


DEEDS: dict[str, Deed] = {
    "cancel": _cancel,
    "retry": _retry,
    "reproduce": _reproduce,
    "share": _share,
    "handover": _hand_over,
    "takeback": _take_back,
}


def _record(action: str, request: HttpRequest, caller: Caller, job: Job, **detail: int) -> None:
    audit.record(action, job.id, user=caller.user, group=job.group_id, request=request, **detail)
