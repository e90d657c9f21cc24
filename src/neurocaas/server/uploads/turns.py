"""One connection at a time writes to a file; one that has gone silent loses its turn to the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from neurocaas.server.uploads.wire import Fault

IDLE_SECONDS = 10.0  # after which another connection may take an upload over


@dataclass
class Turn:
    """A connection that writes to a file. seen: when something last came."""

    task: asyncio.Task[Any]
    seen: float
    lost: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """Who writes to which file now. All of it runs on one event loop."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._turns: dict[str, Turn] = {}

    @contextlib.asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[Turn]:
        """The turn to write to the file of this name. Raises Fault while another connection has it."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        while (other := self._turns.get(name)) is not None:
            if loop.time() - other.seen < self._idle_seconds:
                raise Fault(423, "Another connection is sending this file; try again in a moment.")
            other.lost = True
            other.task.cancel()
            await other.ended.wait()
        turn = self._turns[name] = Turn(task=task, seen=loop.time())
        try:
            yield turn
        except asyncio.CancelledError:
            if not turn.lost:
                raise
            task.uncancel()
            raise Fault(423, "Another connection goes on with this upload.") from None
        finally:
            del self._turns[name]
            turn.ended.set()
