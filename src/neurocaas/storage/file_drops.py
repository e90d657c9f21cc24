"""A folder that several people may write to, some of whom this process must not be led astray by.

Every folder on the way to a file is opened by itself, below the one before and following no link: a path that was
looked at first and opened afterwards could be another by then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage.copying import FILE_MODE, appearing, copy_contents, open_regular, write_all
from neurocaas.storage.drops import Drop
from neurocaas.storage.faults import why

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# No such file; or a link, or a device that nobody listens to, where a file or folder would have to be.
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_FOLDER_MODE = 0o775  # as a lab shares it; the site's umask may take more away
_PARTIAL = ".neurocaas-"  # what is half written has such a name, and is not listed


class FileDrops:
    """Objects as files below `root`. Hidden files are none."""

    settles = True

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        return self._root.as_uri()

    def folders(self) -> list[str]:
        with self._told("list it"), contextlib.suppress(FileNotFoundError), os.scandir(self._root) as found:
            return sorted(one.name for one in found if _shown(one.name) and one.is_dir(follow_symlinks=False))
        return []

    def listed(self, prefix: str) -> Iterator[Drop]:
        with self._told(f"list {prefix}"):
            try:
                folder = self._folder(_parts(prefix.rstrip("/")))
            except (FileNotFoundError, NotADirectoryError, _Astray):
                return
            found = list(_walk(folder, prefix))
        yield from found

    def find(self, key: str) -> Drop | None:
        with contextlib.suppress(NotFound), self._opened(key) as descriptor:
            return _drop(key, os.fstat(descriptor))
        return None

    def read(self, key: str, start: int, end: int) -> bytes:
        with self._opened(key) as descriptor:
            blocks = []
            while start < end and (block := os.pread(descriptor, min(end - start, 1 << 20), start)):
                blocks.append(block)
                start += len(block)
            return b"".join(blocks)

    def fetch(self, key: str, path: Path) -> None:
        with self._opened(key) as source, appearing(path) as target:
            copy_contents(source, target)

    def put(self, key: str, data: bytes) -> None:
        self._put(key, lambda target: write_all(target, data))

    def put_file(self, path: Path, key: str) -> None:
        with self._told(f"write {key}"):
            source = open_regular(path, follow=False)
        try:
            self._put(key, lambda target: copy_contents(source, target))
        finally:
            os.close(source)

    def _put(self, key: str, write: Callable[[int], object]) -> None:
        with self._told(f"write {key}"):
            *above, name = _parts(key)
            folder = self._folder(above, make=True)
            partial = f"{_PARTIAL}{os.urandom(12).hex()}"
            try:
                target = os.open(partial, _NEW, FILE_MODE, dir_fd=folder)
                try:
                    write(target)
                    os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(partial, dir_fd=folder)
                    raise
                finally:
                    os.close(target)
            finally:
                os.close(folder)

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        missing = NotFound(f"There is no {key} in {self.url}.")
        with self._told(f"read {key}"):
            try:
                descriptor = self._open(key)
            except _Astray:
                raise missing from None
            except OSError as error:
                if error.errno in _NOT_THERE:
                    raise missing from None
                raise
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise missing
                yield descriptor
            finally:
                os.close(descriptor)

    def _open(self, key: str) -> int:
        *above, name = _parts(key)
        folder = self._folder(above)
        try:
            return os.open(name, _FILE, dir_fd=folder)
        finally:
            os.close(folder)

    def _folder(self, parts: list[str], *, make: bool = False) -> int:
        """A descriptor of the folder, made where it is missing if that is asked. Raises OSError and _Astray."""
        if make:
            self._root.mkdir(parents=True, exist_ok=True)
        # The operator chose the root, which may be a link of theirs.
        folder = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        for part in parts:
            try:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, _FOLDER_MODE, dir_fd=folder)
                below = os.open(part, _FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
            folder = below
        return folder

    @contextlib.contextmanager
    def _told(self, action: str) -> Iterator[None]:
        try:
            yield
        except _Astray as error:
            raise Refused(f"Could not {action} in {self.url}: {error}.") from None
        except OSError as error:
            raise StorageFailed(f"Could not {action} in {self.url}: {why(error)}.") from error


class _Astray(Exception):
    """A key that leads out of the folder, or to nothing in it."""


def _parts(key: str) -> list[str]:
    parts = key.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise _Astray(f"{key[:80]!r} is no path to a file")
    return parts


def _shown(name: str) -> bool:
    return not name.startswith(".")


def _walk(folder: int, prefix: str) -> Iterator[Drop]:
    """Everything below a folder, whose descriptor is closed in the end."""
    try:
        for name in sorted(filter(_shown, os.listdir(folder))):
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    yield from _walk(os.open(name, _FOLDER, dir_fd=folder), f"{prefix}{name}/")
                elif stat.S_ISREG(status.st_mode):
                    yield _drop(f"{prefix}{name}", status)
            except (FileNotFoundError, NotADirectoryError):
                continue  # deleted or replaced since it was listed
    finally:
        os.close(folder)


def _drop(key: str, status: os.stat_result) -> Drop:
    return Drop(
        key=key,
        size_bytes=status.st_size,
        mark=f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}",
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )
