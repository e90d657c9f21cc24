"""What every page shows: the site's name, and who is signed in."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from neurocaas.server.accounts.callers import caller_of
from neurocaas.server.serving.wiring import this_site


def site_and_caller(request: HttpRequest) -> dict[str, Any]:
    """`site_name`, `caller` (None for nobody), `theme` (light, dark, or "" for the system's)."""
    theme = request.COOKIES.get("theme", "")
    return {
        "site_name": this_site().settings.site.name,
        "caller": caller_of(request) if hasattr(request, "user") else None,
        "theme": theme if theme in {"light", "dark"} else "",
    }
