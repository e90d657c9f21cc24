"""What the tus application asks of the database; every function here waits for it and is called in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from neurocaas.errors import NotFound, NotNow
from neurocaas.server.uploads.beginning import begin
from neurocaas.server.uploads.completing import finish
from neurocaas.server.uploads.desk import Desk, identifier
from neurocaas.server.uploads.expiry import STALE_AFTER, give_up
from neurocaas.server.uploads.models import State, Upload, UploadFile

T = TypeVar("T")


class Caller(Protocol):
    """Who sends: a user, for a group."""

    @property
    def user(self) -> str: ...
    @property
    def group(self) -> str: ...


class Gone(NotFound):
    """It was here once."""

    http_status = 410


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A file that grows. `path` is None once all of it is here."""

    row: UploadFile
    path: Path | None
    expires_at: datetime

    @property
    def name(self) -> str:
        return f"{self.row.upload_id.hex}/{self.row.index}"


def same_group(upload: Upload, caller: Caller) -> bool:
    """Anybody of the group may go on with an upload."""
    return upload.group_id == caller.group


def find(desk: Desk, caller: Caller, may_write: Callable[[Upload, Caller], bool], name: str) -> Incoming:
    """The file of this name, `upload/index`. Raises NotFound, for what is not the caller's too, and Gone."""
    upload_id, _, index = name.partition("/")
    files = UploadFile.objects.select_related("upload")
    row = (
        files.filter(upload=identifier(upload_id), index=int(index)).first()
        if index.isdecimal() and len(index) < 9
        else None
    )
    if row is None or not may_write(row.upload, caller):
        raise NotFound(f"There is no upload {name[:80]}.")
    if row.upload.state in {State.GONE, State.FAILED}:
        raise Gone(f"The upload {row.upload.name} was given up; begin it again.")
    growing = row.upload.state == State.RECEIVING and not row.done
    return Incoming(
        row=row, path=desk.partial(row) if growing else None, expires_at=row.upload.touched_at + STALE_AFTER
    )


def create(desk: Desk, caller: Caller, size_bytes: int, metadata: Mapping[str, str]) -> Incoming:
    """An upload of one file, as a tus client of its own accord begins it. Raises as `begin` does."""
    name = metadata.get("filename") or metadata.get("name") or ""
    document = {"name": name, "files": [{"path": name, "size_bytes": size_bytes}]}
    upload = begin(desk, caller.group, caller.user, document)
    row = upload.files.select_related("upload").get()
    if row.done:
        _start_check(desk, upload)
    return Incoming(row=row, path=None if row.done else desk.partial(row), expires_at=upload.touched_at + STALE_AFTER)


def came(desk: Desk, file: Incoming, offset: int, sha256: str) -> None:
    """Keep how far a file has come. With the last byte of the last file, the upload is checked in the background."""
    row, done = file.row, offset == file.row.size_bytes
    UploadFile.objects.filter(pk=row.pk).update(received_bytes=offset, done=done, sha256=sha256 if done else "")
    Upload.objects.filter(pk=row.upload_id).update(touched_at=desk.clock())
    if done and not UploadFile.objects.filter(upload=row.upload_id, done=False).exists():
        _start_check(desk, row.upload)


def terminate(desk: Desk, file: Incoming) -> None:
    """Give the file's upload up. Raises NotNow if all of it has arrived."""
    if not give_up(desk, file.row.upload):
        raise NotNow(f"The upload {file.row.upload.name} has all arrived; delete the data that it became instead.")


def connected(action: Callable[[], T]) -> T:
    """Do it with this thread's own database connection, which is closed if it is too old."""
    from django.db import close_old_connections

    try:
        return action()
    finally:
        close_old_connections()


def _start_check(desk: Desk, upload: Upload) -> None:
    desk.checks.start(upload.id, partial(finish, desk, upload.id))
