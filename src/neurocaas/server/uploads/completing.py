"""From what arrived to an item: digests, then the objects in their place, then the rows, in one transaction.

Every step may be done again, and by two processes at once, after a death at any line: digests are kept as they are
found, moving what was moved does nothing, and the rows are made by whoever locks the group first.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import connection, transaction

from neurocaas.errors import NotFound, NotNow, Refused
from neurocaas.server.jobs.kinds import HEAD_BYTES, ZIP_TAIL_BYTES, Look, look
from neurocaas.server.uploads.arriving import check_arrived, join_parts
from neurocaas.server.uploads.beginning import begin, item_of, locked
from neurocaas.server.uploads.desk import Desk, find_upload
from neurocaas.server.uploads.models import ARRIVING, Content, Form, Item, State, Upload, UploadFile
from neurocaas.storage import FileDigest, digest_file, folder_digest, keys

PATIENCE = timedelta(seconds=20)
_NOTHING = FileDigest(sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", size_bytes=0)


def complete(
    desk: Desk,
    group: str,
    upload_id: str | UUID,
    digests: Mapping[str, str] | None = None,
    *,
    patience: timedelta = PATIENCE,
) -> Upload:
    """Check what arrived and make an item of it. Asking again is harmless.

    digests: SHA-256 by path, of a sender that computed them while it sent; of a single file by its name.
    After `patience` the upload is returned as it is then, CHECKING, and the check goes on: ask again. Raises NotNow
    with what is missing, Refused if the content is not what the sender said, StorageFailed.
    """
    upload = find_upload(group, upload_id)
    if digests:
        _expect(upload, digests)
    if upload.state in ARRIVING:
        check = desk.checks.start(upload.id, partial(finish, desk, upload.id))
        connection.close()  # many who wait here would otherwise hold all of those that the checks need
        with contextlib.suppress(TookTooLong):
            check.result(patience.total_seconds())
        upload.refresh_from_db()
        if digests and upload.state == State.COMPLETE:
            _expect(upload, digests)  # what the check did not know yet
    if upload.state == State.FAILED:
        raise Refused(upload.message)
    if upload.state == State.GONE:
        raise NotFound(f"The upload {upload.name} was given up; begin it again.")
    return upload


def finish(desk: Desk, upload_id: UUID) -> None:
    """All of the above, now. Raises as `complete` does; a check that failed for good is kept in the upload."""
    upload = Upload.objects.get(pk=upload_id)
    if upload.state not in ARRIVING:
        return
    files = list(upload.files.select_related("upload").order_by("index"))
    if upload.state == State.RECEIVING:
        if desk.multipart is None:
            check_arrived(desk, files)
        else:
            join_parts(desk.multipart, files)
        Upload.objects.filter(pk=upload.pk, state=State.RECEIVING).update(state=State.CHECKING)
    try:
        for file in files:
            _digest(desk, file)
        seen = _look(desk, files[0]) if upload.form == Form.FILE else Look(head=b"", zip=False)
        _place(desk, files)
    except NotFound as cause:
        if not Upload.objects.filter(pk=upload.pk, state__in=ARRIVING).exists():
            return  # another process completed it meanwhile
        _fail(desk, upload, cause.message)
        raise
    except Refused as cause:
        _fail(desk, upload, cause.message)
        raise
    _record(desk, upload, files, seen)


def store_file(desk: Desk, group: str, user: str, name: str, path: Path, *, origin: str = "") -> Item:
    """An item of a file on this machine, as if it had been uploaded; the file is gone from `path` afterwards."""
    here = HereFile(path=name, place=path, digest=digest_file(path))
    return store_files(desk, group, user, name, [here], form=Form.FILE, origin=origin, move=True)


@dataclass(frozen=True, kw_only=True)
class HereFile:
    """A file of this machine that was digested. path: in the folder that it is a part of, or its name."""

    path: str
    place: Path
    digest: FileDigest


def store_files(
    desk: Desk,
    group: str,
    user: str,
    name: str,
    files: Sequence[HereFile],
    *,
    form: Form,
    origin: str = "",
    move: bool = False,
) -> Item:
    """An item of files of this machine; what the group has already is not stored again.

    Whoever digested them sees to it that they are the same still. With `move` they are gone afterwards. Raises as
    `begin` does, and StorageFailed.
    """
    listed = [{"path": one.path, "sha256": one.digest.sha256, "size_bytes": one.digest.size_bytes} for one in files]
    upload = begin(desk, group, user, {"name": name, "form": form, "files": listed, "origin": origin})
    for file in upload.files.select_related("upload").order_by("index"):
        if not file.done:
            desk.store.put_file(files[file.index].place, file.key, move=move)
        done = {"done": True, "received_bytes": file.size_bytes, "sha256": file.expected_sha256}
        UploadFile.objects.filter(pk=file.pk).update(**done)
    finish(desk, upload.id)
    if move:
        for one in files:
            one.place.unlink(missing_ok=True)
    upload.refresh_from_db()
    if upload.item is None:
        raise NotNow(f"{name} was given up while it was stored.", remedy="Begin again.")
    return upload.item


def _expect(upload: Upload, digests: Mapping[str, str]) -> None:
    """Note what the sender says; of what was digested here already, compare it. Raises Refused."""
    given = {keys.relative(path): sha256 for path, sha256 in digests.items()}
    changed = []
    for file in upload.files.filter(size_bytes__gt=0):
        sha256 = given.get(file.path, "")
        if sha256 not in {"", file.sha256} and file.sha256 and upload.state not in ARRIVING:
            raise Refused(_differs(file.path, file.sha256, sha256))
        if sha256 and not file.expected_sha256:
            file.expected_sha256 = sha256
            changed.append(file)
    UploadFile.objects.bulk_update(changed, ["expected_sha256"], batch_size=500)


def _differs(path: str, found: str, expected: str) -> str:
    return f"{path}: its SHA-256 is {found[:12]}… here and {expected[:12]}… at the sender's; upload it again."


def remove_received(desk: Desk, upload: Upload, files: Sequence[UploadFile]) -> None:
    """Remove the bytes of an upload that has become nothing. Quiet if there are none."""
    if desk.multipart is None:
        shutil.rmtree(desk.folder(upload.id), ignore_errors=True)
    else:
        for file in files:
            if file.multipart and not file.done:
                desk.multipart.abort(file.key, file.multipart)
    desk.store.delete_below(keys.content(upload.group_id, upload.id.hex))


def _digest(desk: Desk, file: UploadFile) -> None:
    """Keep what the file's digest is. Raises Refused if it is not what the sender said."""
    if not file.sha256:
        if file.size_bytes == 0:
            found = _NOTHING
        elif desk.multipart is None:
            found = digest_file(_where(desk, file))
        else:
            found = desk.multipart.digest(file.key)
        if found.size_bytes != file.size_bytes:
            raise Refused(f"{file.path} has {found.size_bytes} bytes; {file.size_bytes} were announced.")
        file.sha256 = found.sha256
        UploadFile.objects.filter(pk=file.pk).update(sha256=found.sha256)
    if file.expected_sha256 not in {"", file.sha256}:
        raise Refused(_differs(file.path, file.sha256, file.expected_sha256))


