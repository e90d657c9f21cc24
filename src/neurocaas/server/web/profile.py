"""A user's own page: who they are here, and how they are told that a job has ended."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from neurocaas.server.accounts.models import AuditEntry, User
from neurocaas.server.groups.scope import Caller
from neurocaas.server.web.pages import page

ENTRIES = 10


@page
def profile(request: HttpRequest, caller: Caller) -> HttpResponse:
    """User id, address, groups, second factor, and what happened to the account lately."""
    context = {
        "user": User.objects.get(username=caller.user),
        "roles": sorted(caller.roles.items()),
        "entries": AuditEntry.objects.filter(user=caller.user).order_by("-at")[:ENTRIES],
    }
    return render(request, "web/profile.html", context)
