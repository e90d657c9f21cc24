"""Large bodies read from the socket by a thread, where the server lets us: each byte is copied twice, not five times.

An ASGI server copies a body out of its parser's and its own buffers, in the one thread that also serves the pages.
With `DirectProtocol` uvicorn tells an application what transport a request came by; reading is paused there, and a
thread receives the rest of the body into one buffer, from which it is written and digested while the processor still
has it at hand. The connection is closed after the answer, since uvicorn never saw the end of the request.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from neurocaas.server.uploads.receiver import Receiver

EXTENSION = "neurocaas.transport"
LEAST_BYTES = 4 << 20  # less is not worth a connection
BUFFER_BYTES = 256 << 10  # what a core keeps at hand
SILENT_SECONDS = 300.0


class DirectProtocol(HttpToolsProtocol):
    """What `uvicorn.Config(http=DirectProtocol)` takes: HTTP as usual, with the transport among the extensions."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: Any = {EXTENSION: self.transport}
        self.scope["extensions"] = extensions


def transport_of(scope: Mapping[str, Any]) -> asyncio.Transport | None:
    """The transport of a request whose socket may be read here; no other server names one, and one with TLS is none."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(EXTENSION)
    if transport is None or transport.get_extra_info("ssl_object") is not None:
        return None
    return transport


def duplicate(transport: asyncio.Transport) -> socket.socket:
    """The transport's socket under a descriptor of its own, which is the caller's to close."""
    connection = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    connection.settimeout(SILENT_SECONDS)
    return connection


def pump(connection: socket.socket, receiver: Receiver, left: int, seen: Callable[[], None]) -> bool:
    """Receive so many bytes to the disk, in this thread. False if the sender went away or silent before.

    What came is written in any case. Raises OSError if it can't be.
    """
    buffer = memoryview(bytearray(min(BUFFER_BYTES, max(1, left))))
    while left:
        filled = _fill(connection, buffer[:left])
        receiver.write([buffer[:filled]])
        left -= filled
        seen()
        if left and filled < len(buffer):
            return False
    return True


def _fill(connection: socket.socket, buffer: memoryview) -> int:
    """How much of the buffer was filled: less than all of it only at the end."""
    filled = 0
    try:
        while filled < len(buffer) and (count := connection.recv_into(buffer[filled:])):
            filled += count
    except OSError:  # reset, or silent for too long: gone
        return filled
    return filled