def _look(desk: Desk, file: UploadFile) -> Look:
    if file.size_bytes == 0:
        return Look(head=b"", zip=False)
    if desk.multipart is None:
        return look(_where(desk, file))
    head = desk.multipart.head(file.key, HEAD_BYTES)
    whole = head.startswith(b"PK") and b"PK\x05\x06" in desk.multipart.tail(file.key, ZIP_TAIL_BYTES)
    return Look(head=head, zip=whole)


def _where(desk: Desk, file: UploadFile) -> Path:
    """The file on this machine: where it arrived, or in its place already."""
    grown = desk.partial(file)
    placed = desk.store.local_path(file.key)
    return placed if placed is not None and not grown.exists() else grown


def _place(desk: Desk, files: Sequence[UploadFile]) -> None:
    for file in files:
        if file.size_bytes == 0:
            desk.store.put(file.key, b"")
        elif desk.multipart is None and desk.store.head(file.key) is None:
            try:
                desk.store.put_file(desk.partial(file), file.key, move=True)
            except NotFound:
                if desk.store.head(file.key) is None:
                    raise


def _record(desk: Desk, upload: Upload, files: Sequence[UploadFile], seen: Look) -> None:
    listed = [(file.path, file.sha256, file.size_bytes) for file in files]
    if upload.form == Form.FILE:
        sha256, kept = files[0].sha256, []
    else:
        folder = folder_digest(listed)
        sha256, kept = folder.sha256, list(folder.files)
    with transaction.atomic():
        locked(upload.group_id)
        # Locked, so that nobody gives it up, or completes it a second time, in between.
        if Upload.objects.select_for_update().get(pk=upload.pk).state not in ARRIVING:
            return
        content, ours = Content.objects.get_or_create(
            group_id=upload.group_id,
            sha256=sha256,
            form=upload.form,
            defaults={
                "id": upload.id,
                "size_bytes": upload.size_bytes,
                "parts": kept,
                "head": seen.head,
                "whole_zip": seen.zip,
                "created_at": desk.clock(),
            },
        )
        upload.item = item_of(desk, upload, content)
        Upload.objects.filter(pk=upload.pk).update(state=State.COMPLETE, item=upload.item, touched_at=desk.clock())
    if ours:
        if desk.multipart is None:
            shutil.rmtree(desk.folder(upload.id), ignore_errors=True)
    else:
        remove_received(desk, upload, files)


def _fail(desk: Desk, upload: Upload, message: str) -> None:
    if Upload.objects.filter(pk=upload.pk, state__in=ARRIVING).update(state=State.FAILED, message=message):
        remove_received(desk, upload, list(upload.files.select_related("upload")))
