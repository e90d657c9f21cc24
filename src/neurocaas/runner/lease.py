"""The runner's right to go on: a document in the store that the job manager keeps, or takes away."""

from __future__ import annotations

import time

from pydantic import ValidationError

from neurocaas.errors import NotFound, StorageFailed
from neurocaas.reasons import Reason
from neurocaas.runner.document import Lease
from neurocaas.runner.stopped import Stopped
from neurocaas.storage import Store, keys

PATIENCE_SECONDS = 60.0


class LeaseWatch:
    """Asks for the lease now and then. A store that can't be reached is given a minute: then it counts as lost."""

    def __init__(self, store: Store, prefix: str, token: str, *, interval_seconds: float) -> None:
        self._store = store
        self._key = keys.lease(prefix)
        self._token = token
        self._interval_seconds = interval_seconds
        self._seen = time.monotonic()
        self.next_look = 0.0

    def look(self) -> None:
        """Raises Stopped when the lease is gone or another's."""
        now = time.monotonic()
        self.next_look = now + self._interval_seconds
        try:
            lease = Lease.model_validate_json(self._store.get(self._key))
        except (NotFound, ValidationError):
            raise Stopped(Reason.CANCELLED, "The attempt was cancelled: its lease was taken away.") from None
        except StorageFailed as cause:
            if now - self._seen < PATIENCE_SECONDS:
                return
            message = f"The attempt stopped because its lease could not be read for a minute: {cause.message}"
            raise Stopped(Reason.INSTANCE_LOST, message) from cause
        if lease.token != self._token:
            raise Stopped(Reason.CANCELLED, "The attempt was cancelled: its lease belongs to another attempt.")
        self._seen = now
