"""What routes have in common: who asks, what ids look like, and which answers the API's document tells of."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path

from neurocaas.client.documents import Problem
from neurocaas.server.api.problems import CONTENT_TYPE
from neurocaas.server.groups.scope import Caller

JobId = Annotated[str, Path(min_length=1, max_length=32, description="A job's id, as in 20260102-0a1b2c3d.")]
StackIndex = Annotated[int, Path(ge=0, le=2_000_000_000, description="Counts from 0.")]
REFUSALS = (400, 401, 403, 404, 409, 413, 422, 429)


class ProblemDocument(Problem):
    """RFC 9457. faults: a sentence for each thing that is wrong, if there are several."""

    faults: tuple[str, ...] = ()


def answers(document: Any, status: int = 200) -> dict[int, Any]:
    """What a route answers if all is well, and the problems that any route may answer."""
    return {status: document} | dict.fromkeys(REFUSALS, ProblemDocument)


def asking(request: HttpRequest) -> Caller:
    """As whom the request is answered."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return caller


def as_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """The API's document, with the media type that problems have, which ninja can't be told of."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) >= HTTPStatus.BAD_REQUEST and "application/json" in answer.get("content", {}):
                    answer["content"][CONTENT_TYPE] = answer["content"].pop("application/json")
    return schema


def _binary(media_type: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"responses": {200: {"description": "The file.", "content": content}}}


FILE = _binary("application/octet-stream")
ZIP = _binary("application/zip")
