"""The one exception with which any step of an attempt ends it."""

from __future__ import annotations

from neurocaas.reasons import Reason


class Stopped(Exception):
    """The attempt ends here, for a reason that a person can be told."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
