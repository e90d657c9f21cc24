"""A look at a remote file, and the file itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urlsplit

from neurocaas.errors import NeurocaasError, RemoteFailed, StorageFailed
from neurocaas.server.fetching.download import Download, declared_bytes, refuse_larger, refuse_packed
from neurocaas.server.fetching.network import Answer, Network, Web, status_fault
from neurocaas.server.fetching.resuming import Note
from neurocaas.server.fetching.sources import Source, locate
from neurocaas.settings import FetchLimits
from neurocaas.storage import keys
from neurocaas.storage.copying import appearing, growing
from neurocaas.storage.faults import why

LOOK_MINUTES = 1.0  # a person waits for the look
# Some servers answer no HEAD at all, or sign their addresses for GET only.
_NO_HEAD = frozenset({400, 403, 405, 501})


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What a server says about a file. `size_bytes` is None and `etag` empty where it does not say.

    url: where the file was found, after all redirects, whose queries are left out.
    """

    name: str
    size_bytes: int | None
    etag: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that has arrived."""

    sha256: str
    size_bytes: int


def describe(url: str, *, limits: FetchLimits, network: Network | None = None) -> Remote:
    """What stands behind an address; nothing is fetched. Raises Refused, NotFound or RemoteFailed."""
    limits = limits.model_copy(update={"total_minutes": min(limits.total_minutes, LOOK_MINUTES)})
    with Web(limits, network or Network()) as web:
        source = locate(url, web)
        if source.size_bytes is not None:
            refuse_larger(source.size_bytes, limits)
            name = safe_name(source.name)
            return Remote(name=name, size_bytes=source.size_bytes, etag=source.etag, url=source.shown)
        with web.open("HEAD", source.url_for("HEAD")) as answer:
            if answer.status not in _NO_HEAD:
                return _remote(url, source, answer, limits)
        with web.open("GET", source.url_for("GET"), headers={"Range": "bytes=0-0"}) as answer:
            return _remote(url, source, answer, limits)


def fetch(
    url: str,
    to: Path,
    *,
    limits: FetchLimits,
    progress: Callable[[int, int | None], None] = lambda _received, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
    network: Network | None = None,
    resumable: bool = False,
) -> Fetched:
    """Bring the file to `to`, which appears when it is complete, or not at all.

    progress: is told the bytes received and, where known, all. resumable: what has arrived is kept beside `to` if this
    process is killed, or this call fails, and the next call goes on there, provided that the server has the same file
    still. Raises Refused, NotFound, RemoteFailed, StorageFailed (the disk) and Cancelled.
    """
    with Web(limits, network or Network(), cancelled) as web:
        source = locate(url, web)
        if source.size_bytes is not None:
            refuse_larger(source.size_bytes, limits)
        try:
            with growing(to) if resumable else appearing(to) as descriptor:
                note = Note(to.with_name(f"{to.name}.note")) if resumable else None
                download = Download(
                    web=web, url_for=source.url_for, descriptor=descriptor, progress=progress, note=note
                )
                sha256 = download.run()
                _compare(source, sha256, download.received_bytes)
        except OSError as error:
            raise StorageFailed(f"{to.name} could not be written while it arrived: {why(error)}.") from error
    return Fetched(sha256=sha256, size_bytes=download.received_bytes)


def safe_name(name: str) -> str:
    """A name for a file, from what a server calls it: the last part of a path, whatever else it may contain."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    printable = "".join(character for character in last if character.isprintable()).strip()
    stem, dot, suffix = printable.rpartition(".")
    if dot and stem and len(suffix.encode()) < 20:
        room = keys.SEGMENT_BYTES - len(f".{suffix}".encode())
        printable = f"{stem.encode()[:room].decode(errors='ignore')}.{suffix}"
    try:
        return keys.segment(printable.encode()[: keys.SEGMENT_BYTES].decode(errors="ignore"))
    except NeurocaasError:
        return "download"


def _remote(url: str, source: Source, answer: Answer, limits: FetchLimits) -> Remote:
    if answer.status not in {200, 206}:
        raise status_fault(answer)
    refuse_packed(answer)
    size_bytes = declared_bytes(answer)
    if size_bytes is not None:
        refuse_larger(size_bytes, limits)
    shown = source.shown if url.startswith("s3://") else answer.place.url
    if answer.redirected:
        shown = shown.partition("?")[0]  # where it leads may be signed
    return Remote(
        name=safe_name(source.name or _called(answer) or _last_part(shown) or _last_part(url)),
        size_bytes=size_bytes,
        etag=answer.headers.get("etag", ""),
        url=shown,
    )


def _called(answer: Answer) -> str:
    """The name in Content-Disposition; the standard library knows its encodings."""
    message = Message()
    message["Content-Disposition"] = answer.headers.get("content-disposition", "")
    try:
        return message.get_filename("")
    except (LookupError, ValueError):  # an encoding that does not exist
        return ""


def _last_part(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _compare(source: Source, sha256: str, size_bytes: int) -> None:
    if source.size_bytes not in {None, size_bytes}:
        raise RemoteFailed(f"{size_bytes} bytes arrived of a file that has {source.size_bytes}; try again later.")
    if source.sha256 and source.sha256 != sha256:
        raise RemoteFailed(
            "What arrived is not what the archive describes: their SHA-256 digests differ; try again later."
        )
