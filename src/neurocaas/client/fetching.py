"""Files of a site on their way to a folder: several at once, each checked, and there when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from neurocaas.client.connection import Connection
from neurocaas.client.documents import FileDocument
from neurocaas.errors import Altered, NeurocaasError, Refused, StorageFailed
from neurocaas.storage import digest_file, keys
from neurocaas.storage.delivery import (
    CERTIFICATE,
    CERTIFICATE_TEXT,
    FIGURES,
    LOG,
    UNFINISHED,
    Fetched,
    check_out,
    remove_earlier,
)

AT_ONCE = 4
TRIES = 3


def fetch_results(connection: Connection, files: Sequence[FileDocument], out: Path) -> Fetched:
    """Put the files below `out` in place of an earlier job's; those that are there already are not fetched again.

    Raises Altered if what comes is not what was promised, StorageFailed when the disk is full.
    """
    check_out(out)
    places = {keys.relative(one.path): one for one in files}
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / UNFINISHED).touch()  # a fetch that was killed can be gone on with
        remove_earlier(out, keep=places.keys() - {CERTIFICATE, CERTIFICATE_TEXT})
        certificate = {name: places[name] for name in (CERTIFICATE_TEXT, CERTIFICATE) if name in places}
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as threads:
            others = [(name, one) for name, one in places.items() if name not in certificate]
            for _ in threads.map(lambda pair: _bring(connection, pair[1], out / pair[0]), others):
                pass
        for name, one in certificate.items():
            _bring(connection, one, out / name)
        if CERTIFICATE in certificate:
            (out / UNFINISHED).unlink(missing_ok=True)
    except OSError as cause:
        raise StorageFailed(f"The results can't be written to {out}: {cause.strerror}.") from cause
    results = [out / name for name in places if name not in certificate and PurePosixPath(name).name != LOG]
    return Fetched(out=out, files=len(results), figures=tuple(one for one in results if one.suffix in FIGURES))


def fetch_archive(connection: Connection, place: str, folder: Path) -> list[Path]:
    """Unpack a zip archive of the API into `folder`, new or empty. Returns the files. Raises Refused."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is not an empty folder; a new or empty folder is right.")
    archive = folder.with_name(f".{folder.name}.{os.getpid()}.zip")
    try:
        fetch_file(connection, connection.api(place), archive)
        with zipfile.ZipFile(archive) as packed:
            members = [one for one in packed.infolist() if not one.is_dir()]
            targets = {keys.relative(one.filename): one for one in members}  # nothing leaves the folder
            for name, member in targets.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(member) as source, target.open("wb") as file:
                    while block := source.read(1 << 20):
                        file.write(block)
    except zipfile.BadZipFile as cause:
        raise Altered(f"What the site sent for {folder} is not a whole archive: {cause}.") from cause
    except OSError as cause:
        raise StorageFailed(f"{folder} can't be written: {cause.strerror}.") from cause
    finally:
        archive.unlink(missing_ok=True)
    return sorted(folder / name for name in targets)


def fetch_file(connection: Connection, url: str, to: Path, *, sha256: str | None = None) -> None:
    """One file, whole or not at all. Raises Altered if its digest is another one, time after time."""
    for number in range(1, TRIES + 1):
        found = connection.insist(lambda: _download(connection, url, to))
        if sha256 in {None, found}:
            _partial(to).replace(to)
            return
        if number == TRIES:
            _partial(to).unlink(missing_ok=True)
            raise Altered(f"{to.name} arrived with the digest {found}; {sha256} was promised.")


def _bring(connection: Connection, file: FileDocument, to: Path) -> None:
    with contextlib.suppress(FileNotFoundError, NeurocaasError):
        if file.sha256 and to.stat().st_size == file.size_bytes and digest_file(to).sha256 == file.sha256:
            return
    to.parent.mkdir(parents=True, exist_ok=True)
    fetch_file(connection, file.url, to, sha256=file.sha256)


def _download(connection: Connection, url: str, to: Path) -> str:
    """Writes what comes beside its place. Returns its SHA-256."""
    digest = hashlib.sha256()
    try:
        with connection.opened("GET", url) as answer, _partial(to).open("wb") as file:
            for block in answer.iter_bytes(1 << 20):
                digest.update(block)
                file.write(block)
    except BaseException:
        _partial(to).unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.{os.getpid()}")
