"""Removing what a store no longer needs. Decisions are made, and things renamed away, under a lock; deleting is not."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from neurocaas.documents import Document
from neurocaas.environment import tree as trees
from neurocaas.environment.image_records import prune
from neurocaas.environment.locks import locked, locked_if_free
from neurocaas.environment.shelf import Shelf
from neurocaas.errors import EnvironmentBroken

LOCK = "cleaning.lock"
BUILDS = "builds.lock"
SPARED_WHILE_BUILDING_SECONDS = 600.0
GOING = "going."
IMAGES = "images"


class Removed(Document):
    """One thing that was removed. what: environment, interpreter, leftover, damaged, image layer."""

    what: str
    name: str
    size_bytes: int


def clean(
    root: Path,
    *,
    environments: Shelf,
    interpreters: Shelf,
    keep: frozenset[str],
    older_than_seconds: float,
    release: Callable[[str], None],
) -> list[Removed]:
    """See EnvironmentStore.gc. release: called with each environment that goes, before it does."""
    building = root / "building"
    building.mkdir(parents=True, exist_ok=True)
    with locked(root / "locks" / LOCK):
        with locked_if_free(root / "locks" / BUILDS) as nobody_builds:
            age = older_than_seconds if nobody_builds else max(older_than_seconds, SPARED_WHILE_BUILDING_SECONDS)
            idle = [each for each in environments.digests() if environments.unused_seconds(each) >= age]
            going = [each for each in idle if each not in keep]
            for each in going:
                release(each)
            removed = [_take(environments, "environment", each, building) for each in going]
            # An interpreter may be there for an environment that is only coming.
            needed = keep | set(_interpreters_of(environments) if nobody_builds else interpreters.digests())
            removed += [
                _take(interpreters, "interpreter", each, building)
                for each in interpreters.digests()
                if each not in needed and interpreters.unused_seconds(each) >= age
            ]
        _forget(root / "by-request", {*environments.digests(), *interpreters.digests()})
        removed += _leftovers(root, older_than_seconds)
        pruned = prune(root / IMAGES, environments.digests(), older_than_seconds=older_than_seconds)
        removed += [Removed(what="image layer", name=name, size_bytes=size_bytes) for name, size_bytes in pruned]
    for leaving in building.glob(f"{GOING}*"):
        trees.remove(leaving)
    return removed


def _interpreters_of(environments: Shelf) -> Iterable[str]:
    for digest in environments.digests():
        with contextlib.suppress(EnvironmentBroken):
            yield str(environments.record(digest)["identity"].get("interpreter", ""))


def _take(shelf: Shelf, what: str, digest: str, building: Path) -> Removed:
    try:
        size_bytes = int(shelf.record(digest)["size_bytes"])
    except EnvironmentBroken:
        size_bytes = 0
    _send_off(shelf.folder / digest, building)
    return Removed(what=what, name=digest, size_bytes=size_bytes)


def _send_off(folder: Path, building: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        folder.rename(building / f"{GOING}{secrets.token_hex(8)}")


def _forget(folder: Path, present: set[str]) -> None:
    """Drop the answers to requests whose outcome is gone."""
    for answer in folder.glob("*") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if answer.read_text().strip() not in present:
                answer.unlink()


def _leftovers(root: Path, older_than_seconds: float) -> list[Removed]:
    removed = []
    for folder in (root / "building").iterdir():
        name = folder.name.rpartition(".")[0]
        if folder.name.startswith(GOING) or not name:
            continue
        # Whoever builds holds the lock of that name until his folder is gone.
        with locked_if_free(root / "locks" / f"{name}.lock") as nobody_builds:
            if nobody_builds:
                removed.append(_leave("leftover", folder, root))
    old = [each for each in (root / "damaged").glob("*") if time.time() - each.stat().st_ctime >= older_than_seconds]
    return removed + [_leave("damaged", each, root) for each in old]


def _leave(what: str, folder: Path, root: Path) -> Removed:
    size_bytes = sum(each.lstat().st_size for each in folder.rglob("*"))
    _send_off(folder, root / "building")
    return Removed(what=what, name=folder.name, size_bytes=size_bytes)
