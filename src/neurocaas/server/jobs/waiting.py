"""The stacks that wait for an instance, in the order in which they came: a window on them in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from neurocaas.reasons import Reason
from neurocaas.server.jobs.models import Stack, waiting
from neurocaas.server.jobs.status import Status

READ_AT_ONCE = 256
UNEXPLAINED = frozenset({"", Reason.WAITING_FOR_ENVIRONMENT})


@dataclass(kw_only=True)
class Skipped:
    """What can't be launched in this pass: stacks of these jobs and steps, and those priced for these types."""

    jobs: set[str] = field(default_factory=set)
    steps: set[int] = field(default_factory=set)
    instance_types: set[str] = field(default_factory=set)

    def has(self, stack: Stack) -> bool:
        return stack.job_id in self.jobs or stack.step_id in self.steps or stack.instance_type in self.instance_types

    def excluded(self) -> Iterator[tuple[str, Collection[object]]]:
        """The fields by which a query leaves them out, with their values."""
        for name, ones in (("job_id", self.jobs), ("step_id", self.steps), ("instance_type", self.instance_types)):
            if ones:
                yield name, ones


class WaitingQueue:
    """Read from the database a part at a time; what is not launched stays for the next pass."""

    def __init__(self) -> None:
        self._stacks: deque[Stack] = deque()
        self._types: set[str] = set()  # for which stacks wait, or did not long ago

    def clear(self) -> None:
        """Read everything again."""
        self._stacks.clear()
        self._types.clear()

    def first(self, skipped: Skipped, now: datetime) -> Stack | None:
        """The first stack that may be launched now; it stays in the queue until it is popped."""
        if skipped.instance_types and skipped.instance_types >= self._types:
            return None  # no instance is free for any stack that waits, so looking for one more is in vain
        while self._stacks and skipped.has(self._stacks[0]):
            self._stacks.popleft()
        if not self._stacks:
            due = _launchable().exclude(retry_at__gt=now)
            for name, ones in skipped.excluded():
                due = due.exclude(**{f"{name}__in": ones})
            self._put(due[:READ_AT_ONCE])
        return self._stacks[0] if self._stacks else None

    def pop(self) -> Stack:
        return self._stacks.popleft()

    def take_due(self, since: datetime, now: datetime) -> None:
        """Give the stacks that became due since then their places, before those that came after them.

        What would come after all that is here, or meets an empty queue, is read when that is filled again.
        """
        if self._stacks:
            due = _launchable().filter(retry_at__gte=since, retry_at__lte=now, pk__lt=self._stacks[-1].pk)
            queued = {one.pk: one for one in (*due, *self._stacks)}
            self._stacks.clear()
            self._put(queued[pk] for pk in sorted(queued))

    def explain(self, message: str, stacks: QuerySet[Stack]) -> None:
        """Say why these stacks wait, once: that other numbers are free by now is not told again."""
        if self._stacks[0].reason not in UNEXPLAINED:
            return
        told = stacks.filter(status=Status.WAITING, ready__in=[True], reason__in=UNEXPLAINED)
        told.update(reason=Reason.WAITING_FOR_INSTANCE, message=message)
        for stack in self._stacks:
            if stack.reason in UNEXPLAINED:
                stack.reason = Reason.WAITING_FOR_INSTANCE

    def _put(self, stacks: Iterable[Stack]) -> None:
        self._stacks.extend(stacks)
        self._types |= {one.instance_type for one in self._stacks}


def _launchable() -> QuerySet[Stack]:
    """Stacks that wait for an instance, in the order in which they came.

    Prefetched, so that all stacks of a job share one row of it in memory, and see it move.
    """
    return waiting(ready=True).filter(job__cancel_requested=False).prefetch_related("job", "step").order_by("pk")
