"""A shelf of finished trees, each named by its digest, put there in one step and checked before it is handed out."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurocaas.environment import tree as trees
from neurocaas.environment.values import Damage
from neurocaas.errors import EnvironmentBroken

DIGEST_LENGTH = 64
RECORD, MANIFEST, STAT, USED, LOG = "record.json", "manifest.json", "stat", "used", "build.log"


class Shelf:
    """Folders `<digest>/{<tree>/, record.json, manifest.json, stat, used, build.log}` on a local disk.

    `identity` in a record is what counts into the digest beside the files; `facts` is everything else worth knowing.
    Damaged ones are moved to `damaged`, never repaired in place: a job may still have them mounted.
    """

    def __init__(self, folder: Path, *, tree: str, damaged: Path) -> None:
        self.folder, self.tree_name, self.damaged = folder, tree, damaged

    def tree(self, digest: str) -> Path:
        return self.folder / digest / self.tree_name

    def digests(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(each.name for each in self.folder.iterdir() if len(each.name) == DIGEST_LENGTH)

    def record(self, digest: str) -> dict[str, Any]:
        """EnvironmentBroken when the record is missing or not what was written."""
        path = self.folder / digest / RECORD
        try:
            record = dict(json.loads(path.read_text()))
            whole = record["digest"] == digest and isinstance(record["identity"], dict)
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise EnvironmentBroken(f"The record {path} can't be read: {cause}.") from cause
        if not whole:
            raise EnvironmentBroken(f"The record {path} describes something else.")
        return record

    def put(self, built: Path, *, identity: Mapping[str, object], facts: Mapping[str, object]) -> str:
        """Seal `built`/<tree>, name it by its digest and move it here in one step; one that is here already stays."""
        place = built / self.tree_name
        trees.seal(place)
        entries = trees.read_tree(place)
        digest = trees.content_digest(entries, **identity)
        record = {
            "format": 1,
            "digest": digest,
            "identity": dict(identity),
            "facts": dict(facts),
            "size_bytes": sum(entry.size_bytes for entry in entries),
            "files": sum(entry.kind != trees.FOLDER for entry in entries),
            "built_at": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        trees.write_manifest(built / MANIFEST, entries)
        (built / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True))
        (built / STAT).write_text(trees.stat_digest(place))
        (built / USED).touch()
        (built / LOG).touch()
        if self.has(digest) and not self.damages_if_changed(digest):
            trees.remove(built)
            return digest
        self.quarantine(digest)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            built.rename(self.folder / digest)
        except OSError:
            # Another request with the same outcome was put here a moment ago.
            if not self.has(digest):
                raise
            trees.remove(built)
        return digest

    def has(self, digest: str) -> bool:
        return len(digest) == DIGEST_LENGTH and (self.folder / digest).is_dir()

    def is_unchanged(self, digest: str) -> bool:
        """Whether size, time, mode and set of paths are as when it was sealed. Opens no file: milliseconds."""
        try:
            return trees.stat_digest(self.tree(digest)) == (self.folder / digest / STAT).read_text()
        except OSError:
            return False

    def damages(self, digest: str) -> list[Damage]:
        """Read everything again and compare it with the manifest, and the manifest with the name."""
        place = self.tree(digest)
        try:
            record, expected = self.record(digest), trees.read_manifest(self.folder / digest / MANIFEST)
            found = trees.read_tree(place)
        except (OSError, EnvironmentBroken) as cause:
            return [self._damage(digest, self.folder / digest, f"can't be checked: {cause}")]
        damages = [self._damage(digest, place / path, what) for path, what in trees.compare(expected, found)]
        if not damages and trees.content_digest(found, **record["identity"]) != digest:
            damages.append(self._damage(digest, self.folder / digest, "is not what its name says"))
        return damages

    def _damage(self, digest: str, where: Path, what: str) -> Damage:
        return Damage(digest=digest, where=str(where), what=what)

    def damages_if_changed(self, digest: str) -> list[Damage]:
        """The quick check; the full one only where the quick one finds a change (a restored backup has new times)."""
        if self.is_unchanged(digest):
            return []
        damages = self.damages(digest)
        if not damages:
            (self.folder / digest / STAT).write_text(trees.stat_digest(self.tree(digest)))
        return damages

    def quarantine(self, digest: str, damages: list[Damage] | None = None) -> Path | None:
        """Move a damaged one out of the way. None when it is gone already."""
        self.damaged.mkdir(parents=True, exist_ok=True)
        aside = self.damaged / f"{digest}.{secrets.token_hex(4)}"
        try:
            (self.folder / digest).rename(aside)
        except FileNotFoundError:
            return None
        (aside / "damage.txt").write_text("".join(f"{each}\n" for each in damages or []))
        return aside

    def stamp(self, digest: str) -> None:
        """Note that it was used now."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / digest / USED)

    def unused_seconds(self, digest: str) -> float:
        try:
            return time.time() - (self.folder / digest / USED).stat().st_mtime
        except OSError:
            return float("inf")
