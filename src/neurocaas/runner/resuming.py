"""Before a workflow starts: put into its checkpoint folder what lets it go on from where an earlier attempt was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.runner.checkpoint import Manifest, last_checkpoint, restore
from neurocaas.runner.document import AttemptDocument
from neurocaas.runner.staging import Stage, make_empty
from neurocaas.storage import Store, keys

T = TypeVar("T")


def resume(
    document: AttemptDocument, stage: Stage, store: Store, *, note: Callable[[str], None], beat: Callable[[], None]
) -> None:
    """Fill the checkpoint folder, if the workflow declares checkpoints and there is one. The log says from where.

    One that is damaged or can't be had is not used: the workflow finds the folder empty and begins anew.
    note: says a sentence in the attempt's log. beat: called now and then meanwhile; raises Stopped to give up.
    """
    if not document.workflow.checkpoints:
        return
    try:
        manifest = meanwhile(lambda: _restore(document, stage, store), beat, every_seconds=document.heartbeat_seconds)
    except (NeurocaasError, OSError) as cause:
        make_empty(stage.checkpoint, stage.uid)
        note(f"The workflow begins anew: its last checkpoint can't be used, because {str(cause).rstrip('.')}.")
        return
    if manifest is not None:
        note(
            f"The workflow goes on from checkpoint {manifest.number} of attempt {manifest.attempt}, "
            f"taken at {manifest.taken_at}: {sum(one.size_bytes for one in manifest.files):,} bytes "
            f"in {len(manifest.files):,} files."
        )


def _restore(document: AttemptDocument, stage: Stage, store: Store) -> Manifest | None:
    # An attempt whose runner was started once more may have a checkpoint of its own.
    checkpoint = last_checkpoint(store, [document.prefix]) or document.checkpoint
    if checkpoint is None:
        return None
    try:
        return restore(store, checkpoint, stage.checkpoint, uid=stage.uid)
    except NotFound:
        # Its attempt was taken for lost, but may have gone on for a moment and replaced it.
        newer = last_checkpoint(store, [keys.attempt_of(checkpoint)])
        if newer in {None, checkpoint}:
            raise
        make_empty(stage.checkpoint, stage.uid)
        return restore(store, newer or checkpoint, stage.checkpoint, uid=stage.uid)


def meanwhile(action: Callable[[], T], beat: Callable[[], None], *, every_seconds: float) -> T:
    """What `action` gives or raises, done in a thread, with `beat` called now and then until it is done."""
    future: Future[T] = Future()

    def act() -> None:
        try:
            future.set_result(action())
        except BaseException as cause:  # noqa: BLE001 - raised again by the caller's thread
            future.set_exception(cause)

    thread = threading.Thread(target=act, name="resume", daemon=True)
    thread.start()
    while not wait([future], timeout=every_seconds).done:
        beat()
    # It is gone before the workflow is forked: a fork copies no thread but its own.
    thread.join()
    return future.result()
