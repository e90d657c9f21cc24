"""One bell for the web process, which tells every stream that follows a job what the manager rings."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator

from neurocaas.bell import Bell
from neurocaas.server.jobs.followers import CHANGED, everybody
from neurocaas.settings import Settings

# Linux keeps as few rings as this for who does not listen (net.unix.max_dgram_qlen) and turns more away: where so many
# were waiting, anything may have happened to any job.
CROWDED = 10
BEHIND = 16  # a stream that is so many changes behind needs only to know that there were some


class Hub:
    """Fans out changes of jobs to the asyncio tasks that wait for them. All of it runs on one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)
        self._bell: Bell | None = None
        self._released = False

    def open(self, settings: Settings) -> None:
        """Listen, on the running loop."""
        self._bell = Bell(everybody(settings))
        asyncio.get_running_loop().add_reader(self._bell.fileno(), self._rung)

    def release(self) -> None:
        """Let every stream end, those too that begin from now on: the process is about to end."""
        self._released = True
        for queues in self._waiting.values():
            for queue in queues:
                _put(queue, "")

    def close(self) -> None:
        """Listen no longer."""
        self.release()
        if self._bell is not None:
            asyncio.get_running_loop().remove_reader(self._bell.fileno())
            self._bell.close()

    @contextlib.contextmanager
    def follow(self, job_id: str) -> Iterator[asyncio.Queue[str]]:
        """A queue of what happens to the job: "changed", "ended"; "" when the process is about to end."""
        queue: asyncio.Queue[str] = asyncio.Queue(BEHIND)
        self._waiting[job_id].add(queue)
        if self._released:
            _put(queue, "")
        try:
            yield queue
        finally:
            self._waiting[job_id].discard(queue)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    @property
    def following(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _rung(self) -> None:
        assert self._bell is not None
        messages = self._bell.drain()
        if len(messages) >= CROWDED:
            messages += [f"{job_id} {CHANGED}" for job_id in self._waiting]
        for message in messages:
            job_id, _, what = message.partition(" ")
            for queue in self._waiting.get(job_id, ()):
                _put(queue, what)


def _put(queue: asyncio.Queue[str], what: str) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(what)


hub = Hub()
