"""The tus application's side of ASGI: what comes, what is answered, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STALLED_SECONDS = 300.0


class Fault(Exception):
    """An answer that is not a success. headers: beyond those of every answer."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}


class Disconnected(Exception):
    """The sender has gone; nobody is there to be answered."""


async def next_message(receive: Receive) -> Message:
    """What comes next of a request's body. Raises Fault if nothing does, Disconnected if nobody is there."""
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            message = await receive()
    except TimeoutError:
        raise Fault(408, f"Nothing came for {STALLED_SECONDS:g} seconds; go on with the upload.") from None
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message


def announced_bytes(scope: Scope) -> int:
    """What the request says that its body has; 0 if it says nothing."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """As RFC 9457 has it."""
    title = "Checksum mismatch" if status == 460 else HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": sentence}).encode()
    return status, {"Content-Type": "application/problem+json", **(headers or {})}, body
