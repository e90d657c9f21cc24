"""From a path on this machine to staged data on a site: what is known there is not sent, what broke off goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from neurocaas.client.connection import TRIES, Connection
from neurocaas.client.documents import (
    CompleteDocument,
    ItemDocument,
    OfferDocument,
    OfferedFile,
    SentFile,
    UploadDocument,
)
from neurocaas.client.memory import Memory
from neurocaas.client.sending import AT_ONCE, CONFLICT, LocalFile, Sent, send_by_parts, send_by_tus
from neurocaas.documents import digest_of, parse
from neurocaas.errors import NeurocaasError, NotFound, Refused, Unavailable
from neurocaas.storage import digest_file, fingerprint

DIGESTED_BEFORE_BYTES = 64 << 20  # digesting a small file is quicker than sending it for nothing
CHECKING, CHECKING_SECONDS, CHECKS = "checking", 1.0, 3600
BEGUN = "uploads"

Tell = Callable[[int], object]  # bytes that went on their way, or were there already


class Uploads:
    """Uploads of one client to one site."""

    def __init__(self, connection: Connection, group: str | None, memory: Memory) -> None:
        self._connection = connection
        self._group = group
        self._memory = memory

    def upload(self, path: Path, *, name: str, tags: Sequence[str] = (), tell: Tell = lambda _: None) -> ItemDocument:
        """The staged item of a file or folder. Raises Refused if it changes meanwhile, or is refused."""
        files = local_files(path)
        form = "folder" if path.is_dir() else "file"
        key = digest_of([self._connection.url, self._group, name, form, [[one.name, one.mark] for one in files]])
        digests = {one.name: self._digest_before(one) for one in files}
        upload = self._begun(key)
        if upload is None:
            offered = tuple(
                OfferedFile(path=one.name, size_bytes=one.size_bytes, sha256=digests[one.name] or None) for one in files
            )
            offer = OfferDocument(name=name, form=form, files=offered, tags=tuple(tags))  # type: ignore[arg-type]
            upload = self._ask("POST", "uploads", offer.model_dump(mode="json"))
            if upload.item is None:
                self._memory.keep(BEGUN, key, upload.id)
        try:
            item = upload.item or self._send_all(upload, files, digests, tell)
        except (Refused, NotFound):
            self._memory.forget(BEGUN, key)  # going on with it would end the same way
            raise
        self._memory.forget(BEGUN, key)
        return parse(ItemDocument, self._connection.json("GET", f"items/{item}"), "the answer")

    def _begun(self, key: str) -> UploadDocument | None:
        """The upload of the very same files that was begun before and is still there."""
        upload_id = self._memory.get(BEGUN, key)
        if not upload_id:
            return None
        try:
            found = self._ask("GET", f"uploads/{upload_id}")
        except NotFound:
            found = None
        if found is None or found.state in {"failed", "gone"}:
            self._memory.forget(BEGUN, key)
            return None
        return found

    def _send_all(self, upload: UploadDocument, files: Sequence[LocalFile], digests: dict[str, str], tell: Tell) -> str:
        """Send what is missing, digest meanwhile what was not digested before, and have it made an item."""
        with ThreadPoolExecutor(1, thread_name_prefix="digest") as digester:
            missing = {one.name: digester.submit(self._digest, one) for one in files if not digests[one.name]}
            for number in range(1, TRIES + 1):
                self._send(upload, files, tell)
                sent = tuple(
                    SentFile(path=one.name, sha256=digests[one.name] or _result(missing[one.name])) for one in files
                )
                _check_unchanged(files)
                try:
                    return self._complete(upload.id, CompleteDocument(files=sent))
                except NeurocaasError as fault:
                    if type(fault).http_status != CONFLICT or number == TRIES:
                        raise
                upload = self._ask("GET", f"uploads/{upload.id}")
        raise AssertionError("the last try returns or raises")

    def _send(self, upload: UploadDocument, files: Sequence[LocalFile], tell: Tell) -> None:
        # The site may write a name differently (NFC), so files are told apart by their order.
        targets = list(zip(files, upload.files, strict=True)) if upload.files else []
        sent = Sent(tell=tell)
        if upload.method == "s3":
            for file, target in targets:
                send_by_parts(self._connection, file, target, upload.id, sent)
            return
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="files") as threads:
            for _ in threads.map(lambda pair: send_by_tus(self._connection, pair[0], pair[1], sent), targets):
                pass

    def _complete(self, upload_id: str, document: CompleteDocument) -> str:
        for _ in range(CHECKS):
            body = document.model_dump(mode="json")
            upload = self._ask("POST", f"uploads/{upload_id}/complete", body, harmless=True)
            if upload.item is not None:
                return upload.item
            if upload.state != CHECKING:
                break
            self._connection.pause(CHECKING_SECONDS)
        raise Unavailable(f"The site did not complete upload {upload_id}: it is {upload.state}.")

    def _ask(self, method: str, place: str, body: object = None, *, harmless: bool = False) -> UploadDocument:
        answered = self._connection.json(method, place, body=body, harmless=harmless)
        return parse(UploadDocument, answered, "the answer")

    def _digest_before(self, file: LocalFile) -> str:
        if known := self._memory.digest(file.path):
            return known
        return self._digest(file) if file.size_bytes < DIGESTED_BEFORE_BYTES else ""

    def _digest(self, file: LocalFile) -> str:
        sha256 = digest_file(file.path).sha256
        self._memory.keep_digest(file.path, file.mark, sha256)
        return sha256


def local_files(path: Path) -> list[LocalFile]:
    """The file, or all files of the folder, by name. Raises NotFound, or Refused for a link or a device."""
    if not path.is_dir():
        return [_local_file(path, path.name)]
    found = []
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder) / name
            if file.is_symlink() or not file.is_file():
                raise Refused(f"{file} is a link or a device; only files and folders are accepted there.")
            found.append(_local_file(file, file.relative_to(path).as_posix()))
    if not found:
        raise Refused(f"{path} is empty; a folder with data in it is right.")
    return sorted(found, key=lambda one: one.name)


def _local_file(path: Path, name: str) -> LocalFile:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such file.") from None
    if not path.is_file():
        raise Refused(f"{path} is not a plain file.")
    return LocalFile(name=name, path=path, size_bytes=size, mark=fingerprint(path))


def _check_unchanged(files: Sequence[LocalFile]) -> None:
    for one in files:
        if fingerprint(one.path) != one.mark:
            raise Refused(f"{one.path} was written to while it was sent; send it when nothing writes to it any more.")


def _result(future: Future[str]) -> str:
    return future.result()
