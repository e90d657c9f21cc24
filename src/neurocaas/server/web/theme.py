"""Light, dark, or as the system has it, for browsers without JavaScript: `theme.js` does the same at once."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from neurocaas.server.web.going_back import back

THEMES = ("light", "dark")
YEAR_SECONDS = 365 * 24 * 3600


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep the choice in a cookie and go back to the page (`next`, which must be one of this site's)."""
    answer = back(request)
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        answer.set_cookie("theme", theme, max_age=YEAR_SECONDS, samesite="Lax", secure=request.is_secure())
    else:
        answer.delete_cookie("theme")
    return answer
