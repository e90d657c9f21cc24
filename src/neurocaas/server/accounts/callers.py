"""As whom a request is answered: a session's user, or an API token's."""

from __future__ import annotations

from django.http import HttpRequest

from neurocaas.server.groups.scope import Caller, caller


def caller_of(request: HttpRequest) -> Caller | None:
    """The caller as deployed now, with the group they chose; None for nobody. Looked up once for each request."""
    known: Caller | None = getattr(request, "_caller", None)
    if known is None and request.user.is_authenticated:
        known = caller(request.user.username, request.GET.get("group") or request.user.current_group)
        request._caller = known  # type: ignore[attr-defined]
    return known
