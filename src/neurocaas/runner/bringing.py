"""Bring to this machine what an attempt needs and what is not here: trees of its environment, files of its workflow.

Each is brought once and kept on a shelf, by the name that its archive has in the store: a digest, so it never changes.
"""

from __future__ import annotations

import fcntl
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from neurocaas.errors import NotFound
from neurocaas.reasons import Reason
from neurocaas.runner.document import AttemptDocument
from neurocaas.runner.stopped import Stopped
from neurocaas.storage import Store


def bring(document: AttemptDocument, store: Store) -> AttemptDocument:
    """The document with places on this machine. Raises Stopped if something is neither here nor in the store."""
    if document.shelf is None:
        return document
    shelf = _Shelf(document.shelf, store)
    workflow, environment = document.workflow, document.environment
    mounts = tuple(
        one.model_copy(update={"source": shelf.place(one.source, one.archive)}) for one in environment.mounts
    )
    return document.model_copy(
        update={
            "workflow": workflow.model_copy(update={"files": shelf.place(workflow.files, workflow.archive)}),
            "environment": environment.model_copy(update={"mounts": mounts}),
        }
    )


class _Shelf:
    """Unpacked archives of the store."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store

    def place(self, source: Path, archive: str) -> Path:
        """The tree's place: where it is already, or where it is now."""
        if not archive or source.exists():
            return source
        tree = self._folder / PurePath(archive).name.partition(".")[0]
        if not tree.exists():
            with self._alone(tree):
                if not tree.exists():
                    self._unpack(archive, tree)
        return tree

    def _unpack(self, archive: str, tree: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=".bringing-", dir=self._folder) as temporary:
            packed, unpacked = Path(temporary) / "archive", Path(temporary) / "tree"
            unpacked.mkdir()
            try:
                self._store.get_file(archive, packed)
                with tarfile.open(packed) as tar:
                    # The site made it. Its links may name places that only the sandbox has.
                    tar.extractall(unpacked, filter="tar")
            except NotFound as cause:
                raise Stopped(Reason.ENVIRONMENT_BROKEN, f"A part of the analysis is gone: {cause.message}") from cause
            except (tarfile.TarError, EOFError, OSError) as cause:
                shutil.rmtree(unpacked, ignore_errors=True)
                raise Stopped(
                    Reason.ENVIRONMENT_BROKEN, f"A part of the analysis, {archive}, could not be unpacked: {cause}."
                ) from cause
            unpacked.chmod(0o755)
            unpacked.rename(tree)

    @contextmanager
    def _alone(self, tree: Path) -> Iterator[None]:
        """One attempt on this machine brings a tree; the others wait for it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tree.with_name(f".{tree.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
