"""What the group ran: the jobs, the newest first, narrowed by what is asked for."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from neurocaas.server.api import listing
from neurocaas.server.groups.models import Membership
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.models import Job
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.web.pages import page

AT_ONCE = 50
TEXT_CHARACTERS = 100
STATUSES = (Status.WAITING, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@page
def jobs(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The group's jobs; those that a page before did not show, after its `cursor`."""
    asked = {
        name: request.GET.get(name, "")[:TEXT_CHARACTERS].replace("\0", "")
        for name in ("status", "analysis", "user", "search")
    }
    if asked["status"] not in STATUSES:
        asked["status"] = ""
    if mine := "mine" in request.GET:
        asked["user"] = caller.user
    cursor = request.GET.get("cursor", "")[:200]
    found, following = listing.page(listing.narrowed(listed(caller), **asked), cursor, AT_ONCE)
    context: dict[str, Any] = {
        "rows": [
            {"job": one, "took": one.ended_at - one.started_at if one.ended_at and one.started_at else None}
            for one in found
        ],
        "next": following,
        "first": not cursor,
        "asked": asked,
        "mine": mine,
        "narrowed": any(asked.values()),
        "statuses": STATUSES,
        "users": _members(caller),
        "open": [one.id for one in found if one.status not in ENDED],
    }
    return render(request, "web/history/jobs.html", context)


def listed(caller: Caller) -> QuerySet[Job]:
    """The group's jobs, as rows of a list."""
    # Without what lists do not show, which may be long.
    return caller.own_jobs().defer("config", "points", "outputs")


def _members(caller: Caller) -> list[str]:
    found = Membership.objects.filter(group_id=caller.group).order_by("user")
    return list(found.values_list("user", flat=True))
