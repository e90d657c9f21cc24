"""Answers that are files: read block by block as they are sent, a part of them if that is asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from neurocaas.storage import Store

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
# A result is what a workflow made of what somebody uploaded: nothing in it may run as a part of this site.
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'"


def stored(request: HttpRequest, store: Store, key: str, filename: str, *, inline: bool = False) -> HttpResponseBase:
    """The object, or that part of it which the request's Range names. Raises NotFound."""
    entry = store.head(key)
    size = entry.size_bytes if entry else len(store.get(key))  # the latter raises NotFound
    wanted = _wanted(request.headers.get("Range", ""), size)
    if wanted is None:
        answer: HttpResponseBase = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        return answer
    start, end = wanted
    answer = streamed(request, store.blocks(key, start, end), filename, inline=inline)
    answer.headers["Accept-Ranges"] = "bytes"
    answer.headers["Content-Length"] = str(end - start)
    if end - start < size:
        answer.status_code = 206
        answer.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return answer


def streamed(
    request: HttpRequest,
    blocks: Iterator[bytes],
    filename: str,
    *,
    content_type: str = "application/octet-stream",
    inline: bool = False,
) -> StreamingHttpResponse:
    """Blocks as they come. They must need no database: under ASGI each is read in some thread or other."""
    connection.close()  # a download may take hours, and asks for nothing more
    content = _in_threads(blocks) if isinstance(request, ASGIRequest) else blocks
    answer = StreamingHttpResponse(content, content_type=content_type)
    answer.headers["Content-Disposition"] = disposition(filename, inline=inline)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = SANDBOX
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer


def disposition(filename: str, *, inline: bool = False) -> str:
    """A header that names the file, whatever characters its name has (RFC 6266)."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", filename)
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _wanted(header: str, size: int) -> tuple[int, int] | None:
    """From which byte to before which: all of it where the header is not understood; None where there is nothing."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return 0, size
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return 0, size
    return (start, end) if start < end else None


async def _in_threads(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    try:
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            yield block
    finally:
        close = getattr(blocks, "close", None)
        if close is not None:
            await asyncio.to_thread(close)
