"""The tus 1.0.0 protocol (https://tus.io/protocols/resumable-upload): uploads that survive a closed laptop.

A pure ASGI application, so that bodies go from the socket to the disk without being collected: Django would keep each
of them whole first.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import format_datetime
from functools import partial
from typing import Any, TypeVar

from neurocaas.errors import NeurocaasError, NotNow, Refused, StorageFailed
from neurocaas.server.uploads import direct, reception
from neurocaas.server.uploads.arriving import held
from neurocaas.server.uploads.bodies import Bodies
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.documents import MAX_FILE_BYTES
from neurocaas.server.uploads.models import Upload
from neurocaas.server.uploads.receiver import Digests, Receiver, read_checksum
from neurocaas.server.uploads.reception import Caller, Incoming, same_group
from neurocaas.server.uploads.turns import IDLE_SECONDS, Turns
from neurocaas.server.uploads.wire import Disconnected, Fault, Receive, Scope, Send, announced_bytes, problem
from neurocaas.storage.faults import why

T = TypeVar("T")

VERSION = "1.0.0"
# What comes after a refusal is read and dropped, so that the sender gets to the answer; of more, the rest is cut off.
READ_ANYWAY_BYTES = 16 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    name: str
    headers: Mapping[str, str]
    caller: Caller

    def number(self, header: str) -> int:
        """A header's number. Raises Fault."""
        text = self.headers.get(header.lower(), "")
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise Fault(400, f"{header}: found {text[:40]!r}; a number of bytes is right.")
        return int(text)


