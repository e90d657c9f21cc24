"""The operators' pages: how the site is, what runs, who uses it, what was spent, and who did what."""

from __future__ import annotations

import shutil
from datetime import timedelta

from django.core.paginator import Paginator
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from neurocaas.errors import Refused
from neurocaas.server.accounts.models import AuditEntry, User
from neurocaas.server.groups.models import Membership
from neurocaas.server.groups.scope import Caller
from neurocaas.server.hardware import reading
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.ledger import GROUP
from neurocaas.server.jobs.models import Account, Attempt, Group, Job
from neurocaas.server.jobs.status import LIVE, Status
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.pages import operator_page

AT_ONCE = 50
OPEN = (Status.WAITING, Status.LAUNCHING, Status.RUNNING)


@operator_page
def overview(request: HttpRequest, _caller: Caller) -> HttpResponse:
    """Health, open jobs, the instances that are held now, the groups' money."""
    site = this_site()
    live = Attempt.objects.filter(status__in=LIVE).select_related("stack__job", "stack__step").order_by("launched_at")
    week = timezone.now() - timedelta(days=7)
    rules = site.settings.site.hardware
    context = {
        "flagged": reading.accounts(reading.running(), rules, timezone.now(), flagged=True)[:AT_ONCE],
        "manager": daemon.leader(site.settings),
        "free_bytes": shutil.disk_usage(site.settings.state).free,
        "open_jobs": Job.objects.filter(status__in=OPEN).order_by("submitted_at")[:AT_ONCE],
        "counts": Job.objects.aggregate(
            open=Count("pk", filter=Q(status__in=OPEN)),
            week=Count("pk", filter=Q(submitted_at__gt=week)),
            failed=Count("pk", filter=Q(submitted_at__gt=week, status=Status.FAILED)),
        ),
        "instances": live[:AT_ONCE],
        "live": live.count(),
        "money": Account.objects.filter(user=GROUP).aggregate(
            held=Sum("held_nanodollars"), spent=Sum("spent_nanodollars")
        ),
    }
    return render(request, "web/operator/overview.html", context)


@operator_page
def jobs(request: HttpRequest, _caller: Caller) -> HttpResponse:
    """Every job of the site: that it ran, and how it went; not what was in it."""
    found = Job.objects.order_by("-submitted_at", "-pk")
    if status := request.GET.get("status", ""):
        found = found.filter(status=status)
    if group := request.GET.get("of", ""):
        found = found.filter(group_id=group)
    context = {"page": Paginator(found, AT_ONCE).get_page(request.GET.get("page")), "statuses": Status.values}
    return render(request, "web/operator/jobs.html", context | {"status": status, "of": group})


@operator_page
def groups(request: HttpRequest, _caller: Caller) -> HttpResponse:
    """Every group with its members, money and staged data."""
    members = dict(Membership.objects.values_list("group_id").annotate(Count("pk")).order_by())
    accounts = {one.group_id: one for one in Account.objects.filter(user=GROUP)}
    rows = Paginator(Group.objects.order_by("name"), AT_ONCE).get_page(request.GET.get("page"))
    context = {
        "page": rows,
        "groups": [
            {"group": one, "members": members.get(one.name, 0), "account": accounts.get(one.name)} for one in rows
        ],
    }
    return render(request, "web/operator/groups.html", context)


@operator_page
def users(request: HttpRequest, _caller: Caller) -> HttpResponse:
    """Every account with the groups it belongs to."""
    rows = Paginator(User.objects.order_by("username"), AT_ONCE).get_page(request.GET.get("page"))
    belong: dict[str, list[str]] = {}
    for one in Membership.objects.filter(user__in=[row.username for row in rows]).order_by("group_id"):
        belong.setdefault(one.user, []).append(f"{one.group_id} ({one.role})")
    context = {"page": rows, "users": [{"user": one, "groups": belong.get(one.username, [])} for one in rows]}
    return render(request, "web/operator/users.html", context)


@operator_page
def audit_log(request: HttpRequest, _caller: Caller) -> HttpResponse:
    """Who signed in, granted, deleted; the newest first."""
    entries = AuditEntry.objects.order_by("-at", "-pk")
    if user := request.GET.get("user", ""):
        entries = entries.filter(user=user)
    context = {"page": Paginator(entries, AT_ONCE).get_page(request.GET.get("page")), "user_asked": user}
    return render(request, "web/operator/audit.html", context)


@operator_page
def hardware(request: HttpRequest, _caller: Caller) -> HttpResponse:
    """Every instance, measured; what was idle; what is wrong."""
    now, asked, flagged = timezone.now(), request.GET.get("since") or "7d", bool(request.GET.get("flagged"))
    rules = this_site().settings.site.hardware
    try:
        found = reading.accounts(reading.since(reading.moment(asked, now)), rules, now, flagged=flagged)
    except Refused as refused:
        found, message = [], refused.message
    else:
        message = ""
    context = {
        "page": Paginator(found, AT_ONCE).get_page(request.GET.get("page")),
        "totals": reading.totals(found),
        "since": asked,
        "flagged": flagged,
        "message": message,
        "rules": rules,
    }
    return render(request, "web/operator/hardware.html", context, status=422 if message else 200)


@operator_page
def hardware_table(_request: HttpRequest, _caller: Caller) -> HttpResponse:
    """The same as comma-separated values, for as long as records go back."""
    now = timezone.now()
    table = reading.as_csv(reading.accounts(reading.since(), this_site().settings.site.hardware, now))
    return HttpResponse(
        table,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="hardware-{now:%Y-%m-%d}.csv"'},
    )
