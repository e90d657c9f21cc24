"""What the job manager has seen of a live attempt, and what is said of one that ended without a word."""

from __future__ import annotations

from dataclasses import dataclass

from neurocaas.bank import State
from neurocaas.reasons import Reason

UNBEGUN = frozenset({State.PENDING, State.UNAVAILABLE})
# What an attempt that ended without a record is said to have ended of.
LOST = dict.fromkeys(State, (Reason.INSTANCE_LOST, "The instance or its runner went away.")) | {
    State.INTERRUPTED: (Reason.INTERRUPTED, "The provider took the instance back."),
    State.UNAVAILABLE: (Reason.NO_CAPACITY, "No instance could be had."),
    State.TIMED_OUT: (Reason.TIMED_OUT, "The time that it may take was over."),
    State.OUT_OF_MEMORY: (Reason.OUT_OF_MEMORY, "It took more memory than it was given."),
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the provider knew of an allocation, and why it is so: a sentence, or empty."""

    state: State
    why: str
