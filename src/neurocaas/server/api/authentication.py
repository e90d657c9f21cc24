"""Who asks: a token with the scope that the request needs, or a session, which shows that it means what it changes."""

from __future__ import annotations

import io
from collections.abc import MutableMapping
from typing import Any

from django.contrib.auth import get_user
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from ninja.errors import AuthenticationError, HttpError
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from neurocaas.errors import Forbidden, NeurocaasError
from neurocaas.server.accounts.callers import api_caller, bearer, token_of
from neurocaas.server.accounts.models import Scope
from neurocaas.server.accounts.tokens import allows
from neurocaas.server.api.throttles import BY_ADDRESS, check
from neurocaas.server.groups.scope import Caller

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Bearer(AuthBase):
    """`Authorization: Bearer ncs_…`. scope: what the token must be good for; by the method, if None."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: Scope | None = None) -> None:
        self._scope = scope
        super().__init__()

    def __call__(self, request: HttpRequest) -> Caller | None:
        check(BY_ADDRESS, request)
        if not bearer(request):
            return None
        token = token_of(request)
        if token is None:
            raise AuthenticationError
        needed = self._scope or (Scope.READ if request.method in SAFE else Scope.WRITE)
        if not allows(token, needed):
            raise Forbidden(
                f"The token {token.start}… has the scope {token.scope}; {needed} is right for this.",
                remedy="Make a token with this scope on the page of your account.",
            )
        return api_caller(request)


class Session(AuthBase):
    """The browser's session; what changes something carries the CSRF token too, as X-CSRFToken."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = "sessionid"

    def __call__(self, request: HttpRequest) -> Caller | None:
        if bearer(request):
            return None
        found = api_caller(request)
        if found is not None and request.method not in SAFE and check_csrf(request):
            raise Forbidden("The CSRF token is missing or wrong; that of the page, as X-CSRFToken, is right.")
        return found


def sender(scope: MutableMapping[str, Any]) -> Caller | None:
    """Who sends an upload, which reaches this site past Django; None if nobody may."""
    request = ASGIRequest(dict(scope), io.BytesIO())
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    request.user = get_user(request)
    try:
        found = next(filter(None, (one(request) for one in EVERYBODY)), None)
    except (NeurocaasError, HttpError):
        return None
    return found if found and found.group else None


EVERYBODY: list[Any] = [Bearer(), Session()]
MANAGING: list[Any] = [Bearer(Scope.MANAGE), Session()]
