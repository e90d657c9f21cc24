"""Watching live attempts: what they say is noted; one that is silent, or was told to stop and does not, is released."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from neurocaas.bank import Supplier
from neurocaas.server.jobs.followers import CHANGED, Followers
from neurocaas.server.jobs.launching import prefix, revoke
from neurocaas.server.jobs.logs import Latest, latest
from neurocaas.server.jobs.models import Attempt, Stack
from neurocaas.storage import Store

log = logging.getLogger(__name__)

SILENCE_SECONDS = 60.0  # a runner that wrote no segment for so long is taken for lost
CANCEL_GRACE_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 1.0  # progress is read from the store at most this often per attempt


@dataclass(kw_only=True)
class Watch:
    """What this manager has seen of a live attempt, in its own ticks: clocks of other machines need not agree."""

    sequence: int = -1
    changed_at: float
    looked_at: float
    interrupted_at: float | None = None


@dataclass(kw_only=True)
class Watching:
    """What the job manager knows of the attempts that are live, in memory alone: after it, another looks anew."""

    store: Store
    provider: Supplier
    followers: Followers
    ticks: Callable[[], float]  # seconds that pass only while this machine is awake
    silence_seconds: float = SILENCE_SECONDS
    grace_ends: datetime | None = None  # when the next runner that was asked to stop loses its instance
    _watches: dict[int, Watch] = field(default_factory=dict)

    def note_pending(self, attempt: Attempt, why: str) -> None:
        """Say why it has not begun. Nobody expects it to write anything."""
        self._watch(attempt).changed_at = self.ticks()
        if why != attempt.stack.note:
            attempt.stack.note = why
            Stack.objects.filter(pk=attempt.stack_id).update(note=why)
            self.followers.tell(attempt.stack.job_id, CHANGED)

    def note_progress(self, attempt: Attempt) -> None:
        """Tell how far it is. One that was silent for too long loses its lease and its allocation."""
        tick, watch = self.ticks(), self._watch(attempt)
        if tick - watch.looked_at < LOOK_AGAIN_SECONDS:
            return
        watch.looked_at = tick
        seen: Latest | None = latest(self.store, prefix(attempt), after=watch.sequence)
        if seen is not None:
            watch.sequence, watch.changed_at = seen.sequence, tick
            Stack.objects.filter(pk=attempt.stack_id).update(progress=seen.progress, note=seen.message)
            self.followers.tell(attempt.stack.job_id, CHANGED)
        elif tick - watch.changed_at > self.silence_seconds:
            # Without its lease it must not go on elsewhere; without its allocation it can't go on here.
            revoke(attempt, self.store)
            self.provider.release(attempt.handle)
            log.warning("%s was silent for %s s; released", attempt, self.silence_seconds)

    def stop(self, attempt: Attempt, now: datetime) -> None:
        """Ask the runner to stop; one that has not after a while loses its instance, and this pass sees it gone."""
        tick, watch = self.ticks(), self._watch(attempt)
        if watch.interrupted_at is None:
            revoke(attempt, self.store)
            self.provider.interrupt(attempt.handle)
            watch.interrupted_at = tick
            grace_ends = now + timedelta(seconds=CANCEL_GRACE_SECONDS)
            self.grace_ends = min(self.grace_ends or grace_ends, grace_ends)
        elif tick - watch.interrupted_at >= CANCEL_GRACE_SECONDS:
            self.provider.release(attempt.handle)

    def grace_is_over(self, now: datetime) -> bool:
        """Whether all must be looked at for one that was asked to stop. Said once."""
        if self.grace_ends is None or now < self.grace_ends:
            return False
        self.grace_ends = None
        return True

    def forget(self, attempt: Attempt) -> None:
        self._watches.pop(attempt.pk, None)

    def _watch(self, attempt: Attempt) -> Watch:
        watch = self._watches.get(attempt.pk)
        if watch is None:
            tick = self.ticks()
            watch = self._watches[attempt.pk] = Watch(changed_at=tick, looked_at=tick - LOOK_AGAIN_SECONDS)
        return watch
