"""Every error of the API as one document (RFC 9457): what it is called, and in a sentence what would be right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled

from neurocaas.errors import NeurocaasError

TYPES = "/api/v1/docs#"
CONTENT_TYPE = "application/problem+json"

# What a person reads where Django or ninja, and not this package, refused.
PLAIN: dict[int, tuple[str, str]] = {
    400: ("malformed", "The request can't be read; JSON in UTF-8 is right."),
    401: (
        "unauthenticated",
        "Nobody is signed in; an API token that is still valid, as Authorization: Bearer, is right.",
    ),
    403: ("forbidden", "This is not allowed."),
    404: ("not-found", "There is no such address; /api/v1/docs lists them all."),
    405: ("method-not-allowed", "This address doesn't take this method; /api/v1/docs lists those that it takes."),
    413: ("too-large", "The request is too large; files are sent as uploads."),
    415: ("unsupported-media-type", "The request can't be read; JSON is right."),
    422: ("refused", "The request is not right."),
    429: ("too-many-requests", "There were too many requests."),
    500: ("mistake", "The site made a mistake, which its operators find in its log."),
    503: ("busy", "More is asked of this site than it can answer at once; nothing was done."),
}
REMEDIES = {
    401: "Make a token on the page of your account, or sign in.",
    429: "Try again after the seconds that Retry-After says.",
    503: "Try again after the seconds that Retry-After says.",
}


def document(status: int, name: str, faults: Sequence[str], remedy: str = "") -> dict[str, Any]:
    """The document. name: what the type ends with. faults: sentences, one for each thing that is wrong."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    told: dict[str, Any] = {
        "type": f"{TYPES}{name}",
        "title": title,
        "status": status,
        "detail": "\n".join(faults),
        "remedy": remedy,
    }
    return told | ({"faults": list(faults)} if len(faults) > 1 else {})


def plain_document(status: int) -> dict[str, Any]:
    """What is said of a status that came without a sentence of its own."""
    name, detail = PLAIN.get(status, PLAIN[400 if status < HTTPStatus.INTERNAL_SERVER_ERROR else 500])
    return document(status, name, [detail], REMEDIES.get(status, ""))


def plain_problem(status: int) -> JsonResponse:
    return _answer(plain_document(status))


def of_error(error: NeurocaasError) -> JsonResponse:
    """What an error of this package says."""
    return _answer(document(error.http_status, kebab(type(error).__name__), error.message.split("\n"), error.remedy))


def kebab(name: str) -> str:
    """`NotFound` as `not-found`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def handle_errors(api: NinjaAPI) -> None:
    """Let this API answer every error that is somebody's own fault with a problem; others are for the log."""

    def told(_: HttpRequest, error: Any) -> HttpResponse:
        return of_error(error)

    def refused(_: HttpRequest, error: Any) -> HttpResponse:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, NeurocaasError):  # ninja covers up what a body's parser raised
            return of_error(cause)
        if isinstance(cause, RequestDataTooBig):
            return plain_problem(413)
        return plain_problem(error.status_code)

    def throttled(_: HttpRequest, error: Any) -> HttpResponse:
        answer = plain_problem(429)
        if error.wait is not None:
            answer["Retry-After"] = str(max(1, round(error.wait)))
        return answer

    def unauthenticated(_: HttpRequest, error: Any) -> HttpResponse:
        answer = plain_problem(error.status_code)
        answer["WWW-Authenticate"] = 'Bearer realm="NeuroCAAS"'
        return answer

    api.add_exception_handler(NeurocaasError, told)
    api.add_exception_handler(HttpError, refused)
    api.add_exception_handler(Throttled, throttled)
    api.add_exception_handler(AuthenticationError, unauthenticated)
    api.add_exception_handler(Http404, lambda *_: plain_problem(404))
    api.add_exception_handler(PermissionDenied, lambda *_: plain_problem(403))
    api.add_exception_handler(RequestDataTooBig, lambda *_: plain_problem(413))


def _answer(told: dict[str, Any]) -> JsonResponse:
    return JsonResponse(told, status=told["status"], content_type=CONTENT_TYPE)
