"""Analysis versions: the digest of a blueprint and all that it names, and the archive that keeps them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from neurocaas.blueprint.model import Blueprint, Function, ImageEnvironment, PythonEnvironment
from neurocaas.blueprint.parameters import check_schema
from neurocaas.documents import Document, digest_of, parse, read_json
from neurocaas.errors import NotFound, Refused

BLUEPRINT_FILE = "blueprint.json"
MAX_FILES = 2000
MAX_VERSION_BYTES = 256 * 1024**2
MAX_PAGE_BYTES = 4 * 1024**2
SHORT = 12
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class VersionFile(Document):
    """One file of a version: path inside the folder, whether it may be executed, SHA-256 of its bytes."""

    path: str
    executable: bool
    sha256: Sha256


class Version(Document):
    """One analysis version, in full. Two versions are the same when their digests are."""

    name: str
    digest: Sha256
    execution_digest: Sha256
    blueprint: Blueprint
    schema_of_parameters: dict[str, Any]
    files: tuple[VersionFile, ...]

    @property
    def short(self) -> str:
        """`name@<12 hex>`, as people read it."""
        return f"{self.name}@{self.digest[:SHORT]}"


def read_version(folder: Path, name: str | None = None) -> Version:
    """The version that the files in `folder` make up.

    Raises NotFound when there is no blueprint, Refused with one sentence per fault in it or in a file it names.
    """
    document = folder / BLUEPRINT_FILE
    where = f"{name or folder.name}/{BLUEPRINT_FILE}"
    if not document.is_file():
        raise NotFound(f"{folder}: there is no {BLUEPRINT_FILE} in it.")
    blueprint = parse(Blueprint, read_json(document), where)
    if name is not None and blueprint.name != name:
        raise Refused(f"{where}: name: found {blueprint.name!r}; {name!r}, the name of its folder, is right.")
    _check_shape(blueprint, where)
    schema = _parameter_schema(folder, blueprint, where)
    files = tuple(_describe(folder, path, where) for path in sorted(_named_files(folder, blueprint, where)))
    return Version(
        name=blueprint.name,
        digest=_digest(blueprint.name, files),
        execution_digest=_execution_digest(blueprint, schema, files),
        blueprint=blueprint,
        schema_of_parameters=schema,
        files=files,
    )


def pack(folder: Path, version: Version) -> bytes:
    """The version's files as a tar whose bytes depend on their contents only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in version.files:
            data = (folder / file.path).read_bytes()
            entry = tarfile.TarInfo(file.path)
            entry.size = len(data)
            entry.mode = 0o555 if file.executable else 0o444
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files of a packed version below `folder`, read-only. Refuses anything but plain files inside it."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for entry in tar:
                _unpack_entry(tar, entry, folder)
    except tarfile.TarError as cause:
        raise Refused(f"The archive is damaged: {cause}.") from cause


def _unpack_entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    parts = PurePosixPath(entry.name).parts
    if entry.isdir():  # git's archives have them; folders are made with the files in them
        return
    if not entry.isreg() or not parts or entry.name.startswith("/") or ".." in parts:
        raise Refused(f"The archive holds {entry.name!r}; plain files inside the analysis' folder are right.")
    if entry.size > MAX_VERSION_BYTES:
        raise Refused(f"The archive's {entry.name!r} is larger than 256 MiB.")
    target = folder / entry.name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(entry)
    data = source.read() if source else b""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    target.chmod(0o555 if entry.mode & 0o111 else 0o444)


def _check_shape(blueprint: Blueprint, where: str) -> None:
    """A composite analysis has no environment, workflow, parameters or hardware of its own; any other has."""
    if not blueprint.parts:
        for key in ("environment", "workflow"):
            if getattr(blueprint, key) is None:
                raise Refused(f"{where}: {key}: it is missing; it must be given.")
    elif own := [
        key
        for key in ("environment", "workflow", "parameters", "outputs", "metrics", "hardware")
        if key in blueprint.model_fields_set
    ]:
        kind = blueprint.protocol.kind
        raise Refused(
            f"{where}: {own[0]}: a {kind} takes it from the analyses it consists of; leaving it out is right."
        )
    for name, metric in blueprint.metrics.items():
        output = blueprint.outputs.get(metric.output)
        if output is None or output.kind != "json":
            found = f"an output of kind {output.kind}" if output else "no such output"
            raise Refused(f"{where}: metrics.{name}.output: found {found}; an output of kind json is right.")
    setup = blueprint.pages.setup
    if setup is None or blueprint.preview_pin or setup.preview in blueprint.parts:
        return
    listed = f" One of {', '.join(blueprint.parts)} is right." if blueprint.parts else ""
    found = f"{where}: pages.setup.preview: found {setup.preview!r}, which is no step."
    raise Refused(f"{found}{listed or ' Another analysis as name@digest is right (neurocaas analysis pin writes it).'}")


