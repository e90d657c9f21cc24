"""Environments of kind `image`: an OCI image, built from a Containerfile or brought by digest, kept by the engine.

On the shelf lies one small file that says what the image is; the image itself stays in Podman's or Docker's storage,
named for this platform so that pruning there spares it. An environment whose image is gone from there is not here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurocaas.environment.builder import Placement, Progress
from neurocaas.environment.values import Damage, EnvironmentSpec, ImageSource, image_platform
from neurocaas.errors import EnvironmentBroken, Unavailable
from neurocaas.sandbox.engine import Engine, call, find_engine, last_words

RECORD = "image.json"
CONTAINERFILE = "Containerfile"


class ImageBuilder:
    """Has images built and brought by the engine that the site names, or the first that is found."""

    def __init__(self, engine: str = "") -> None:
        self._wanted = engine

    def asked(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, Any]:  # noqa: ARG002 - nothing is
        return {"kind": spec.kind, "platform": image_platform(), **_source(spec).asked()}

    def identity(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002
        """The image alone: how it was come by does not count."""
        return {"kind": spec.kind, "platform": image_platform()}

    def known(self, spec: EnvironmentSpec) -> dict[str, str] | None:
        _source(spec)
        return {}

    def prepare(self, spec: EnvironmentSpec, *, progress: Progress) -> dict[str, str]:  # noqa: ARG002
        find_engine(self._wanted)
        _source(spec)
        return {}

    def build(
        self,
        spec: EnvironmentSpec,
        known: Mapping[str, str],  # noqa: ARG002
        *,
        tree: Path,
        log: Path,
        progress: Progress,
    ) -> dict[str, str]:
        engine, source = find_engine(self._wanted), _source(spec)
        came = source.reference and _inspect(engine, source.reference) is None
        if came:
            _run([engine.program, "pull", source.reference], log, progress)
        elif source.containerfile:
            _build(engine, source, tree.parent, log, progress)
        name = source.reference or (tree.parent / "id").read_text().strip().removeprefix("sha256:")
        found = _inspect(engine, name)
        if found is None:
            raise EnvironmentBroken(f"{engine.name} says it has the image, but does not know {name}.")
        described = _described(found)
        tree.mkdir()
        (tree / RECORD).write_text(json.dumps(described, indent=1, sort_keys=True))
        own = _own_name(described["id"])
        call([engine.program, "tag", name, own])
        facts = {
            "source": source.reference or CONTAINERFILE,
            "size_bytes": str(found.get("Size", 0)),
            "engine": engine.name,
        }
        # Names that go with the environment: one that somebody else brought before stays.
        return {**facts, "names": f"{own} {source.reference}" if came else own, "reference": source.reference}

    def place(self, known: Mapping[str, str], tree: Path, *, progress: Progress) -> Placement | None:  # noqa: ARG002
        """Asks the engine, which takes a tenth of a second. None when it is missing, or the image is."""
        record = _read(tree)
        try:
            engine = find_engine(self._wanted)
            here = _inspect(engine, record["id"]) is not None
        except Unavailable as cause:
            progress(cause.message)
            return None
        if not here:
            progress(f"The image {record['id'][:12]} is no longer in {engine.name}'s storage.")
            return None
        path = tuple(record["path"])
        return Placement((), dict(record["variables"]), path, image=record["id"], engine=engine.name)

    def missing(self, digest: str, known: Mapping[str, str], tree: Path) -> list[Damage]:  # noqa: ARG002
        image = _read(tree)["id"]
        engine = find_engine(self._wanted)
        if _inspect(engine, image) is not None:
            return []
        return [Damage(digest=digest, where=f"{engine.name}: {image}", what="is missing, and is this environment")]

    def release(self, facts: Mapping[str, str], tree: Path) -> None:  # noqa: ARG002
        try:
            engine = find_engine(facts.get("engine", ""))
            for name in facts.get("names", "").split():
                call([engine.program, "rmi", name])  # It refuses while a container uses it.
        except Unavailable:
            return


def _source(spec: EnvironmentSpec) -> ImageSource:
    assert spec.image is not None, "an environment of kind image has an image"
    return spec.image


def _build(engine: Engine, source: ImageSource, folder: Path, log: Path, progress: Progress) -> None:
    """Build with nothing but the named files in sight; the image's id goes into `folder`/id."""
    context = folder / "context"
    for path, content in source.files:
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_bytes(content)
    context.mkdir(exist_ok=True)
    # Outside the context, so that COPY . takes only what the blueprint names.
    (folder / CONTAINERFILE).write_bytes(source.containerfile)
    words = [engine.program, "build", "--file", str(folder / CONTAINERFILE), "--iidfile", str(folder / "id")]
    words += [] if source.network else ["--network", "none"]
    # The same steps give the same image, as far as the steps do.
    words += ["--timestamp", "0"] if engine.name == "podman" else []
    _run([*words, str(context)], log, progress)


def _run(command: Sequence[str], log: Path, progress: Progress) -> None:
    """Run the engine; what it writes is appended to `log` and told. EnvironmentBroken with its last words."""
    said = ""
    with (
        log.open("a") as kept,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kept.write(line)
                said = line.strip() or said
                progress(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise EnvironmentBroken(f"{Path(command[0]).name} {command[1]}: {last_words(said)}")


def _inspect(engine: Engine, name: str) -> dict[str, Any] | None:
    answer = call([engine.program, "image", "inspect", name])
    try:
        return dict(json.loads(answer.stdout)[0]) if answer.returncode == 0 else None
    except (ValueError, LookupError):
        return None


def _described(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a workflow in the image is told of it, and its id: the sha256 of its config, 64 hex."""
    lines = dict(one.partition("=")[::2] for one in found.get("Config", {}).get("Env") or ())
    path = [one for one in lines.pop("PATH", "").split(":") if one]
    return {"id": str(found["Id"]).removeprefix("sha256:"), "variables": lines, "path": path}


def _own_name(image: str) -> str:
    return f"localhost/neurocaas/environment:{image[:12]}"


def _read(tree: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((tree / RECORD).read_text()))
    except (OSError, ValueError) as cause:
        raise EnvironmentBroken(f"The record {tree / RECORD} can't be read: {cause}.") from cause
