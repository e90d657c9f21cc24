"""What those who run the site see of all of it. For others these addresses do not exist."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.db.models import Count, Q
from django.http import HttpRequest, JsonResponse
from ninja import Query, Router

from neurocaas.client.documents import Answer, JobSummary, Page
from neurocaas.server.accounts.models import User
from neurocaas.server.api import listing
from neurocaas.server.api.answers import answers, asking
from neurocaas.server.api.authentication import MANAGING
from neurocaas.server.groups.models import Membership
from neurocaas.server.hardware import reading
from neurocaas.server.jobs.models import Group
from neurocaas.server.jobs.view import summary, timestamp
from neurocaas.server.serving.wiring import this_site

router = Router(tags=["operator"])
After = Annotated[str, Query(max_length=100, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200)]
Text = Annotated[str, Query(max_length=100)]


class GroupSummary(Answer):
    group: str
    members: int
    owners: int
    jobs: int


class UserSummary(Answer):
    user: str
    groups: tuple[str, ...]
    active: bool
    joined_at: str | None
    signed_in_at: str | None


class OperatorJob(JobSummary):
    group: str


class InstanceFlag(Answer):
    flag: str
    message: str


class InstanceFacts(Answer):
    """One instance, to the millisecond. idle: what no attempt used, which the site bears."""

    instance: str
    provider: str
    type: str
    price: str
    dollars_per_hour: str
    started_at: str
    ended_at: str | None
    reason: str
    attempts: tuple[str, ...]
    seconds: float
    idle_seconds: float
    cost_dollars: str
    idle_dollars: str
    flags: tuple[InstanceFlag, ...]


class InstanceTotals(Answer):
    instances: int
    running: int
    flagged: int
    seconds: float
    idle_seconds: float
    cost_dollars: str
    idle_dollars: str


class Hardware(Answer):
    """Instances, the latest first, as many as were asked for; and the sums over all."""

    instances: tuple[InstanceFacts, ...]
    totals: InstanceTotals


@router.get("/jobs", auth=MANAGING, response=answers(Page[OperatorJob]))
def all_jobs(
    request: HttpRequest,
    cursor: Annotated[str, Query(max_length=200)] = "",
    status: Literal["", "waiting", "running", "succeeded", "failed", "cancelled"] = "",
    group: Text = "",
    user: Text = "",
    limit: Limit = 50,
) -> JsonResponse:
    """The jobs of all groups, the newest first: not their configs, data or results."""
    caller = asking(request)
    caller.require_operator()
    jobs = listing.narrowed(caller.jobs(), status=status, analysis="", user=user, search="")
    page, following = listing.page(jobs.filter(group_id=group) if group else jobs, cursor, limit)
    return JsonResponse({"items": [summary(job) | {"group": job.group_id} for job in page], "next": following})


@router.get("/groups", auth=MANAGING, response=answers(Page[GroupSummary]))
def all_groups(request: HttpRequest, cursor: After = "", limit: Limit = 50) -> dict[str, Any]:
    """All groups."""
    asking(request).require_operator()
    owners = Count("memberships", distinct=True, filter=Q(memberships__role="owner"))
    rows = (
        Group.objects.filter(pk__gt=cursor)
        .order_by("pk")
        .annotate(members=Count("memberships", distinct=True), owners=owners, jobs=Count("job", distinct=True))
    )
    found = list(rows[: limit + 1])
    items = [{"group": one.pk, "members": one.members, "owners": one.owners, "jobs": one.jobs} for one in found[:limit]]
    return {"items": items, "next": items[-1]["group"] if len(found) > limit else None}


@router.get("/users", auth=MANAGING, response=answers(Page[UserSummary]))
def all_users(request: HttpRequest, cursor: After = "", limit: Limit = 50) -> dict[str, Any]:
    """All users, by user id."""
    asking(request).require_operator()
    found = list(User.objects.filter(username__gt=cursor).order_by("username")[: limit + 1])
    names = [one.username for one in found[:limit]]
    groups: dict[str, list[str]] = {name: [] for name in names}
    for user, group in Membership.objects.filter(user__in=names).order_by("group_id").values_list("user", "group_id"):
        groups[user].append(group)
    items = [
        {
            "user": one.username,
            "groups": groups[one.username],
            "active": one.is_active,
            "joined_at": timestamp(one.date_joined),
            "signed_in_at": timestamp(one.last_login),
        }
        for one in found[:limit]
    ]
    return {"items": items, "next": names[-1] if len(found) > limit else None}


@router.get("/hardware", auth=MANAGING, response=answers(Hardware))
def all_instances(
    request: HttpRequest,
    since: Annotated[str, Query(max_length=40, description="24h, 7d, or a date or time of ISO 8601.")] = "7d",
    flagged: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """The instances that ran since then, measured; with `flagged`, those with which something is wrong."""
    asking(request).require_operator()
    now, rules = datetime.now(UTC), this_site().settings.site.hardware
    found = reading.accounts(reading.since(reading.moment(since, now)), rules, now, flagged=flagged)
    return {
        "instances": [reading.as_facts(one) for one in found[:limit]],
        "totals": reading.as_sums(reading.totals(found)),
    }