class Tus:
    """Receives uploads to the desk's store on disk.

    authorize: who sends, by the request's scope; None if nobody may. may_write: whether they may go on with this
    upload. Both are called in a thread. prefix: where it is mounted. received: told of each request's bytes.
    """

    def __init__(
        self,
        desk: Desk,
        authorize: Callable[[Scope], Caller | None],
        may_write: Callable[[Upload, Caller], bool] = same_group,
        *,
        prefix: str = "/uploads",
        idle_seconds: float = IDLE_SECONDS,
        received: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._received = received
        self._desk, self._authorize, self._may_write = desk, authorize, may_write
        self._prefix = prefix
        self._digests = Digests()
        self._turns = Turns(idle_seconds)
        # Apart, so that a slow disk keeps nobody from asking how far their upload has come.
        self._disk = ThreadPoolExecutor(8, thread_name_prefix="tus-disk")
        self._rows = ThreadPoolExecutor(4, thread_name_prefix="tus-rows")
        self._bodies = Bodies(self._disk)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            status, headers, body = await self._answer(scope, receive)
        except Fault as fault:
            status, headers, body = problem(fault.status, fault.sentence, fault.headers)
        except NeurocaasError as error:
            status, headers, body = problem(error.http_status, str(error))
        except Disconnected:
            return
        if status >= 400 and announced_bytes(scope) > READ_ANYWAY_BYTES:
            headers["Connection"] = "close"
        headers = {"Tus-Resumable": VERSION, "Cache-Control": "no-store", "Content-Length": str(len(body)), **headers}
        listed = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": listed})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, dict[str, str], bytes]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        method = str(headers.get("x-http-method-override") or scope["method"]).upper()
        if method == "OPTIONS":
            return 204, _abilities(), b""
        if headers.get("tus-resumable") != VERSION:
            raise Fault(412, f"Tus-Resumable: {VERSION} is right.", {"Tus-Version": VERSION})
        name = str(scope["path"]).removeprefix(self._prefix).strip("/")
        # Who may read may not write by calling it GET.
        caller = await self._in_rows(partial(self._authorize, {**scope, "method": method}))
        if caller is None:
            raise Fault(401, "Sign in, or send a token, to upload.")
        request = _Request(method=method, name=name, headers=headers, caller=caller)
        if method == "POST" and not name:
            return await self._create(request)
        if method not in {"HEAD", "PATCH", "DELETE"}:
            raise Fault(405, f"{method} means nothing here.", {"Allow": "OPTIONS, POST, HEAD, PATCH, DELETE"})
        file = await self._in_rows(partial(reception.find, self._desk, caller, self._may_write, name))
        if method == "HEAD":
            return await self._tell(file)
        if method == "DELETE":
            await self._in_rows(partial(reception.terminate, self._desk, file))
            return 204, {}, b""
        return await self._append(request, file, scope, receive)

    async def _create(self, request: _Request) -> tuple[int, dict[str, str], bytes]:
        size_bytes = request.number("Upload-Length")
        metadata = _metadata(request.headers.get("upload-metadata", ""))
        file = await self._in_rows(partial(reception.create, self._desk, request.caller, size_bytes, metadata))
        return 201, {"Location": f"{self._prefix}/{file.name}", **_expiry(file)}, b""

    async def _tell(self, file: Incoming) -> tuple[int, dict[str, str], bytes]:
        offset, unnoted = await self._in_disk(partial(_grown, file))
        if unnoted:
            await self._in_rows(partial(reception.came, self._desk, file, offset, ""))
        told = {"Upload-Offset": str(offset), "Upload-Length": str(file.row.size_bytes)}
        return 200, {**told, **_expiry(file)}, b""

    async def _append(
        self, request: _Request, file: Incoming, scope: Scope, receive: Receive
    ) -> tuple[int, dict[str, str], bytes]:
        if request.headers.get("content-type") != "application/offset+octet-stream":
            raise Fault(415, "Content-Type: application/offset+octet-stream is right.")
        wanted, size_bytes = request.number("Upload-Offset"), file.row.size_bytes
        checksum = read_checksum(request.headers.get("upload-checksum", ""))
        async with self._turns.take(file.name) as turn, self._opened(file) as descriptor:
            offset = size_bytes if descriptor is None else os.fstat(descriptor).st_size
            if wanted != offset:
                raise Fault(409, f"Upload-Offset: found {wanted}; {offset} is right.", {"Upload-Offset": str(offset)})
            length = request.headers.get("content-length", "0")
            if length.isdecimal() and int(length) > size_bytes - offset:
                raise Fault(413, f"Content-Length: found {length}; at most {size_bytes - offset} is right.")
            transport = direct.transport_of(scope) if announced_bytes(scope) >= direct.LEAST_BYTES else None
            if self._bodies.busy:
                transport = None
            if descriptor is not None:
                receiver = Receiver(descriptor, self._digests.take(file.name, offset), checksum)
                if transport is None:
                    streaming = self._bodies.stream(receiver, size_bytes - offset, turn, receive)
                else:
                    streaming = self._bodies.pump(receiver, announced_bytes(scope), turn, receive, transport)
                offset = await self._receive(receiver, file, streaming)
        closing = {} if transport is None else {"Connection": "close"}
        return 204, {"Upload-Offset": str(offset), **_expiry(file), **closing}, b""

    async def _receive(self, receiver: Receiver, file: Incoming, streaming: Coroutine[Any, Any, None]) -> int:
        """Take what comes and keep account of it, however it ends. Returns the new offset."""
        whole, fault, began_at = False, None, receiver.offset
        try:
            await streaming
            whole = True
        except OSError as error:
            fault = _disk_fault(error, receiver.offset)
        finally:
            fits = receiver.settle(whole=whole)
            offset, sha256 = receiver.offset, ""
            self._received(max(0, offset - began_at))
            if offset == file.row.size_bytes and receiver.digest is not None:
                sha256 = receiver.digest.hexdigest()
            self._digests.keep(file.name, offset, receiver.digest)
            # Also when this task was cancelled: the row is written, and then it ends.
            noted = asyncio.ensure_future(self._in_rows(partial(reception.came, self._desk, file, offset, sha256)))
            await asyncio.wait([noted])
            noted.result()
        if fault is not None:
            raise fault
        if not fits:
            raise Fault(460, "Upload-Checksum: what came does not fit it, and was not kept; send it again.")
        return offset

    @contextlib.asynccontextmanager
    async def _opened(self, file: Incoming) -> AsyncIterator[int | None]:
        """The growing file, which no other process writes to either; None if it has all arrived."""
        if file.path is None:
            yield None
            return
        try:
            with held(file.path, create=True) as descriptor:
                yield descriptor
        except NotNow as error:
            raise Fault(423, str(error)) from error
        except OSError as error:
            raise StorageFailed(f"The upload can't be written: {why(error)}.") from error

    async def _in_rows(self, action: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._rows, reception.connected, action)

    async def _in_disk(self, action: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, action)


def _grown(file: Incoming) -> tuple[int, bool]:
    """How large the file is, and whether it is whole and no note says so: a server that is killed keeps none."""
    if file.path is None:
        return file.row.size_bytes, False
    try:
        size_bytes = file.path.stat().st_size
        if size_bytes < file.row.size_bytes:
            return size_bytes, False
        with held(file.path) as descriptor:  # what somebody still writes may yet be taken back
            return os.fstat(descriptor).st_size, os.fstat(descriptor).st_size == file.row.size_bytes
    except FileNotFoundError:
        return 0, False
    except NotNow:
        return size_bytes, False


def _disk_fault(error: OSError, offset: int) -> Fault:
    status = 507 if error.errno in _FULL else 500
    sentence = f"The upload can't be written: {why(error)}. It can go on from byte {offset} later."
    return Fault(status, sentence, {"Upload-Offset": str(offset)})


def _expiry(file: Incoming) -> dict[str, str]:
    return {} if file.path is None else {"Upload-Expires": format_datetime(file.expires_at, usegmt=True)}


def _abilities() -> dict[str, str]:
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,termination,checksum,expiration",
        "Tus-Checksum-Algorithm": "sha256",
        "Tus-Max-Size": str(MAX_FILE_BYTES),
    }


def _metadata(header: str) -> dict[str, str]:
    """Upload-Metadata: pairs of a key and a base64 value. Raises Refused."""
    found: dict[str, str] = {}
    try:
        for pair in filter(None, (one.strip() for one in header.split(","))):
            key, _, value = pair.partition(" ")
            found[key] = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as cause:
        raise Refused("Upload-Metadata: keys with UTF-8 text in base64, parted by commas, are right.") from cause
    return found
