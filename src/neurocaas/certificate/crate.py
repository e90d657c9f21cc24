"""A job as a Workflow Run RO-Crate: its results, its workflows and a description that other tools read.

RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) with the Process, Workflow and Provenance Run Crate profiles 0.5
(https://w3id.org/ro/wfrun) and Workflow RO-Crate 1.0.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any

from neurocaas.certificate.crate_description import METADATA, describe
from neurocaas.certificate.crate_files import Contents, contents
from neurocaas.certificate.facts import Facts
from neurocaas.certificate.seal import FORMAT, SEAL
from neurocaas.documents import parse
from neurocaas.errors import Refused, StorageFailed

ZIP = ".zip"
_FILE_MODE = 0o100644

OpenFile = Callable[[str, int], AbstractContextManager[IO[bytes]]]  # path in the crate, size in bytes


def write_crate(certificate: dict[str, Any], results: Path, to: Path, *, workflows: Mapping[str, Path]) -> Path:
    """Write the crate to `to`, a new or empty folder, or a new file ending in .zip; it appears when it is whole.

    results: the fetched results. workflows: the files of each analysis version, by its full digest. The same
    certificate and files give the same crate. Raises `Refused` if something else is at `to`, or if a file isn't the
    one the certificate names; `NotFound` if one is missing; `StorageFailed` if the disk is full.
    """
    if certificate.get("format") != FORMAT:
        raise Refused(f"The certificate has the format {certificate.get('format')!r}; {FORMAT!r} is right.")
    unsealed = {name: value for name, value in certificate.items() if name not in {"format", SEAL}}
    facts = parse(Facts, unsealed, "the certificate")
    check_target(to)
    found = contents(facts, results, workflows)
    metadata = (json.dumps(describe(facts, found), ensure_ascii=False, indent=2) + "\n").encode()
    temporary = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.suffix == ZIP:
            _write_zip(temporary, metadata, found, facts.job.ended_at or facts.job.submitted_at)
        else:
            _write_folder(temporary, metadata, found)
        check_target(to)
        temporary.rename(to)
    except OSError as cause:
        raise StorageFailed(f"The crate can't be written to {to}: {cause.strerror or cause}.") from cause
    finally:
        temporary.unlink(missing_ok=True) if temporary.is_file() else shutil.rmtree(temporary, ignore_errors=True)
    return to


def check_target(to: Path) -> None:
    """Refuse a place where something is already."""
    if to.suffix == ZIP and os.path.lexists(to):
        raise Refused(f"{to} is there already; a new name is right.")
    empty_folder = to.is_dir() and not to.is_symlink() and not any(to.iterdir())
    if os.path.lexists(to) and not empty_folder:
        raise Refused(f"{to} is there already; a new or empty folder, or a new name ending in .zip, is right.")


def _write_folder(folder: Path, metadata: bytes, found: Contents) -> None:
    folder.mkdir()
    _write(partial(_file_below, folder), metadata, found)


def _file_below(folder: Path, path: str, size_bytes: int) -> IO[bytes]:  # noqa: ARG001 - as OpenFile has it
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.open("xb")


def _write_zip(file: Path, metadata: bytes, found: Contents, ended_at: str) -> None:
    date, _, time = ended_at.partition("T")
    when = (*map(int, date.split("-")), *map(int, time.split(".")[0].split(":")))
    with zipfile.ZipFile(file, "x") as archive:
        _write(partial(_entry_of, archive, when), metadata, found)


def _entry_of(archive: zipfile.ZipFile, when: tuple[int, ...], path: str, size_bytes: int) -> IO[bytes]:
    entry = zipfile.ZipInfo(path, when)  # type: ignore[arg-type] # six numbers
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = _FILE_MODE << 16
    entry.file_size = size_bytes  # from which zipfile knows whether it is too large for the old format
    return archive.open(entry, "w")


def _write(open_file: OpenFile, metadata: bytes, found: Contents) -> None:
    with open_file(METADATA, len(metadata)) as target:
        target.write(metadata)
    for file in found:
        with open_file(file.path, file.size_bytes) as target:
            file.copy(target)
