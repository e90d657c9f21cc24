"""What all pages have in common: who may open them, and how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from neurocaas.errors import NeurocaasError, Refused
from neurocaas.server.accounts.callers import page_caller
from neurocaas.server.groups.scope import Caller

P = ParamSpec("P")
Page = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
MemberPage = Callable[Concatenate[HttpRequest, Caller, P], HttpResponseBase]


def open_page(view: Page[P]) -> Page[P]:
    """A page that anybody may open. What it refuses is told in the site's own words."""

    @wraps(view)
    def opened(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            _check_text(request)
            return view(request, *args, **kwargs)
        except NeurocaasError as error:
            return told(request, error)

    return opened


def page(view: MemberPage[P]) -> Page[P]:
    """A page for who is signed in: `view(request, caller, ...)`. Others are asked to sign in, and come back."""

    @wraps(view)
    def opened(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        caller = page_caller(request)
        if caller is None:
            return _sign_in(request)
        return view(request, caller, *args, **kwargs)

    return open_page(opened)


def owner_page(view: MemberPage[P]) -> Page[P]:
    """A page for owners of the current group."""

    @wraps(view)
    def opened(request: HttpRequest, caller: Caller, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        caller.require_owner()
        return view(request, caller, *args, **kwargs)

    return page(opened)


def operator_page(view: MemberPage[P]) -> Page[P]:
    """A page for operators. For everybody else it does not exist."""

    @wraps(view)
    def opened(request: HttpRequest, caller: Caller, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        caller.require_operator()
        return view(request, caller, *args, **kwargs)

    return page(opened)


def told(request: HttpRequest, error: NeurocaasError) -> HttpResponse:
    """The error as a page, or, for a part that htmx asked for, as a notice in its place."""
    said: dict[str, Any] = {"detail": error.message, "remedy": error.remedy, "kind": "error", "text": error.message}
    if getattr(request, "htmx", False):
        return render(request, "components/notice.html", said, status=error.http_status)
    template = {403: "403.html", 404: "404.html"}.get(error.http_status, "refused.html")
    return render(request, template, said, status=error.http_status)


def _check_text(request: HttpRequest) -> None:
    """Raises Refused for text with a zero byte in it, which no view expects and PostgreSQL can't be asked for."""
    for values in (request.GET, request.POST):
        for name, texts in values.lists():
            if any("\0" in str(one) for one in (name, *texts)):
                raise Refused("The form holds a character that can't be stored; text without it is right.")


def _sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page. htmx is told to load it whole, because it would put it into a corner of this one."""
    if not getattr(request, "htmx", False):
        return redirect_to_login(request.get_full_path())
    answer = HttpResponse(status=204)
    answer["HX-Redirect"] = redirect_to_login(request.headers.get("HX-Current-URL", "/"))["Location"]
    return answer
