"""Data that is elsewhere: fetched by the platform into a group's staged data."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, JsonResponse
from ninja import Path, Query, Router, Status
from pydantic import Field

from neurocaas.client.documents import Answer, Page
from neurocaas.documents import Document
from neurocaas.server.api.answers import answers, asking
from neurocaas.server.api.throttles import IMPORTING
from neurocaas.server.imports import requests
from neurocaas.server.imports.models import Import
from neurocaas.server.jobs.view import timestamp
from neurocaas.server.serving.wiring import this_site

Id = Annotated[str, Path(min_length=1, max_length=36)]
router = Router(tags=["data"])


class ImportRequest(Document):
    """url: https://, s3://, or an asset of the DANDI archive."""

    url: Annotated[str, Field(min_length=1, max_length=4000)]
    tags: tuple[str, ...] = ()


class ImportDocument(Answer):
    """An import. url: without its query. size_bytes: None while it is not known. item: what it became."""

    id: str
    url: str
    name: str
    user: str
    state: str
    message: str
    received_bytes: int
    size_bytes: int | None
    item: str | None
    created_at: str
    ended_at: str | None


@router.post("/imports", response=answers(ImportDocument, 201), throttle=[IMPORTING])
def begin_import(request: HttpRequest, body: ImportRequest) -> JsonResponse:
    """Have a file fetched from elsewhere into your group's staged data. It goes on in the background."""
    made = requests.begin_import(this_site(), asking(request), body.url, body.tags)
    return JsonResponse(_import(made), status=201, headers={"Location": f"/api/v1/imports/{made.id}"})


@router.get("/imports", response=answers(Page[ImportDocument]))
def list_imports(
    request: HttpRequest,
    cursor: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Your group's imports, the newest first. Those that ended a month ago are forgotten."""
    found = requests.list_imports(asking(request), cursor, count=limit)
    return {"items": [_import(one) for one in found.imports], "next": found.cursor or None}


@router.get("/imports/{import_id}", response=answers(ImportDocument))
def get_import(request: HttpRequest, import_id: Id) -> dict[str, Any]:
    """An import, and how much has arrived."""
    return _import(requests.find_import(asking(request), import_id))


@router.delete("/imports/{import_id}", response=answers(None, 204))
def cancel_import(request: HttpRequest, import_id: Id) -> Status[None]:
    """Cancel an import. Refused once all of it has arrived; cancelling again is harmless."""
    requests.cancel_import(this_site(), asking(request), import_id)
    return Status(204, None)


def _import(one: Import) -> dict[str, Any]:
    return {
        "id": str(one.pk),
        "url": one.shown,
        "name": one.name,
        "user": one.user,
        "state": one.state,
        "message": one.message,
        "received_bytes": one.received_bytes,
        "size_bytes": one.size_bytes,
        "item": str(one.item_id) if one.item_id else None,
        "created_at": timestamp(one.created_at),
        "ended_at": timestamp(one.ended_at),
    }
