"""A group's staged data: found, tagged, kept, fetched and deleted. Nothing here sees another group's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from neurocaas.errors import NotFound, NotNow, Refused
from neurocaas.server.jobs.models import Stack
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.uploads import documents
from neurocaas.server.uploads.beginning import locked
from neurocaas.server.uploads.desk import Desk, identifier
from neurocaas.server.uploads.models import Content, Form, Item, Tag
from neurocaas.storage import keys

ITEMS_AT_ONCE = 50
MAX_ITEMS_AT_ONCE = 500
_NOT_ENDED = [one for one in Status if one not in ENDED]
_PLACE = re.compile(r"/data/([0-9a-f]{32})/")


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some items, newest first; `cursor` asks for those after them, and is empty at the end."""

    items: Sequence[Item]
    cursor: str


def items(group: str, search: str = "", tag: str = "", cursor: str = "", *, count: int = ITEMS_AT_ONCE) -> Page:
    """The group's items whose name contains `search` and that have this tag. Two queries, however many there are."""
    count = max(1, min(count, MAX_ITEMS_AT_ONCE))
    found = _items(group).order_by("-created_at", "-id").prefetch_related("tags")
    if search:
        found = found.filter(name__icontains=search)
    if tag:
        found = found.filter(tags__text=tag)
    if cursor:
        at, item_id = _position(cursor)
        found = found.filter(Q(created_at__lt=at) | Q(created_at=at, id__lt=item_id))
    listed = list(found[: count + 1])
    last = listed[count - 1] if len(listed) > count else None
    return Page(items=listed[:count], cursor=f"{last.created_at.isoformat()}_{last.id.hex}" if last else "")


def item(group: str, item_id: str) -> Item:
    """One item of the group. Raises NotFound."""
    found = _items(group).filter(pk=identifier(item_id)).prefetch_related("tags").first()
    if found is None:
        raise NotFound(f"There is no staged data {item_id}.")
    return found


def set_tags(group: str, item_id: str, tags: Sequence[str]) -> Item:
    """Let the item have these tags and no others. Raises NotFound, Refused."""
    found, wanted = item(group, item_id), documents.tags(list(tags))
    with transaction.atomic():
        found.tags.exclude(text__in=wanted).delete()
        Tag.objects.bulk_create([Tag(item=found, text=text) for text in wanted], ignore_conflicts=True)
    return item(group, item_id)


def keep(group: str, item_id: str, on: bool) -> Item:
    """Let the item stay whatever the policy says, or no longer. Raises NotFound."""
    found = item(group, item_id)
    found.keep = on
    found.save(update_fields=["keep"])
    return found


def delete(desk: Desk, group: str, item_id: str) -> None:
    """Delete an item. Its content, if no other item has it, is removed from the store by the next sweep but one.

    Raises NotFound; NotNow while a job that has not ended needs it.
    """
    found = item(group, item_id)
    needing = _inputs().filter(text__contains=f"/data/{found.content_id.hex}/").values_list("job_id", flat=True).first()
    if needing is not None:
        raise NotNow(f"{found.name} can't be deleted yet: job {needing} needs it.", remedy="Wait, or cancel the job.")
    forget(desk, group, [found.id])


def forget(desk: Desk, group: str, ids: Sequence[UUID]) -> int:
    """Delete these items of one group, and mark what nobody has any more. Returns how many were there."""
    with transaction.atomic():
        locked(group)
        found = Item.objects.filter(group_id=group, pk__in=ids)
        contents = list(found.values_list("content_id", flat=True))
        found.delete()
        unused = Content.objects.filter(pk__in=contents, items=None).values_list("pk", flat=True)
        Content.objects.filter(pk__in=list(unused)).update(unused_since=desk.clock())
    return len(contents)


def places_in_use() -> set[str]:
    """The places of all contents that a stack which has not ended takes as an input."""
    texts = _inputs().values_list("text", flat=True)
    return {place for text in texts.iterator() for place in _PLACE.findall(text)}


def download_url(desk: Desk, group: str, item_id: str, path: str = "") -> str | None:
    """A link straight to the store for an item that is a file, or for one file of a folder.

    None where the site sends files itself: see `local_path`. Raises NotFound.
    """
    found, key = place(group, item_id, path)
    if desk.multipart is None:
        return None
    name = path.rpartition("/")[2] or found.name
    return desk.multipart.download_url(key, name, seconds=desk.link_seconds)


def local_path(desk: Desk, group: str, item_id: str, path: str = "") -> Path | None:
    """Where the same lies on this machine; None if it lies elsewhere. Raises NotFound."""
    return desk.store.local_path(place(group, item_id, path)[1])


def place(group: str, item_id: str, path: str = "") -> tuple[Item, str]:
    """An item, and the key of it, if it is a file, or of one file of the folder. Raises NotFound."""
    found = item(group, item_id)
    content = found.content
    if content.form == Form.FILE:
        if path:
            raise NotFound(f"{found.name} is a file; there is no {path} in it.")
        return found, content.key
    if path not in {one for one, _, _ in content.parts}:
        raise NotFound(f"There is no file {path!r} in {found.name}.")
    return found, keys.content_folder_file(content.group_id, content.id.hex, path)


def _items(group: str) -> QuerySet[Item]:
    # A folder's parts may be many, and a list shows none.
    return Item.objects.filter(group_id=group).select_related("content").defer("content__parts")


def _inputs() -> QuerySet[Any]:
    return Stack.objects.filter(status__in=_NOT_ENDED).annotate(text=Cast("inputs", TextField()))


def _position(cursor: str) -> tuple[datetime, UUID]:
    at, _, item_id = cursor.partition("_")
    try:
        return datetime.fromisoformat(at), UUID(item_id)
    except ValueError:
        raise Refused(f"cursor: found {cursor[:80]!r}; one that an earlier answer gave is right.") from None
