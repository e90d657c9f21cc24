"""Back to the page that a form was on, which must be one of this site's."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme


def back(request: HttpRequest, otherwise: str = "home") -> HttpResponseRedirect:
    """To `next`; to the page called `otherwise` if that is left out or leads elsewhere."""
    url = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        url = resolve_url(otherwise)
    return HttpResponseRedirect(url)
