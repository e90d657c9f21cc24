"""The first page: what the site is for those who are new, what they were at for those who are not."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from neurocaas.server.accounts.callers import page_caller
from neurocaas.server.catalogue.listing import listed
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.pages import open_page

JOBS, ANALYSES = 6, 6


@open_page
def home(request: HttpRequest) -> HttpResponse:
    caller = page_caller(request)
    analyses = listed(this_site(), caller)
    shown = {"analyses": analyses[:ANALYSES], "more": max(0, len(analyses) - ANALYSES)}
    if caller is not None:
        shown["jobs"] = caller.own_jobs().order_by("-submitted_at")[:JOBS] if caller.group else []
    return render(request, "web/home.html", shown)
