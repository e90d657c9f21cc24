"""What a runner wrote last: how its attempt ended. A record with another token than the attempt's changes nothing."""

from __future__ import annotations

from pathlib import Path

from neurocaas.errors import NotFound
from neurocaas.runner.document import ExitRecord
from neurocaas.server.jobs.launching import prefix, work_folder
from neurocaas.server.jobs.models import Attempt
from neurocaas.storage import Store, keys


def stored(attempt: Attempt, store: Store) -> ExitRecord | None:
    """What the attempt's runner put into the store. Raises ValueError if it is no record."""
    try:
        data = store.get(keys.exit_record(prefix(attempt)))
    except NotFound:
        return None
    record = ExitRecord.model_validate_json(data)
    return record if record.token == attempt.token else None


def unstored(attempt: Attempt, work_root: Path) -> ExitRecord | None:
    """What a runner on this machine left in its work folder because the store did not take it.

    Raises ValueError if it is no record.
    """
    try:
        data = (work_folder(work_root, attempt) / "exit.json").read_bytes()
    except OSError:
        return None
    record = ExitRecord.model_validate_json(data)
    # Results that are not in the store are no results.
    return record if record.token == attempt.token and not record.succeeded else None
