"""The runner as a process: read the document, take the attempt's lock, say who performs it, perform it."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import traceback
from pathlib import Path

from pydantic import ValidationError

from neurocaas.errors import NeurocaasError
from neurocaas.runner.attempt import Attempt
from neurocaas.runner.document import AttemptDocument, RunnerRecord
from neurocaas.runner.supervision import Cancelling
from neurocaas.storage import Store, keys, open_store

DONE = 0
REFUSED = 2
NOT_STORED = 8


def read_document(path: Path) -> AttemptDocument:
    """Raises OSError or ValidationError."""
    return AttemptDocument.model_validate_json(path.read_bytes())


def main(document_path: str | Path) -> int:
    """Perform the attempt that the document describes; the exit status of the runner's process.

    DONE: the attempt has its exit record, or another runner performs it, or did before. REFUSED: no such document.
    NOT_STORED: the exit record could not be written.
    """
    try:
        document = read_document(Path(document_path))
    except (OSError, ValidationError) as cause:
        print(f"{document_path}: {cause}", file=sys.stderr)  # noqa: T201 - there is no store to write to yet
        return REFUSED
    return perform(document)


def main_with_ticket() -> int:
    """The same for a runner beyond the site's machine. REFUSED: the ticket is none, has ended, or was used."""
    from neurocaas.runner.arrival import arrive, take_ticket  # most runners need no HTTP client

    try:
        arrived = arrive(take_ticket())
    except (OSError, NeurocaasError) as cause:
        print(cause, file=sys.stderr)  # noqa: T201 - no store is open yet
        return REFUSED
    return perform(arrived.document, arrived.store)


def perform(document: AttemptDocument, store: Store | None = None) -> int:
    """Perform an attempt unless another process does so or has done so. Never raises.

    store: the site's, if it is open already.
    """
    lock = os.open(document.work / "runner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return DONE
    cancelling = Cancelling()
    try:
        # Before the lease is asked for: whoever takes it away can then find this process, or knows it will stop.
        _say_who(document.work)
        store = store or open_store(document.store)
        if store.head(keys.exit_record(document.prefix)) is not None:
            return DONE
        return DONE if Attempt(document, store, cancelling).perform() else NOT_STORED
    except (OSError, NeurocaasError):
        traceback.print_exc()
        return NOT_STORED
    finally:
        cancelling.close()
        os.close(lock)


def _say_who(work: Path) -> None:
    pid = os.getpid()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = RunnerRecord(pid=pid, start_ticks=start_ticks(pid), boot_id=boot_id)
    temporary = work / "runner.json.new"
    temporary.write_text(json.dumps(record.model_dump()))
    temporary.replace(work / "runner.json")


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot: with the pid it names a process for good, until the reboot."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return int(stat.rpartition(b")")[2].split()[19])
