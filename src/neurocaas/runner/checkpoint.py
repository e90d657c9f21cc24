"""Checkpoints in the store: each is files and, written last, a manifest. Without its manifest there is none.

Below an attempt's prefix, `checkpoints/{number}/files/{index}` and `checkpoints/{number}/manifest.json`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from neurocaas.documents import Document
from neurocaas.errors import Altered
from neurocaas.storage import Store, digest_file, keys
from neurocaas.storage.copying import appearing, copy_contents, open_regular


class Kept(Document):
    """One file: its path in the checkpoint folder."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(Document):
    """files: the n-th is the checkpoint's n-th object. taken_at: ISO 8601 in UTC."""

    attempt: str
    number: int
    taken_at: str
    files: tuple[Kept, ...]


def last_checkpoint(store: Store, attempt_prefixes: Sequence[str]) -> str | None:
    """The key prefix of the last whole checkpoint of the first of these attempts that has any; newest attempt first."""
    for prefix in attempt_prefixes:
        whole = [number for number, is_whole in checkpoints(store, prefix).items() if is_whole]
        if whole:
            return keys.checkpoint(prefix, max(whole))
    return None


def checkpoints(store: Store, prefix: str) -> dict[int, bool]:
    """The numbers of all checkpoints of an attempt, each with whether it is whole."""
    found: dict[int, bool] = {}
    above = f"{keys.checkpoints(prefix)}/"
    for entry in store.list(keys.checkpoints(prefix)):
        name = entry.key.removeprefix(above).partition("/")[0]
        if not name.isdecimal():
            continue
        number = int(name)
        is_manifest = entry.key == keys.checkpoint_manifest(keys.checkpoint(prefix, number))
        found[number] = found.get(number, False) or is_manifest
    return found


def forget_checkpoints(store: Store, prefixes: Iterable[str]) -> None:
    """Remove all checkpoints of these attempts, whose stack has ended. Quiet if there are none."""
    for prefix in prefixes:
        store.delete_below(keys.checkpoints(prefix))


def discard(store: Store, checkpoint: str) -> None:
    """Remove one checkpoint, whole or not."""
    # The manifest first: what is left of a checkpoint if this is killed on the way must not look whole.
    store.delete(keys.checkpoint_manifest(checkpoint))
    store.delete_below(checkpoint)


def keep(
    store: Store, checkpoint: str, manifest: Manifest, files: Mapping[str, Path], going_on: Callable[[], bool]
) -> bool:
    """Store the files and then the manifest, which gets their digests. False if `going_on` was no longer true."""
    kept = []
    for index, (path, file) in enumerate(sorted(files.items())):
        if not going_on():
            return False
        kept.append(_keep_file(store, keys.checkpoint_file(checkpoint, index), path, file))
    if not going_on():
        return False
    whole = manifest.model_copy(update={"files": tuple(kept)})
    store.put(keys.checkpoint_manifest(checkpoint), whole.model_dump_json().encode())
    return True


def _keep_file(store: Store, key: str, path: str, file: Path) -> Kept:
    # A copy is digested and moved, not the file: a workflow may write on in what it should have replaced.
    copy = file.with_name("copy")
    source = open_regular(file, follow=False)
    try:
        with appearing(copy) as target:
            copy_contents(source, target)
    finally:
        os.close(source)
    digest = digest_file(copy)
    store.put_file(copy, key, move=True)
    return Kept(path=path, size_bytes=digest.size_bytes, sha256=digest.sha256)


def restore(store: Store, checkpoint: str, folder: Path, *, uid: int | None) -> Manifest:
    """Put a checkpoint's files into the folder, where nobody else writes yet; they become the uid's if one is given.

    Raises Altered if it is not what was stored, NotFound if it or a part of it is gone, StorageFailed.
    """
    try:
        manifest = Manifest.model_validate_json(store.get(keys.checkpoint_manifest(checkpoint)))
    except ValidationError as cause:
        raise Altered("its manifest can't be read") from cause
    for index, kept in enumerate(manifest.files):
        parts = kept.path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise Altered(f"its manifest names {kept.path!r}, which lies in no checkpoint folder")
        target = folder.joinpath(*parts)
        store.get_file(keys.checkpoint_file(checkpoint, index), target)
        if digest_file(target).sha256 != kept.sha256:
            raise Altered(f"{kept.path!r} is not what was stored")
    if uid is not None:
        for path in folder.rglob("*"):
            os.chown(path, uid, uid, follow_symlinks=False)
    return manifest
