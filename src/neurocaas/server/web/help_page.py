"""The help page: from recordings to results, what each state means and what to do about it, and who sees what."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from neurocaas.reasons import REMEDY
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.pages import open_page


@open_page
def help_page(request: HttpRequest) -> HttpResponse:
    """For everybody, signed in or not."""
    reasons = [(reason.replace("_", " ").lower(), remedy) for reason, remedy in REMEDY.items() if remedy]
    context = {"reasons": reasons, "url": this_site().settings.site.web.url}
    return render(request, "web/help.html", context)
