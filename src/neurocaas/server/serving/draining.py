"""The web process is about to end: streams that would go on for hours end by themselves, so that nothing waits."""

from __future__ import annotations

import asyncio

_begun = asyncio.Event()


def begin() -> None:
    """Tell all streams of this process to end. Called on the event loop's thread."""
    _begun.set()


def begun() -> bool:
    return _begun.is_set()


async def wait() -> None:
    """Return when the process is about to end: an event stream waits for this beside its bell, and then ends."""
    await _begun.wait()
