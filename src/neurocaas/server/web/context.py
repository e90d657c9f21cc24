"""What every page shows: the site's name, and who is signed in."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest

from neurocaas.server.accounts.callers import page_caller
from neurocaas.server.groups.scope import Caller
from neurocaas.server.serving.wiring import this_site


def site_and_caller(request: HttpRequest) -> dict[str, Any]:
    """`site_name`, `site_url`, `caller` (None for nobody), `theme` (light, dark, or "" for the system's)."""
    theme = request.COOKIES.get("theme", "")
    return {
        "site_name": this_site().settings.site.name,
        "site_url": this_site().settings.site.web.url,
        "caller": _caller(request),
        "theme": theme if theme in {"light", "dark"} else "",
    }


def _caller(request: HttpRequest) -> Caller | None:
    try:
        return page_caller(request) if hasattr(request, "user") else None
    except SuspiciousOperation:  # the page that refuses such a request can't read it either
        return None
