"""What a file or folder holds, as a SHA-256; and what it looked like, as a fingerprint that reads nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage.copying import open_regular
from neurocaas.storage.faults import why

T = TypeVar("T")

_BUFFER_BYTES = 1 << 20
_THREADS_PAY_BYTES = 8 << 20  # below this, starting threads costs more than they save


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDigest:
    """SHA-256 (64 hex digits) of a file's bytes, and how many there were."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderDigest:
    """SHA-256 of a folder: of one line `sha256 size "path"` per file, sorted by path, the path as ASCII JSON.

    files: (path relative to the folder, sha256, size in bytes), sorted by path. Empty folders, modes and times do
    not count. size_bytes: of all files together.
    """

    sha256: str
    size_bytes: int
    files: tuple[tuple[str, str, int], ...]


def digest_file(path: Path) -> FileDigest:
    """Digest one regular file. Raises `NotFound`, `Refused` (a folder or device) or `StorageFailed`."""
    return _reading(path, lambda: _digest(path))


def digest_folder(path: Path) -> FolderDigest:
    """Digest a folder. A link, device or FIFO inside it is refused: what it means depends on the machine."""
    digest = digest_many([path])[0]
    if isinstance(digest, FileDigest):
        raise Refused(f"{path} is a file; a folder was expected.")
    return digest


def digest_many(paths: Sequence[Path]) -> list[FileDigest | FolderDigest]:
    """Digest files and folders, each by what it is, in the order given, on as many cores as this process has."""
    folders = {path: _files_below(path) for path in paths if path.is_dir()}
    files = {path: 0 for path in paths if path not in folders}
    for path in files:
        files[path] = _reading(path, path.stat).st_size
    for folder, below in folders.items():
        files |= {folder / name: status.st_size for name, status in below}
    digests = _digest_all(files)
    return [_folder_digest(path, folders[path], digests) if path in folders else digests[path] for path in paths]


def fingerprint(path: Path) -> str:
    """Changes when the file is replaced or written, without reading it: `device:inode:size:mtime_ns`.

    For a folder: the SHA-256 over those of all its files and their names. Raises as the digests do.
    """
    if not path.is_dir():
        return _seen(_reading(path, path.stat))
    lines = (f"{json.dumps(name)} {_seen(status)}\n" for name, status in _files_below(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _digest(path: Path) -> FileDigest:
    descriptor = open_regular(path, follow=True)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        digest, size_bytes = hashlib.sha256(), 0
        # No larger than the file: a page of memory touched for the first time costs more than hashing it.
        buffer = memoryview(bytearray(min(_BUFFER_BYTES, max(1, os.fstat(descriptor).st_size))))
        while count := os.readv(descriptor, [buffer]):
            digest.update(buffer[:count])
            size_bytes += count
    finally:
        os.close(descriptor)
    return FileDigest(sha256=digest.hexdigest(), size_bytes=size_bytes)


def _digest_all(sizes: dict[Path, int]) -> dict[Path, FileDigest]:
    # The largest first, so that no thread is left alone with it at the end.
    paths = sorted(sizes, key=lambda path: -sizes[path])
    workers = min(len(paths), len(os.sched_getaffinity(0)))
    if workers < 2 or sum(sizes.values()) < _THREADS_PAY_BYTES:
        return {path: digest_file(path) for path in paths}
    with ThreadPoolExecutor(workers, thread_name_prefix="digest") as threads:
        return dict(zip(paths, threads.map(digest_file, paths), strict=True))


def _folder_digest(
    folder: Path, below: list[tuple[str, os.stat_result]], digests: dict[Path, FileDigest]
) -> FolderDigest:
    return folder_digest((name, digests[folder / name].sha256, digests[folder / name].size_bytes) for name, _ in below)


def folder_digest(listed: Iterable[tuple[str, str, int]]) -> FolderDigest:
    """The digest of a folder with these files: path, SHA-256 and size of each."""
    files = tuple(sorted(listed))
    lines = "".join(f"{sha256} {size_bytes} {json.dumps(name)}\n" for name, sha256, size_bytes in files)
    return FolderDigest(
        sha256=hashlib.sha256(lines.encode()).hexdigest(),
        size_bytes=sum(size_bytes for _, _, size_bytes in files),
        files=files,
    )


def _files_below(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Relative path and status of every file below the folder, sorted by path."""
    found: list[tuple[str, os.stat_result]] = []

    def walk(path: Path, prefix: str) -> None:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    walk(path / entry.name, f"{prefix}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    found.append((prefix + entry.name, entry.stat(follow_symlinks=False)))
                else:
                    raise Refused(f"{entry.path} is a link or a device; only files and folders are accepted there.")

    _reading(folder, lambda: walk(folder, ""))
    return sorted(found, key=lambda item: item[0])


def _reading(path: Path, action: Callable[[], T]) -> T:
    try:
        return action()
    except FileNotFoundError as error:
        raise NotFound(f"{error.filename or path} does not exist.") from error
    except OSError as error:
        raise StorageFailed(f"Could not read {error.filename or path}: {why(error)}.") from error


def _seen(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
