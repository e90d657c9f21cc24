"""Every request gets a number, one line in the log, and its place in the metrics; a fault of ours, or a site that is
busy, gets a page.

The middleware goes first in MIDDLEWARE, and `server_error` is the root URLconf's `handler500`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from neurocaas.server.database import is_exhausted
from neurocaas.server.logs import request_id
from neurocaas.server.serving import counters

log = logging.getLogger(__name__)

HEADER = "X-Request-ID"
PATH_CHARACTERS = 300
UNROUTED = "unrouted"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A fault of the platform</title></head>
<body><main><h1>A fault of the platform</h1>
<p>The request could not be answered. What you sent was not at fault, and nothing that runs is affected.</p>
<p>Please tell the people who run this site this number: <code>{number}</code></p></main></body></html>
"""

BUSY = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The site is busy</title></head>
<body><main><h1>The site is busy</h1>
<p>More is asked of this site than it can answer at once. Nothing was done, and nothing that runs is affected.</p>
<p>Please try again in some seconds.</p></main></body></html>
"""
AGAIN_SECONDS = 5

Response = HttpResponseBase | Awaitable[HttpResponseBase]


class RequestLog:
    """Sync and async. Who a request comes from is what `callers.caller_of` found out."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        if self._is_async:
            return self._answer_async(request)
        began = _begin()
        return _end(request, cast("HttpResponseBase", self._get_response(request)), began)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        began = _begin()
        return _end(request, await cast("Awaitable[HttpResponseBase]", self._get_response(request)), began)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what no view expected to happen: a page, or a problem document for a program, with the number.

    Django calls this while it handles the exception. One is no fault: that the database has no connection to spare.
    """
    for_person = "text/html" in request.headers.get("Accept", "text/html")
    if is_exhausted(sys.exception()):
        return _busy(for_person)
    number = request_id.get()
    if for_person:
        return HttpResponse(PAGE.format(number=number), status=500)
    problem = {
        "type": "about:blank",
        "title": "A fault of the platform",
        "status": 500,
        "detail": "The request could not be answered; what you sent was not at fault.",
        "remedy": f"Tell the people who run this site this number: {number}",
    }
    return HttpResponse(json.dumps(problem), status=500, content_type="application/problem+json")


def _busy(for_person: bool) -> HttpResponse:
    """A request waits for the database when it first asks for it, so nothing was done yet."""
    again = {"Retry-After": str(AGAIN_SECONDS), "Cache-Control": "no-store"}
    if for_person:
        return HttpResponse(BUSY, status=503, headers=again)
    from neurocaas.server.api.problems import plain_problem  # ninja wants Django to be set up before it is imported

    answer = plain_problem(503)
    for name, value in again.items():
        answer.headers[name] = value
    return answer


def _begin() -> float:
    request_id.set(uuid.uuid4().hex[:16])
    return time.perf_counter()


def _end(request: HttpRequest, response: HttpResponseBase, began: float) -> HttpResponseBase:
    seconds = time.perf_counter() - began
    response.headers[HEADER] = request_id.get()
    route = _route(request)
    counters.answered(method=request.method or "", route=route, status=response.status_code, seconds=seconds)
    user, group = _who(request)
    told = {
        "user": user,
        "group": group,
        "method": request.method,
        "path": _path(request),
        "route": route,
        "status": response.status_code,
        "ms": round(1000 * seconds, 1),
    }
    log.log(logging.ERROR if response.status_code >= 500 else logging.INFO, "request", extra=told)
    return response


def _who(request: HttpRequest) -> tuple[str, str]:
    """Whom the request turned out to come from. Nothing is looked up for the log's sake."""
    known = request.__dict__
    if caller := known.get("_caller"):
        return str(caller.user), str(caller.group)
    user = known.get("_cached_user") or known.get("_acached_user")
    return (user.get_username() if user is not None else ""), ""


def _route(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match.view_name or match.route) if match is not None else UNROUTED


def _path(request: HttpRequest) -> str:
    """The path without what its route takes as a secret: keys of resets and invitations, signatures."""
    path = request.path[:PATH_CHARACTERS]
    for name, value in (request.resolver_match.kwargs if request.resolver_match else {}).items():
        if any(word in name for word in ("key", "token", "code", "sign", "secret", "uidb36", "uidb64")):
            path = path.replace(str(value), "…")
    return path
