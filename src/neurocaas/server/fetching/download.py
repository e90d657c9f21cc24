"""The bytes of one file: counted, digested and written as they arrive, and taken up again where a connection broke."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable

from neurocaas.errors import Refused, RemoteFailed
from neurocaas.server.fetching.network import Answer, Broken, Web, status_fault
from neurocaas.server.fetching.resuming import Note, digested
from neurocaas.settings import FetchLimits
from neurocaas.storage.copying import write_all

MAX_BREAKS = 10
_LONGEST_PAUSE_SECONDS = 30.0
_PROGRESS_BYTES = 1 << 20
_WINDOW_SECONDS = 60.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Download:
    """One file on its way into a descriptor."""

    def __init__(
        self,
        *,
        web: Web,
        url_for: Callable[[str], str],
        descriptor: int,
        progress: Callable[[int, int | None], None],
        note: Note | None = None,
    ) -> None:
        """note: of what the descriptor has already, and for whoever goes on after this process."""
        self.received_bytes = 0
        self._web = web
        self._url_for = url_for
        self._descriptor = descriptor
        self._progress = progress
        self._digest = hashlib.sha256()
        self._note = note
        self._etag = note.etag() if note else ""
        if self._etag:
            self.received_bytes, self._digest = digested(descriptor)

    def run(self) -> str:
        """Bring all of it. Returns its SHA-256. Raises as `fetch` does, and OSError for the disk."""
        for breaks in range(1, MAX_BREAKS + 1):
            try:
                self._once()
                return self._digest.hexdigest()
            except Broken as error:
                last = error
            self._web.left_seconds()
            self._web.network.pause(min(2.0 ** (breaks - 2), _LONGEST_PAUSE_SECONDS))
        raise RemoteFailed(f"It broke off {MAX_BREAKS} times; at last: {last.message}") from last

    def _once(self) -> None:
        headers = {}
        if self.received_bytes and self._etag:
            headers = {"Range": f"bytes={self.received_bytes}-", "If-Range": self._etag}
        with self._web.open("GET", self._url_for("GET"), headers=headers) as answer:
            self._take_up(answer)
            total = declared_bytes(answer)
            if total is not None:
                refuse_larger(total, self._web.limits)
            self._receive(answer, total)
            if total is not None and self.received_bytes != total:
                raise Broken(f"{self.received_bytes} of {total} bytes arrived.")

    def _take_up(self, answer: Answer) -> None:
        """Go on where the connection broke if the server does, else from the start."""
        if answer.status == 206 and self.received_bytes:
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
            if found and int(found[1]) == self.received_bytes:
                refuse_packed(answer)
                return
        if answer.status in {206, 416}:
            self._etag = ""  # it can't go on, so the next request starts from the beginning
            raise Broken(f"{answer.place.host} does not go on where it broke off.")
        if answer.status != 200:
            raise status_fault(answer)
        refuse_packed(answer)
        etag = answer.headers.get("etag", "")
        self._etag = "" if etag.startswith("W/") else etag
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._digest = hashlib.sha256()
        self.received_bytes = 0
        if self._note:
            self._note.write(self._etag)

    def _receive(self, answer: Answer, total: int | None) -> None:
        limits, clock = self._web.limits, self._web.network.clock
        slowest_bytes = limits.slowest_kib_per_second * 1024 * _WINDOW_SECONDS
        since, before, told = clock(), self.received_bytes, self.received_bytes
        for block in answer.body:
            self.received_bytes += len(block)
            refuse_larger(self.received_bytes, limits)
            self._digest.update(block)
            write_all(self._descriptor, block)
            if self.received_bytes - told >= _PROGRESS_BYTES:
                told = self.received_bytes
                self._progress(told, total)
            if clock() - since >= _WINDOW_SECONDS:
                if self.received_bytes - before < slowest_bytes:
                    raise RemoteFailed(
                        f"{answer.place.host} sends less than {limits.slowest_kib_per_second:g} KiB per second."
                    )
                since, before = clock(), self.received_bytes
        self._progress(self.received_bytes, total)


def declared_bytes(answer: Answer) -> int | None:
    """How large the whole file is, as the server says."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    text = found[3] if found else answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def refuse_larger(size_bytes: int, limits: FetchLimits) -> None:
    """Raises Refused for more than may be fetched."""
    if size_bytes > limits.max_bytes:
        raise Refused(
            f"The file has {size_bytes / (1 << 30):.3g} GiB or more; at most {limits.max_gib:g} GiB are fetched.",
            remedy="Upload it instead, or ask an operator to raise fetching.max_gib in site.json.",
        )


def refuse_packed(answer: Answer) -> None:
    """Raises Refused for a body that would have to be unpacked: what is asked for is the file as it is."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise Refused(f"{answer.place.host} packs the file ({encoding[:40]}) although it was asked not to.")
