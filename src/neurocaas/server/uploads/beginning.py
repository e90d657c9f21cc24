"""Begin an upload: its names, its size and the group's quota are looked at before a byte is sent."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.db import transaction

from neurocaas.server.jobs.models import Group
from neurocaas.server.uploads import quotas
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.documents import UploadDocument, read
from neurocaas.server.uploads.models import Content, Item, State, Tag, Upload, UploadFile
from neurocaas.storage import folder_digest

ROWS_AT_ONCE = 500


def begin(desk: Desk, group: str, user: str, document: Any) -> Upload:
    """An upload of the files that the document names.

    It is complete at once if the sender gave digests and *this group* has the content: what others have is not told.
    Raises Refused: a name that can't be stored, a number that is not right, the quota.
    """
    asked = read(group, document)
    size_bytes = sum(one.size_bytes for one in asked.files)
    now = desk.clock()
    with transaction.atomic():
        locked(group)
        upload = Upload(
            id=uuid4(),
            group_id=group,
            user=user,
            name=asked.name,
            form=asked.form,
            tags=list(asked.tags),
            origin=asked.origin,
            size_bytes=size_bytes,
            created_at=now,
            touched_at=now,
        )
        if (content := _known(group, asked, size_bytes)) is not None:
            upload.state, upload.item = State.COMPLETE, item_of(desk, upload, content)
            upload.save(force_insert=True)
            return upload
        quotas.check(desk, group, size_bytes)
        upload.save(force_insert=True)
        UploadFile.objects.bulk_create(_files(upload, asked), batch_size=ROWS_AT_ONCE)
    return upload


def locked(group: str) -> None:
    """Until the transaction ends, no other changes what this group keeps."""
    Group.objects.get_or_create(pk=group)
    Group.objects.select_for_update().get(pk=group)


def item_of(desk: Desk, upload: Upload, content: Content) -> Item:
    """The item that an upload of this content became: an earlier one of that name, or a new one."""
    now = desk.clock()
    if content.unused_since is not None:
        Content.objects.filter(pk=content.pk).update(unused_since=None)
    expires_at = None if desk.expires_after is None else now + desk.expires_after
    item, _ = Item.objects.update_or_create(
        content=content,
        name=upload.name,
        defaults={"expires_at": expires_at},
        create_defaults={
            "group_id": upload.group_id,
            "uploaded_by": upload.user,
            "origin": upload.origin,
            "created_at": now,
            "expires_at": expires_at,
        },
    )
    Tag.objects.bulk_create([Tag(item=item, text=text) for text in upload.tags], ignore_conflicts=True)
    return item


def _known(group: str, asked: UploadDocument, size_bytes: int) -> Content | None:
    given = [(one.path, one.sha256 or "", one.size_bytes) for one in asked.files]
    if not all(sha256 for _, sha256, _ in given):
        return None
    sha256 = given[0][1] if asked.form == "file" else folder_digest(given).sha256
    return (
        Content.objects.select_for_update()
        .defer("parts")
        .filter(group_id=group, sha256=sha256, form=asked.form, size_bytes=size_bytes)
        .first()
    )


def _files(upload: Upload, asked: UploadDocument) -> list[UploadFile]:
    return [
        UploadFile(
            upload=upload,
            index=index,
            path=one.path,
            size_bytes=one.size_bytes,
            expected_sha256=one.sha256 or "",
            done=one.size_bytes == 0,  # nothing will be sent for it
        )
        for index, one in enumerate(asked.files)
    ]
