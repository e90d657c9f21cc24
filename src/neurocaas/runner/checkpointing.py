"""Take checkpoints while the workflow goes on: one at a time, in a thread of their own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from neurocaas.errors import NeurocaasError
from neurocaas.runner.checkpoint import Manifest, checkpoints, discard, keep, last_checkpoint
from neurocaas.runner.document import AttemptDocument
from neurocaas.runner.log import timestamp
from neurocaas.runner.snapshot import hold
from neurocaas.runner.staging import Stage, remove_tree
from neurocaas.sandbox import MIB
from neurocaas.storage import Store, keys
from neurocaas.storage.faults import why

PATIENCE_SECONDS = 2.0


class Checkpointing:
    """All is called by the one thread that follows the workflow. `fileno` is readable when `settle` is due."""

    def __init__(self, document: AttemptDocument, stage: Stage, store: Store, *, note: Callable[[str], None]) -> None:
        """note: says a sentence in the attempt's log."""
        self._document = document
        self._stage = stage
        self._store = store
        self._note = note
        self._number = 0
        self._last: str | None = None
        self._surplus: set[str] = set()
        self._thread: threading.Thread | None = None
        self._done = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ended = threading.Event()
        self._fault = ""
        self._asked_again = False
        self._failing = False

    def fileno(self) -> int:
        return self._done

    def ask(self) -> None:
        """Take a checkpoint of what is there from now on; if one is being stored, when that is done."""
        if self._thread is not None:
            self._asked_again = True
            return
        # A daemon: what hangs in a store must not keep the runner from ending.
        thread = threading.Thread(target=self._take, name="checkpoint", daemon=True)
        try:
            thread.start()
        except RuntimeError as cause:
            self._tell(f"{cause}.")
        else:
            self._thread = thread

    def settle(self) -> None:
        """One is done: say if it failed, and take the next if that was asked for."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._done)
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        self._tell(self._fault)
        if self._asked_again:
            self._asked_again = False
            self.ask()

    def end(self) -> None:
        """The workflow has ended: give up the checkpoint that is being stored."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._done)  # else it is closed with the process, which ends soon

    def _tell(self, fault: str) -> None:
        if fault and not self._failing:
            self._note(f"A checkpoint could not be stored: {fault} The next one will be tried.")
        self._failing = bool(fault)

    def _take(self) -> None:
        """The thread's part. Whatever happens to a checkpoint must not end the workflow."""
        try:
            self._fault = ""
            self._take_one()
        except Exception as cause:  # noqa: BLE001 - as said above
            self._fault = f"{why(cause)}." if isinstance(cause, OSError) else str(cause) or f"{type(cause).__name__}."
        finally:
            with contextlib.suppress(OSError):
                remove_tree(self._stage.held)
            os.eventfd_write(self._done, 1)

    def _take_one(self) -> None:
        document, held = self._document, self._stage.held
        taken_at = timestamp()
        remove_tree(held)
        held.mkdir(mode=0o700)
        files = hold(self._stage.checkpoint, held, limit_bytes=document.resources.storage_mib * MIB)
        checkpoint = self._next()
        manifest = Manifest(attempt=document.attempt, number=self._number, taken_at=taken_at, files=())
        superseded: str | None = checkpoint
        try:
            if keep(self._store, checkpoint, manifest, files, lambda: not self._ended.is_set()):
                self._last, superseded = checkpoint, self._last
        finally:
            self._discard(superseded)

    def _next(self) -> str:
        """The prefix of the next checkpoint. An attempt whose runner was started once more counts on."""
        prefix = self._document.prefix
        if not self._number:
            found = checkpoints(self._store, prefix)
            self._number = max(found, default=0)
            self._last = last_checkpoint(self._store, [prefix])
        self._number += 1
        return keys.checkpoint(prefix, self._number)

    def _discard(self, superseded: str | None) -> None:
        """Remove a checkpoint that is of no use, now or when the store lets us."""
        self._surplus |= {superseded} if superseded else set()
        for checkpoint in sorted(self._surplus):
            with contextlib.suppress(NeurocaasError):
                discard(self._store, checkpoint)
                self._surplus.discard(checkpoint)


@contextlib.contextmanager
def checkpointing(
    document: AttemptDocument, stage: Stage, store: Store, *, note: Callable[[str], None]
) -> Iterator[Checkpointing | None]:
    """What takes the checkpoints of the workflow that runs in this block; None if it declares none."""
    if not document.workflow.checkpoints:
        yield None
        return
    taking = Checkpointing(document, stage, store, note=note)
    try:
        yield taking
    finally:
        taking.end()
