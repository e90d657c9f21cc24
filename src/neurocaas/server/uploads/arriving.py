"""What of an upload has arrived, on this site's disk or in S3; and the links by which parts go straight to S3."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from neurocaas.errors import NotFound, NotNow, Refused
from neurocaas.server.uploads.desk import Desk, find_upload
from neurocaas.server.uploads.models import State, Upload, UploadFile
from neurocaas.storage.multipart import Multipart, Part, part_bytes, part_count, part_size

LINKS_AT_ONCE = 1_000


def describe(desk: Desk, upload: Upload) -> dict[str, Any]:
    """The upload as the API shows it: how each file is sent on, and how much of it has arrived."""
    multipart = desk.multipart
    files = upload.files.order_by("index") if upload.state == State.RECEIVING else ()
    return {
        "id": str(upload.id),
        "method": "tus" if multipart is None else "s3",
        "name": upload.name,
        "form": upload.form,
        "state": upload.state,
        "message": upload.message,
        "files": [_by_tus(desk, one) if multipart is None else _by_parts(one) for one in files],
        "item": str(upload.item_id) if upload.item_id else None,
    }


def tus_path(file: UploadFile) -> str:
    """The file's address below where the tus application is mounted."""
    return f"{file.upload_id.hex}/{file.index}"


def arrived_bytes(desk: Desk, file: UploadFile) -> int:
    """How much of a file is on this site's disk."""
    if file.done:
        return file.size_bytes
    try:
        return desk.partial(file).stat().st_size
    except FileNotFoundError:
        return 0


def parts(desk: Desk, group: str, upload_id: str, path: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Where to PUT these parts of a file; they count from 1. Raises NotFound, NotNow, Refused."""
    multipart, file = _file_on_s3(desk, group, upload_id, path)
    last = part_count(file.size_bytes)
    if len(numbers) > LINKS_AT_ONCE:
        raise Refused(f"numbers: found {len(numbers)}; at most {LINKS_AT_ONCE} at once are right.")
    if wrong := [number for number in numbers if not 1 <= number <= last]:
        raise Refused(f"numbers: found {wrong[0]}; 1 to {last} is right.")
    if file.done:
        raise NotNow(f"{path} has all arrived.")
    name = file.multipart or _begun(multipart, file)
    Upload.objects.filter(pk=file.upload_id).update(touched_at=desk.clock())
    return [
        {"number": number, "url": multipart.part_url(file.key, name, number, seconds=desk.link_seconds)}
        for number in numbers
    ]


def parts_done(desk: Desk, group: str, upload_id: str, path: str) -> list[int]:
    """Which parts of a file S3 has, whole."""
    multipart, file = _file_on_s3(desk, group, upload_id, path)
    if file.done:
        return list(range(1, part_count(file.size_bytes) + 1))
    return sorted(_whole_parts(multipart, file))


def join_parts(multipart: Multipart, files: Sequence[UploadFile]) -> None:
    """Make each file that is all in S3 one object there. Raises NotNow with what is missing."""
    missing: list[str] = []
    for file in files:
        if file.done:
            continue
        found = _whole_parts(multipart, file)
        wanted = part_count(file.size_bytes)
        if found and len(found) < wanted:
            missing.append(f"{wanted - len(found)} of {wanted} parts of {file.path}")
        elif found:
            multipart.complete(file.key, file.multipart, found)
            _set_done(file)
        elif _stands(multipart, file):  # the answer to an earlier call was lost, or its caller killed
            _set_done(file)
        else:
            missing.append(file.path)
    refuse_missing(missing)


def refuse_missing(missing: Sequence[str]) -> None:
    """Raises NotNow with the first of what has not arrived."""
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise NotNow(f"Not everything has arrived yet: {', '.join(missing[:3])}{more}.", remedy="Send the rest.")


def check_arrived(desk: Desk, files: Sequence[UploadFile]) -> None:
    """Raises NotNow unless every file is on this site's disk and nobody writes to it."""
    missing = []
    for file in files:
        if file.done:
            continue
        with contextlib.suppress(FileNotFoundError), held(desk.partial(file)) as descriptor:
            if os.fstat(descriptor).st_size == file.size_bytes:
                _set_done(file)
                continue
        if desk.store.head(file.key) is None:
            missing.append(file.path)
    refuse_missing(missing)


@contextlib.contextmanager
def held(path: Path, *, create: bool = False) -> Iterator[int]:
    """The partial file, open to write, by nobody else in any process. Raises NotNow if somebody else does."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotNow("Another connection is sending this file.", remedy="Try again in a moment.") from None
        yield descriptor
    finally:
        os.close(descriptor)


def _by_tus(desk: Desk, file: UploadFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "size_bytes": file.size_bytes,
        "tus_url": f"/uploads/{tus_path(file)}",
        "offset": arrived_bytes(desk, file),
    }


def _by_parts(file: UploadFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "size_bytes": file.size_bytes,
        "part_bytes": part_bytes(file.size_bytes),
        "part_count": 0 if file.size_bytes == 0 else part_count(file.size_bytes),
        "done": file.done,
    }


def _file_on_s3(desk: Desk, group: str, upload_id: str, path: str) -> tuple[Multipart, UploadFile]:
    upload = find_upload(group, upload_id)
    if desk.multipart is None:
        raise NotNow("This site takes uploads itself, by tus, and not in parts.")
    if upload.state != State.RECEIVING:
        raise NotNow(f"The upload {upload.name} is {upload.state}; nothing more is sent for it.")
    file = upload.files.select_related("upload").filter(path=path).first()
    if file is None:
        raise NotFound(f"The upload {upload.name} has no file {path}.")
    return desk.multipart, file


def _begun(multipart: Multipart, file: UploadFile) -> str:
    name = multipart.begin(file.key)
    if UploadFile.objects.filter(pk=file.pk, multipart="").update(multipart=name):
        return name
    multipart.abort(file.key, name)  # another request began it at the same moment
    file.refresh_from_db(fields=["multipart"])
    return file.multipart


def _whole_parts(multipart: Multipart, file: UploadFile) -> dict[int, Part]:
    if not file.multipart:
        return {}
    try:
        found = multipart.parts(file.key, file.multipart)
    except NotFound:
        return {}
    return {
        number: one
        for number, one in found.items()
        if number <= part_count(file.size_bytes) and one.size_bytes == part_size(file.size_bytes, number)
    }


def _stands(multipart: Multipart, file: UploadFile) -> bool:
    return bool(file.multipart) and multipart.size_bytes(file.key) == file.size_bytes


def _set_done(file: UploadFile) -> None:
    file.done, file.received_bytes = True, file.size_bytes
    UploadFile.objects.filter(pk=file.pk).update(done=True, received_bytes=file.size_bytes)
