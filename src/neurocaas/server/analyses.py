"""The site's analyses: found in the source repo or by digest in the archive, unpacked read-only where they run."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurocaas.blueprint import Family, SourceRepo, Version, read_version
from neurocaas.blueprint.source_repo import read_commit
from neurocaas.blueprint.version import SHORT, pack, unpack
from neurocaas.documents import canonical, nearest
from neurocaas.errors import Ambiguous, NotFound, Refused
from neurocaas.storage import Store, keys

if TYPE_CHECKING:
    from neurocaas.environment import EnvironmentSpec

DEV = "dev"
SPEC = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:@(?P<version>[A-Za-z0-9]+))?$")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A version that can be run, and how it was found."""

    version: Version
    family: Family  # the version with those that it consists of
    label: str  # name@<12 hex>, or name@dev for a tree that is not committed
    git_commit: str | None


class Analyses:
    """Analysis versions of one site. Whatever is resolved is in the archive from then on, for good."""

    def __init__(self, *, repo: SourceRepo, store: Store, unpacked: Path) -> None:
        self.repo = repo
        self._store = store
        self._unpacked = unpacked
        self._versions: dict[str, Version] = {}

    def resolve(self, spec: str) -> Resolved:
        """The version that `name`, `name@dev` or `name@<hex prefix of its digest>` means.

        Raises NotFound, Ambiguous (a prefix that fits more than one version), or Refused for a faulty blueprint.
        """
        match = SPEC.match(spec)
        if not match:
            raise Refused(f"analysis: found {spec!r}; a name, or name@version as in pca@0123456789ab, is right.")
        name, wanted = match["name"], match["version"]
        if wanted is None or wanted == DEV:
            return self._current(name, dev=wanted == DEV)
        return self._by_digest(name, wanted.lower())

    def folder(self, name: str, digest: str) -> Path:
        """The files of a version, unpacked read-only; unpacked now if they are not yet."""
        folder = self._unpacked / digest
        if folder.is_dir():
            return folder
        self._unpacked.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=self._unpacked))
        try:
            temporary.chmod(0o755)
            unpack(self._store.get(keys.version_archive(name, digest)), temporary)
            if read_version(temporary).digest != digest:
                raise Refused(f"The archive of {name}@{digest[:SHORT]} is damaged: its contents have another digest.")
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process unpacked it at the same moment
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def version(self, name: str, digest: str) -> Version:
        """An archived version; read once, as it never changes."""
        if digest not in self._versions:
            self._versions[digest] = read_version(self.folder(name, digest), name)
        return self._versions[digest]

    def family(self, version: Version) -> Family:
        """The version with those that its protocol names, which are archived from then on too.

        Raises Refused if one of them is not to be had, or if they do not fit together.
        """
        family = self._family(version)
        if version.blueprint.preview_pin:
            name, _, digest = version.blueprint.preview_pin.partition("@")
            family = replace(family, beside=self._part("pages.setup.preview", name, digest, version.name))
        family.check()
        return family

    def _family(self, version: Version) -> Family:
        children = {}
        for name, pin in version.blueprint.pins.items():
            child, _, digest = pin.partition("@")
            children[name] = self._part(name, child, digest, version.name)
        return Family(version=version, children=children)

    def _part(self, called: str, name: str, digest: str, of: str) -> Family:
        try:
            return self._family(self._pinned(name, digest))
        except NotFound as cause:
            raise Refused(
                f"{of}: {called}: {cause.message}", remedy="Bring it with: neurocaas analysis import"
            ) from cause

    def _pinned(self, name: str, digest: str) -> Version:
        """The very version with this digest: from the archive, from the folder as it is now, or from history."""
        if self._store.head(keys.version_record(name, digest)) is not None:
            return self.version(name, digest)
        if name in self.repo.names():
            folder = self.repo.folder(name)
            current = read_commit(folder, name)
            if current is not None and current.digest == digest:
                self.archive(current, folder)
                return current
        return self._by_digest(name, digest).version

    def environment(self, version: Version) -> EnvironmentSpec:
        """The environment that the version asks for; an imported one with the very interpreter that came with it."""
        from neurocaas.environment import EnvironmentSpec  # slow to import, and not needed to submit

        declared = version.blueprint.own_environment
        record = json.loads(self._store.get(keys.version_record(version.name, version.digest)))
        folder = self.folder(version.name, version.digest)
        return EnvironmentSpec.from_version(declared, folder, interpreter=record["interpreter"])

    def archive(self, version: Version, folder: Path, *, interpreter: str = "") -> None:
        """Keep the version in the store, with the digest of the interpreter it came with. Quiet if it is there."""
        if self._store.head(keys.version_record(version.name, version.digest)) is None:
            self._store.put(keys.version_archive(version.name, version.digest), pack(folder, version))
            record = {
                "name": version.name,
                "digest": version.digest,
                "execution_digest": version.execution_digest,
                "interpreter": interpreter,
            }
            self._store.put(keys.version_record(version.name, version.digest), canonical(record))

    def archived(self, name: str) -> Iterator[str]:
        """Full digests of the archived versions of an analysis, sorted."""
        for entry in self._store.list(f"versions/{keys.segment(name)}"):
            if entry.key.endswith(".json"):
                yield Path(entry.key).stem

    def _current(self, name: str, *, dev: bool) -> Resolved:
        folder = self._named(name)
        version = read_version(folder, name)
        commit = None if dev else self.repo.commit_of(version)
        self.archive(version, folder)
        label = version.short if commit else f"{name}@{DEV}"
        return Resolved(version=version, family=self.family(version), label=label, git_commit=commit)

    def _by_digest(self, name: str, prefix: str) -> Resolved:
        if not re.fullmatch(r"[0-9a-f]{4,64}", prefix):
            raise Refused(f"version: found {prefix!r}; {DEV!r} or 4 to 64 hex digits of a version's digest are right.")
        found = {digest for digest in self.archived(name) if digest.startswith(prefix)}
        commit = None
        if not found:
            found, commit = self._from_history(name, prefix)
        if not found:
            self._named(name)
            raise NotFound(f"There is no version {name}@{prefix} in this site's archive or history.")
        if len(found) > 1:
            listed = ", ".join(f"{name}@{digest[: len(prefix) + 4]}" for digest in sorted(found))
            raise Ambiguous(f"{name}@{prefix} fits {len(found)} versions: {listed}. Give more digits.")
        digest = found.pop()
        version = read_version(self.folder(name, digest), name)
        commit = commit or self._commit_with(version)
        return Resolved(version=version, family=self.family(version), label=version.short, git_commit=commit)

    def _from_history(self, name: str, prefix: str) -> tuple[set[str], str | None]:
        found: dict[str, str] = {}
        for commit, folder in self.repo.history(name):
            version = read_commit(folder, name)
            if version is not None and version.digest.startswith(prefix):
                self.archive(version, folder)
                found[version.digest] = commit
        return set(found), next(iter(found.values()), None)

    def _commit_with(self, version: Version) -> str | None:
        """The newest commit that holds this version; None once history no longer does."""
        for commit, folder in self.repo.history(version.name):
            candidate = read_commit(folder, version.name)
            if candidate is not None and candidate.digest == version.digest:
                return commit
        return None

    def _named(self, name: str) -> Path:
        if name not in (known := self.repo.names()):
            listed = f" Known here: {', '.join(known)}." if known else ""
            raise NotFound(f"There is no analysis {name!r} on this site.{nearest(name, known) or listed}")
        return self.repo.folder(name)
