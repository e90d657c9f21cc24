"""What follows a failure: the reason decides, and the blueprint's limits say how often and how soon."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from neurocaas.reasons import Reason

LONGEST_WAIT_SECONDS = 600.0


class Action(StrEnum):
    RETRY_HERE = "retry here"
    RETRY_ELSEWHERE = "retry elsewhere"
    GIVE_UP = "give up"


# The machine failed: again. The provider wants it back, or has none: somewhere else. All others would fail again.
ACTIONS: dict[Reason, Action] = dict.fromkeys(Reason, Action.GIVE_UP) | {
    Reason.INSTANCE_LOST: Action.RETRY_HERE,
    Reason.INTERRUPTED: Action.RETRY_ELSEWHERE,
    Reason.NO_CAPACITY: Action.RETRY_ELSEWHERE,
}

# These cost nothing, as no instance was had, and so do not count against the attempts that a blueprint permits.
UNCOUNTED = frozenset({Reason.NO_CAPACITY})


def wait_before(attempt: int, backoff_seconds: float) -> timedelta:
    """How long to wait before the next attempt when `attempt` of them failed: twice as long each time, up to 10 min."""
    return timedelta(seconds=min(backoff_seconds * 2.0 ** min(attempt - 1, 30), LONGEST_WAIT_SECONDS))