def _parameter_schema(folder: Path, blueprint: Blueprint, where: str) -> dict[str, Any]:
    schema: Any = blueprint.parameters
    name = f"{where}: parameters"
    if isinstance(schema, str):
        name = f"{blueprint.name}/{schema}"
        if not (folder / schema).is_file():
            raise Refused(f"{where}: parameters: found {schema!r}; a file in the analysis' folder is right.")
        schema = read_json(folder / schema)
    check_schema(schema, name)
    return dict(schema)


def _named_files(folder: Path, blueprint: Blueprint, where: str) -> set[str]:
    """Every file that the blueprint names, itself included."""
    named = {BLUEPRINT_FILE}
    single: dict[str, str] = {}
    copied: tuple[str, ...] = ()
    match blueprint.environment:
        case PythonEnvironment(lock=lock, variants=variants):
            single["environment.lock"] = lock
            single |= {f"environment.variants.{key}": variant for key, variant in variants.items()}
        case ImageEnvironment(containerfile=str(containerfile), files=copied):
            single["environment.containerfile"] = containerfile
    if isinstance(blueprint.protocol, Function):
        single["protocol.file"] = blueprint.protocol.file
    if isinstance(blueprint.parameters, str):
        single["parameters"] = blueprint.parameters
    if blueprint.sample.generator:
        single["sample.generator"] = blueprint.sample.generator
    single |= {f"pages.{name}.file": file for name, file in blueprint.pages.files.items()}
    for path, file in single.items():
        if not (folder / file).is_file():
            raise Refused(f"{where}: {path}: found {file!r}; a file in the analysis' folder is right.")
        named.add(file)
    for name, file in blueprint.pages.files.items():
        _check_page(folder / file, f"{where}: pages.{name}.file")
    workflow_files = blueprint.workflow.files if blueprint.workflow else ()
    globs = {
        "environment.files": copied,
        "workflow.files": workflow_files,
        "sample.files": blueprint.sample.files,
    }
    for path, patterns in globs.items():
        for index, pattern in enumerate(patterns):
            found = {str(one.relative_to(folder)) for one in folder.glob(pattern) if not one.is_dir()}
            if not found:
                raise Refused(f"{where}: {path}[{index}]: found {pattern!r}, which fits no file in the folder.")
            named |= {one for one in found if "__pycache__" not in one}
    if len(named) > MAX_FILES:
        raise Refused(f"{where}: it names {len(named)} files; at most {MAX_FILES} are right.")
    return named


def _check_page(path: Path, where: str) -> None:
    size = path.stat().st_size
    if size > MAX_PAGE_BYTES:
        raise Refused(f"{where}: {path.name} has {size:,} bytes; at most 4 MiB are right, with data among the results.")
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{where}: {path.name} is not text; HTML in UTF-8 is right.") from None


def _describe(folder: Path, path: str, where: str) -> VersionFile:
    target = folder / path
    status = target.lstat()
    if not stat.S_ISREG(status.st_mode) or not target.resolve().is_relative_to(folder.resolve()):
        raise Refused(f"{where}: {path} is not a plain file inside the folder; links can't be part of a version.")
    if status.st_size > MAX_VERSION_BYTES:
        raise Refused(f"{where}: {path} is larger than 256 MiB; large files belong in the data, not in a version.")
    return VersionFile(
        path=path,
        executable=bool(status.st_mode & 0o100),
        sha256=hashlib.sha256(target.read_bytes()).hexdigest(),
    )


def _digest(name: str, files: tuple[VersionFile, ...]) -> str:
    return digest_of({"name": name, "files": [file.model_dump() for file in files]})


def _execution_digest(blueprint: Blueprint, schema: dict[str, Any], files: tuple[VersionFile, ...]) -> str:
    """The digest of what can change a result: environment, workflow, protocol, defaults. Keys the reuse of results."""
    schema_file = blueprint.parameters if isinstance(blueprint.parameters, str) else None
    sample = {file.path for file in files for pattern in blueprint.sample.files if PurePath(file.path).match(pattern)}
    workflow = blueprint.workflow.files if blueprint.workflow else ()
    pages = {one for one in blueprint.pages.files.values() if not any(map(PurePath(one).match, workflow))}
    outside = {BLUEPRINT_FILE, blueprint.sample.generator, schema_file, *sample, *pages}
    return digest_of(
        {
            "environment": blueprint.environment and json.loads(blueprint.environment.model_dump_json()),
            "workflow": blueprint.workflow and json.loads(blueprint.workflow.model_dump_json()),
            "protocol": json.loads(blueprint.protocol.model_dump_json()),
            "defaults": {key: one.get("default") for key, one in schema.get("properties", {}).items()},
            "files": [file.model_dump() for file in files if file.path not in outside],
        }
    )
