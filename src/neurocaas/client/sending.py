"""The bytes of one file on their way to a site: by tus to the site itself, or in parts straight to S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from neurocaas.client.connection import Connection, Later
from neurocaas.client.documents import PartsDone, PartsRequest, PartUrl, UploadFile
from neurocaas.documents import parse
from neurocaas.errors import NeurocaasError, Refused

BLOCK_BYTES = 1 << 20
AT_ONCE = 4
TUS = {"Tus-Resumable": "1.0.0"}
CONFLICT = 409


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file on this machine, as it was when its upload began. name: its path below the folder, with slashes."""

    name: str
    path: Path
    size_bytes: int
    mark: str  # its fingerprint


@dataclass(kw_only=True)
class Sent:
    """How many bytes were sent, told to `tell` as they are."""

    tell: Callable[[int], object] = lambda _: None
    total: int = 0
    _lock: Lock = field(default_factory=Lock)

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count
        self.tell(count)


def send_by_tus(connection: Connection, file: LocalFile, target: UploadFile, sent: Sent) -> None:
    """The rest of the file in one request, and again from where the site has it whenever the connection breaks off."""
    arrived = confirmed = target.offset
    sent.add(arrived)

    def rest() -> None:
        nonlocal arrived, confirmed
        confirmed = _offset(connection, target.tus_url)
        sent.add(confirmed - arrived)
        arrived = confirmed
        if arrived == file.size_bytes:
            return
        headers = TUS | {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(arrived),
            "Content-Length": str(file.size_bytes - arrived),
        }
        start = arrived

        def count(block: int) -> None:
            nonlocal arrived
            arrived += block
            sent.add(block)

        try:
            body = _blocks(file, start, file.size_bytes - start, count)
            with connection.opened("PATCH", target.tus_url, headers=headers, content=body) as answer:
                answer.read()
        except NeurocaasError as fault:
            if type(fault).http_status != CONFLICT:
                raise
            raise Later(fault, None) from None  # another connection, broken off, is not done with it yet

    # Whatever was sent before a break may not have arrived, so progress is what the site has.
    connection.insist(rest, done=lambda: confirmed)


def _offset(connection: Connection, url: str) -> int:
    answer = connection.request("HEAD", url, headers=TUS)
    return int(answer.headers.get("Upload-Offset", "0"))


def send_by_parts(connection: Connection, file: LocalFile, target: UploadFile, upload_id: str, sent: Sent) -> None:
    """Each part that is not there yet, several at once, each to an address of its own."""
    place = f"uploads/{upload_id}/parts"
    there = set(parse(PartsDone, connection.json("GET", place, path=target.path), "the answer").numbers)
    size = target.part_bytes or file.size_bytes or 1
    count = max(1, -(-file.size_bytes // size))
    sent.add(sum(_length(file, size, number) for number in there))

    def send(number: int) -> None:
        length = _length(file, size, number)

        def once() -> None:
            # Asked for anew each time: an address is good for a while only.
            body = PartsRequest(path=target.path, numbers=(number,)).model_dump(mode="json")
            (answered,) = connection.json("POST", place, body=body, harmless=True)
            url = parse(PartUrl, answered, "the answer").url
            blocks = _blocks(file, (number - 1) * size, length, lambda _: None)
            with connection.opened("PUT", url, headers={"Content-Length": str(length)}, content=blocks) as answer:
                answer.read()

        connection.insist(once)
        sent.add(length)

    missing = [number for number in range(1, count + 1) if number not in there]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="parts") as threads:
        for _ in threads.map(send, missing):
            pass


def _length(file: LocalFile, size: int, number: int) -> int:
    return max(0, min(size, file.size_bytes - (number - 1) * size))


def _blocks(file: LocalFile, start: int, length: int, tell: Callable[[int], object]) -> Iterator[bytes]:
    with file.path.open("rb") as source:
        source.seek(start)
        while length:
            block = source.read(min(BLOCK_BYTES, length))
            if not block:
                raise Refused(f"{file.path} became shorter while it was sent; send it when nothing writes to it.")
            length -= len(block)
            yield block
            tell(len(block))
