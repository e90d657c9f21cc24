"""The last word on every answer below /api/: whatever was refused, and by whomever, it is told as a problem."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from neurocaas.server.api.problems import CONTENT_TYPE, plain_problem

PREFIX = "/api/"


@sync_and_async_middleware
def problems(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Any]:
    """Django's own pages of errors are for people; programs get the same document for those too."""
    if asyncio.iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            return _told(request, _impossible(request) or await get_response(request))

        return later

    def now(request: HttpRequest) -> HttpResponseBase:
        return _told(request, _impossible(request) or get_response(request))  # type: ignore[arg-type]

    return now


def _impossible(request: HttpRequest) -> HttpResponseBase | None:
    """Nothing has an address with a zero byte in it, and no database can be asked for it."""
    if "\0" not in request.path:
        return None
    answer: HttpResponse = plain_problem(404)
    if not request.path.startswith(PREFIX):
        answer = HttpResponse("There is no such page.\n", status=404, content_type="text/plain")
    answer.headers["Content-Security-Policy"] = "default-src 'none'"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _told(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    if not request.path.startswith(PREFIX):
        return answer
    answer.headers.setdefault("Cache-Control", "no-store")
    if answer.status_code >= 400 and answer.headers.get("Content-Type") != CONTENT_TYPE:
        told = plain_problem(answer.status_code)
        for name, value in answer.headers.items():
            if name not in {"Content-Type", "Content-Length"}:
                told[name] = value
        return told
    return answer
