"""Digests take as long as the data is large, so they are computed in threads and each upload by one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

AT_ONCE = 2


class Checks:
    """The checks that run now, in this process. The threads start with the first of them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check")
        self._running: dict[UUID, Future[None]] = {}
        self._lock = threading.Lock()

    def start(self, upload: UUID, check: Callable[[], None]) -> Future[None]:
        """The upload's check: the one that runs already, or else this one."""
        with self._lock:
            running = self._running.get(upload)
            if running is None:
                running = self._running[upload] = self._threads.submit(_connected, check)
                running.add_done_callback(lambda _: self._running.pop(upload, None))
            return running


def _connected(check: Callable[[], None]) -> None:
    """With a database connection of this thread's own, which is given back at the end."""
    from django.db import connections

    try:
        check()
    finally:
        connections.close_all()
