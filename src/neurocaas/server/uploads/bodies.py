"""How bodies get from the socket to the disk: by the server's messages, or by a thread that reads the socket itself.

Two batches at most are in memory for each connection, one being received and one being written; while the disk is
slower than the network, the network waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from neurocaas.server.uploads import direct
from neurocaas.server.uploads.receiver import Receiver
from neurocaas.server.uploads.turns import Turn
from neurocaas.server.uploads.wire import Disconnected, Fault, Receive, next_message

BATCH_BYTES = 1 << 20
PUMPS = 32  # connections that are read directly at one time; the others take the server's way


class Bodies:
    """Receives bodies. disk: whose threads write what the server's messages bring."""

    def __init__(self, disk: Executor) -> None:
        self._disk = disk
        self._pumps = ThreadPoolExecutor(PUMPS, thread_name_prefix="tus-pump")
        self._pumping = 0

    @property
    def busy(self) -> bool:
        """Whether as many connections are read directly as may be."""
        return self._pumping >= PUMPS

    async def stream(self, receiver: Receiver, left: int, turn: Turn, receive: Receive) -> None:
        """From the socket to the disk. Whatever ends it, all that came is written before it returns or raises."""
        loop = asyncio.get_running_loop()
        writing: asyncio.Future[None] | None = None
        blocks: list[bytes] = []
        collected = 0
        try:
            more = True
            while more:
                message = await next_message(receive)
                turn.seen = loop.time()
                block: bytes = message.get("body", b"")[: left + 1]
                more = message.get("more_body", False)
                if len(block) > left:
                    blocks.append(block[:left])
                    raise Fault(413, "More came than Upload-Length says; the rest was not kept.")
                left -= len(block)
                if block:
                    blocks.append(block)
                    collected += len(block)
                if collected >= BATCH_BYTES or (blocks and not more):
                    await _written(writing)
                    writing = loop.run_in_executor(self._disk, receiver.write, blocks)
                    blocks, collected = [], 0
        finally:
            # A thread can't be cancelled, and must not write to a file that is another connection's by then.
            await _written(writing)
            if blocks:
                await _written(loop.run_in_executor(self._disk, receiver.write, blocks))

    async def pump(
        self, receiver: Receiver, left: int, turn: Turn, receive: Receive, transport: asyncio.Transport
    ) -> None:
        """The same by a thread that reads the socket, after what the server has read of the body already."""
        loop = asyncio.get_running_loop()
        block: bytes = (await next_message(receive)).get("body", b"")
        transport.pause_reading()  # before the loop turns again, so nothing else is read there
        try:
            connection = direct.duplicate(transport)
        except OSError:  # closed just now
            raise Disconnected from None

        def seen() -> None:
            turn.seen = loop.time()

        def pumped() -> bool:
            receiver.write([block])
            return direct.pump(connection, receiver, left - len(block), seen)

        self._pumping += 1
        pumping = loop.run_in_executor(self._pumps, pumped)
        try:
            await asyncio.wait([pumping])
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # wakes the thread
            await _written(pumping)
            raise
        finally:
            self._pumping -= 1
            connection.close()
        if not pumping.result():
            transport.abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            raise Disconnected


async def _written(writing: asyncio.Future[Any] | None) -> None:
    """Wait for a thread to the end, even when cancelled meanwhile. Raises what it raised."""
    cancelled = False
    while writing is not None and not writing.done():
        try:
            await asyncio.wait([writing])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    if writing is not None:
        writing.result()
