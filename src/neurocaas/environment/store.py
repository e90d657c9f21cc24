"""The store of environments on this machine's disk: find, build once, verify, clean up."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from neurocaas.environment import cleaning
from neurocaas.environment import tree as trees
from neurocaas.environment.builder import Builder, Progress
from neurocaas.environment.image import ImageBuilder
from neurocaas.environment.interpreters import InterpreterStore
from neurocaas.environment.locks import locked
from neurocaas.environment.python import PythonBuilder
from neurocaas.environment.shelf import LOG, Shelf
from neurocaas.environment.values import Damage, Environment, EnvironmentSpec
from neurocaas.errors import EnvironmentBroken, NotFound, Refused, StorageFailed

Damages = list[Damage]
Collected = list[cleaning.Removed]


def _quiet(_: str) -> None:
    """Nobody listens."""


class EnvironmentStore:
    """Environments below `root`, on a local disk; shared by all processes of a site.

    environments/<digest>/  interpreters/<digest>/  images/  by-request/  logs/  building/  damaged/  locks/  cache/
    """

    def __init__(self, root: Path, *, builders: Mapping[str, Builder] | None = None, engine: str = "") -> None:
        """engine: what builds and keeps images, podman or docker; the first that is found if left out."""
        self.root = root.absolute()
        self.images = self.root / cleaning.IMAGES
        self.interpreters = InterpreterStore(self.root)
        self.shelf = Shelf(self.root / "environments", tree="env", damaged=self.root / "damaged")
        self._builders = builders if builders is not None else _builders(self.root, engine)

    def find(self, spec: EnvironmentSpec, *, progress: Progress = _quiet) -> Environment | None:
        """The environment if it is built and whole; milliseconds. A damaged one is moved away and None returned."""
        with self._kept_from_cleaning():
            builder = self._builder(spec.kind)
            known = builder.known(spec)
            return None if known is None else self._find(_request(builder, spec, known), progress)

    def get(self, digest: str, *, progress: Progress = _quiet) -> Environment | None:
        """The environment named `digest`, in full, if it is here and whole; else None."""
        with self._kept_from_cleaning():
            return self._whole(digest, progress)

    def build(self, spec: EnvironmentSpec, *, progress: Progress = _quiet) -> Environment:
        """The environment, built now if it is not here. Asked twice at once, the second waits for the first.

        progress: called with each line worth showing. Raises EnvironmentBroken with the log's last words and place.
        """
        builder = self._builder(spec.kind)
        try:
            with locked(self.root / "locks" / cleaning.BUILDS, shared=True):
                return self._build_once(builder, spec, progress)
        except OSError as cause:
            raise StorageFailed(f"The environment store {self.root} could not be used: {cause}.") from cause

    def _build_once(self, builder: Builder, spec: EnvironmentSpec, progress: Progress) -> Environment:
        known = builder.prepare(spec, progress=progress)
        request = _request(builder, spec, known)
        waiting = "The same environment is being built at this moment; waiting for it."
        with locked(self.root / "locks" / f"{request}.lock", waiting=lambda: progress(waiting)):
            with self._kept_from_cleaning():
                found = self._find(request, progress)
            return found or self._build(builder, spec, known, request, progress)

    def log_path(self, spec: EnvironmentSpec) -> Path | None:
        """The log of the latest build of this request, failed ones included; None when there was none."""
        builder = self._builder(spec.kind)
        known = builder.known(spec)
        path = self._log(_request(builder, spec, known)) if known is not None else None
        return path if path and path.exists() else None

    def list(self) -> list[Environment]:
        """All that can be used; cheap, so damage that only `verify` sees is not looked for."""
        found = []
        for digest in self.shelf.digests():
            try:
                environment = self._read(digest, _quiet)
            except EnvironmentBroken:
                continue
            if environment:
                found.append(environment)
        return found

    def verify(self, digest: str) -> Damages:
        """Read every byte of an environment (and its interpreter), or of an interpreter, again; what is not as built.

        Raises NotFound when nothing here has that digest.
        """
        if self.interpreters.shelf.has(digest):
            return self.interpreters.shelf.damages(digest)
        if not self.shelf.has(digest):
            raise NotFound(f"No environment {digest} is in the store {self.root}.")
        damages = self.shelf.damages(digest)
        try:
            identity = self.shelf.record(digest)["identity"]
            return damages + self._builder(identity["kind"]).missing(digest, identity, self.shelf.tree(digest))
        except EnvironmentBroken:
            return damages

    def set_aside(self, damages: Damages) -> None:
        """Move what `verify` found damaged out of use, so that the next build makes it anew."""
        for digest in {each.digest for each in damages}:
            shelf = self.interpreters.shelf if self.interpreters.shelf.has(digest) else self.shelf
            shelf.quarantine(digest, [each for each in damages if each.digest == digest])

    def gc(self, keep: Collection[str], older_than: timedelta) -> Collected:
        """Remove what nobody used for `older_than`: environments not in `keep`, then interpreters no environment needs.

        Leftovers of killed builds, and damaged ones set aside that long ago, go too. `keep`: digests of all that
        runs or waits; the caller knows. Safe beside builds and finds: both renew what they hand out.
        """
        return cleaning.clean(
            self.root,
            environments=self.shelf,
            interpreters=self.interpreters.shelf,
            keep=frozenset(keep),
            older_than_seconds=older_than.total_seconds(),
            release=self._release,
        )

    def _release(self, digest: str) -> None:
        with contextlib.suppress(EnvironmentBroken):
            record = self.shelf.record(digest)
            self._builder(record["identity"]["kind"]).release(record["facts"], self.shelf.tree(digest))

    def _kept_from_cleaning(self) -> AbstractContextManager[None]:
        return locked(self.root / "locks" / cleaning.LOCK, shared=True)

    def _builder(self, kind: str) -> Builder:
        if kind not in self._builders:
            raise Refused(f"environment.kind is {kind!r}; this site builds {', '.join(sorted(self._builders))}.")
        return self._builders[kind]

    def _log(self, request: str) -> Path:
        return self.root / "logs" / f"{request}.log"

    def _find(self, request: str, progress: Progress) -> Environment | None:
        try:
            digest = (self.root / "by-request" / request).read_text().strip()
        except OSError:
            return None
        return self._whole(digest, progress)

    def _whole(self, digest: str, progress: Progress) -> Environment | None:
        if not self.shelf.has(digest):
            return None
        self.shelf.stamp(digest)
        damages = self.shelf.damages_if_changed(digest)
        if damages:
            progress(f"The environment {digest[:12]} was damaged ({damages[0]}) and is not used.")
            self.shelf.quarantine(digest, damages)
            return None
        return self._read(digest, progress)

    def _read(self, digest: str, progress: Progress) -> Environment | None:
        record = self.shelf.record(digest)
        identity, facts = record["identity"], record["facts"]
        placement = self._builder(identity["kind"]).place(identity, self.shelf.tree(digest), progress=progress)
        if placement is None:
            return None
        return Environment(
            kind=identity["kind"],
            digest=digest,
            platform=identity["platform"],
            mounts=placement.mounts,
            variables=placement.variables,
            path=placement.path,
            size_bytes=int(facts.get("size_bytes", record["size_bytes"])),
            built_at=record["built_at"],
            python=facts.get("python", ""),
            interpreter=identity.get("interpreter", ""),
            lock_sha256=identity.get("lock", ""),
            request=facts["request"],
            image=facts.get("reference") or placement.image,
            engine=placement.engine,
        )

    def _build(
        self, builder: Builder, spec: EnvironmentSpec, known: Mapping[str, str], request: str, progress: Progress
    ) -> Environment:
        log = self._log(request)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        for leftover in (self.root / "building").glob(f"{request}.*"):
            trees.remove(leftover)
        built = self.root / "building" / f"{request}.{secrets.token_hex(4)}"
        try:
            built.mkdir(parents=True)
            facts = builder.build(spec, known, tree=built / "env", log=log, progress=progress)
            shutil.copyfile(log, built / LOG)
            identity = builder.identity(spec, known)
            digest = self.shelf.put(built, identity=identity, facts={**facts, "request": request})
        except EnvironmentBroken as cause:
            raise EnvironmentBroken(
                f"The environment could not be built: {cause.message}",
                remedy=f"{cause.remedy} The log is {log}.".strip(),
            ) from cause
        finally:
            trees.remove(built)
        self._remember(request, digest)
        environment = self._whole(digest, progress)
        if environment is None:
            raise EnvironmentBroken(f"The environment {digest} was damaged as soon as it was built; check the disk.")
        return environment

    def _remember(self, request: str, digest: str) -> None:
        place = self.root / "by-request" / request
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{request}.{secrets.token_hex(4)}")
        temporary.write_text(digest)
        temporary.rename(place)


def _builders(root: Path, engine: str) -> Mapping[str, Builder]:
    return {"python": PythonBuilder(root), "image": ImageBuilder(engine)}


def _request(builder: Builder, spec: EnvironmentSpec, known: Mapping[str, str]) -> str:
    """sha256, hex, of what is asked for: two equal requests share one environment."""
    return hashlib.sha256(json.dumps(builder.asked(spec, known), sort_keys=True).encode()).hexdigest()
