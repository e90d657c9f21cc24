"""Staged data: uploads that are begun, checked and completed, and the items that they become."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from ninja import Path, Query, Router, Status

from neurocaas.client.documents import (
    Answer,
    CompleteDocument,
    ItemChanges,
    ItemDocument,
    OfferDocument,
    Page,
    PartsDone,
    PartsRequest,
    PartUrl,
    UploadDocument,
)
from neurocaas.server.accounts import audit
from neurocaas.server.api.answers import FILE, answers, asking
from neurocaas.server.api.files import redirect
from neurocaas.server.api.streams import stored
from neurocaas.server.jobs.view import timestamp
from neurocaas.server.serving.wiring import desk, this_site
from neurocaas.server.uploads import items as staged
from neurocaas.server.uploads.arriving import describe, parts, parts_done
from neurocaas.server.uploads.beginning import begin
from neurocaas.server.uploads.completing import complete
from neurocaas.server.uploads.desk import find_upload
from neurocaas.server.uploads.expiry import give_up
from neurocaas.server.uploads.models import Item, Upload
from neurocaas.server.uploads.quotas import quota

Id = Annotated[str, Path(min_length=1, max_length=36)]
router = Router(tags=["data"])


class QuotaDocument(Answer):
    """Bytes that a group's data takes, counting what is on its way; and may take, None for any number."""

    used_bytes: int
    limit_bytes: int | None


@router.post("/uploads", response=answers(UploadDocument, 201))
def begin_upload(request: HttpRequest, body: OfferDocument) -> JsonResponse:
    """Begin an upload. It is complete at once if your group has the content already, told by its digests."""
    caller, document = asking(request), body.model_dump(mode="json")
    upload = begin(desk(), caller.require_group(), caller.user, document)
    return JsonResponse(_upload(upload), status=201, headers={"Location": f"/api/v1/uploads/{upload.id}"})


@router.get("/uploads/{upload_id}", response=answers(UploadDocument))
def get_upload(request: HttpRequest, upload_id: Id) -> JsonResponse:
    """An upload, and how much of each of its files has arrived."""
    return JsonResponse(_upload(find_upload(asking(request).require_group(), upload_id)))


@router.delete("/uploads/{upload_id}", response=answers(None, 204))
def give_upload_up(request: HttpRequest, upload_id: Id) -> Status[None]:
    """Give an upload up; what arrived of it is deleted."""
    give_up(desk(), find_upload(asking(request).require_group(), upload_id))
    return Status(204, None)


@router.post("/uploads/{upload_id}/parts", response=answers(list[PartUrl]))
def get_parts(request: HttpRequest, upload_id: Id, body: PartsRequest) -> list[dict[str, Any]]:
    """Where to PUT these parts of a file, if the upload's method is s3."""
    return parts(desk(), asking(request).require_group(), upload_id, body.path, body.numbers)


@router.get("/uploads/{upload_id}/parts", response=answers(PartsDone))
def get_parts_done(request: HttpRequest, upload_id: Id, path: Annotated[str, Query(max_length=1024)]) -> dict[str, Any]:
    """Which parts of a file are there, whole, if the upload's method is s3."""
    return {"numbers": parts_done(desk(), asking(request).require_group(), upload_id, path)}


@router.post("/uploads/{upload_id}/complete", response=answers(UploadDocument))
def complete_upload(request: HttpRequest, upload_id: Id, body: CompleteDocument | None = None) -> JsonResponse:
    """Have what arrived checked, and made an item. Ask again while `state` is checking; asking again is harmless."""
    group = asking(request).require_group()
    digests = {one.path: one.sha256 for one in body.files} if body else {}
    return JsonResponse(_upload(complete(desk(), group, upload_id, digests)))


@router.get("/items", response=answers(Page[ItemDocument]))
def list_items(
    request: HttpRequest,
    search: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str, Query(max_length=60)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Your group's staged data, the newest first."""
    found = staged.items(asking(request).require_group(), search, tag, cursor, count=limit)
    return {"items": [_item(one) for one in found.items], "next": found.cursor or None}


@router.get("/items/{item_id}", response=answers(ItemDocument))
def get_item(request: HttpRequest, item_id: Id) -> dict[str, Any]:
    """One staged file or folder."""
    return _item(staged.item(asking(request).require_group(), item_id))


@router.patch("/items/{item_id}", response=answers(ItemDocument))
def change_item(request: HttpRequest, item_id: Id, body: ItemChanges) -> dict[str, Any]:
    """Change an item's tags, or whether it is kept for good. What is left out stays."""
    group = asking(request).require_group()
    if body.tags is not None:
        staged.set_tags(group, item_id, body.tags)
    if body.keep is not None:
        staged.keep(group, item_id, body.keep)
    return _item(staged.item(group, item_id))


@router.delete("/items/{item_id}", response=answers(None, 204))
def delete_item(request: HttpRequest, item_id: Id) -> Status[None]:
    """Delete a staged file or folder. Refused while a job that has not ended needs it."""
    caller = asking(request)
    item = staged.item(caller.require_group(), item_id)
    staged.delete(desk(), caller.group, item_id)
    audit.record("deleted data", item.name, user=caller.user, group=caller.group, request=request)
    return Status(204, None)


@router.get("/items/{item_id}/content", response=answers(None), openapi_extra=FILE)
def get_content(
    request: HttpRequest, item_id: Id, path: Annotated[str, Query(max_length=1024)] = ""
) -> HttpResponseBase:
    """A staged file, or the file `path` of a staged folder; parts of it by Range."""
    group, store = asking(request).require_group(), this_site().store
    item, key = staged.place(group, item_id, path)
    filename = path.rpartition("/")[2] or item.name
    return redirect(store, key, filename) or stored(request, store, key, filename)


@router.get("/quota", response=answers(QuotaDocument))
def get_quota(request: HttpRequest) -> dict[str, Any]:
    """How much your group keeps, and may keep."""
    found = quota(desk(), asking(request).require_group())
    return {"used_bytes": found.used_bytes, "limit_bytes": found.limit_bytes}


def _upload(upload: Upload) -> dict[str, Any]:
    return describe(desk(), upload)


def _item(item: Item) -> dict[str, Any]:
    content = item.content
    return {
        "id": str(item.pk),
        "name": item.name,
        "form": content.form,
        "size_bytes": content.size_bytes,
        "sha256": content.sha256,
        "tags": sorted(tag.text for tag in item.tags.all()),
        "uploaded_by": item.uploaded_by,
        "created_at": timestamp(item.created_at),
        "expires_at": None if item.keep else timestamp(item.expires_at),
        "keep": item.keep,
    }
