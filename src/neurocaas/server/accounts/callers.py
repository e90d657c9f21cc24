"""As whom a request is answered: a session's user, or an API token's."""

from __future__ import annotations

from django.http import HttpRequest

from neurocaas.errors import NotFound
from neurocaas.server.accounts import tokens
from neurocaas.server.accounts.models import Token, User
from neurocaas.server.groups.scope import Caller, caller

GROUP_HEADER = "X-NeuroCAAS-Group"
SCHEME = "bearer "


def caller_of(request: HttpRequest) -> Caller | None:
    """The caller as deployed now, with the group they chose; None for nobody. Looked up once for each request."""
    known: Caller | None = getattr(request, "_caller", None)
    if known is None:
        user = user_of(request)
        if user is not None:
            known = caller(user.username, named_group(request) or user.current_group)
            request._caller = known  # type: ignore[attr-defined]
    return known


def page_caller(request: HttpRequest) -> Caller | None:
    """The same for a page. An API token opens none: it has a scope, to which only the API can hold it."""
    return None if bearer(request) else caller_of(request)


def api_caller(request: HttpRequest) -> Caller | None:
    """The same for a program, whom another group than the one it named would only surprise. Raises NotFound."""
    found, named = caller_of(request), named_group(request)
    if found is not None and named and found.group != named:
        raise NotFound(
            f"group: found {named[:80]!r}; one of {', '.join(found.groups) or 'yours, once there is any,'} is right."
        )
    return found


def user_of(request: HttpRequest) -> User | None:
    """Whose token the request shows, or, if it shows none, whose session it belongs to; None for nobody."""
    if bearer(request):
        token = token_of(request)
        return token.user if token else None
    return request.user if isinstance(request.user, User) and request.user.is_active else None


def token_of(request: HttpRequest) -> Token | None:
    """The API token that the request shows, if it holds. Looked up once for each request."""
    if not hasattr(request, "_token"):
        secret = bearer(request)
        request._token = tokens.find(secret) if secret else None  # type: ignore[attr-defined]
    found: Token | None = request._token  # type: ignore[attr-defined]
    return found


def bearer(request: HttpRequest) -> str:
    """The secret that the request shows as `Authorization: Bearer`; "" for none."""
    header = request.headers.get("Authorization", "")
    return header[len(SCHEME) :].strip() if header.lower().startswith(SCHEME) else ""


def named_group(request: HttpRequest) -> str:
    """The group that the request itself names."""
    return request.GET.get("group") or request.headers.get(GROUP_HEADER, "")
