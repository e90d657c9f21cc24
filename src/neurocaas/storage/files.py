"""A store in a folder: every object is a file.

An object is first written to a hidden folder of the same filesystem, then renamed (or linked, for `create`) to its
name. So a process killed at any moment leaves the old object or the new one, never a part; what it left in the
hidden folder is swept a day later. Nothing is synced to the disk: after a *power loss* the last seconds' objects may
be gone or empty, as with any program that does not wait for the disk; the digests in manifests and certificates show
it. Waiting would cost every log segment milliseconds.

There are no locks, threads or open files in this class, so it may be used on both sides of a fork.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage import keys
from neurocaas.storage.copying import FILE_MODE, appearing, closing, copy_contents, new_file, open_regular, write_all
from neurocaas.storage.faults import why
from neurocaas.storage.store import Entry

_LEFTOVER_SECONDS = 24 * 3600
_BLOCK_BYTES = 1 << 18
# Readable by a sandbox that runs as another user, as the files are; the store's own folder is closed to everybody else.
_FOLDER_MODE = 0o755
_ROOT_MODE = 0o700


@contextlib.contextmanager
def _told(action: str, store: str) -> Iterator[None]:
    """Turns the system's errors into sentences."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"Could not {action} in the store {store}: {why(error)}.") from error


class FileStore:
    """Objects as files below `root`, which the first write creates (mode 0700)."""

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            raise Refused(f"The store's folder {str(root)!r} is relative; give its absolute path.")
        self.root = root
        self.url = root.as_uri()
        self._incoming = root / keys.INCOMING

    def __repr__(self) -> str:
        return f"FileStore({str(self.root)!r})"

    def put(self, key: str, data: bytes) -> None:
        target = self._path(key)
        with _told(f"write {key}", self.url), self._temporary() as (descriptor, temporary):
            write_all(descriptor, data)
            self._place(target, lambda: temporary.replace(target))

    def create(self, key: str, data: bytes) -> bool:
        target = self._path(key)
        with _told(f"create {key}", self.url):
            if os.path.lexists(target):
                return False
            with self._temporary() as (descriptor, temporary):
                write_all(descriptor, data)
                return self._linked(descriptor, temporary, target)

    def get(self, key: str) -> bytes:
        with self._reading(key) as descriptor, open(descriptor, "rb", closefd=False, buffering=0) as file:
            return file.readall()

    def blocks(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with self._reading(key) as descriptor:
            size = os.fstat(descriptor).st_size
            last = size if end is None else min(end, size)
            while start < last and (block := os.pread(descriptor, min(_BLOCK_BYTES, last - start), start)):
                yield block
                start += len(block)

    def head(self, key: str) -> Entry | None:
        target = self._path(key)
        with _told(f"look at {key}", self.url):
            try:
                status = target.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Entry(key=key, size_bytes=status.st_size) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str) -> Iterator[Entry]:
        folder = self._path(prefix) if prefix else self.root
        return self._walk(folder, f"{prefix}/" if prefix else "")

    def delete(self, key: str) -> None:
        target = self._path(key)
        with (
            _told(f"delete {key}", self.url),
            contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError),
        ):
            target.unlink()

    def delete_below(self, prefix: str) -> None:
        folder = self._path(prefix)
        with _told(f"delete {prefix}", self.url):
            if not folder.is_dir():
                return
            # Renamed first, so that all of it disappears at once, even if this process is killed on the way.
            doomed = self._incoming / f"{os.urandom(12).hex()}.deleted"
            self._make_incoming()
            with contextlib.suppress(FileNotFoundError):
                folder.rename(doomed)
                shutil.rmtree(doomed)

    def put_file(self, path: Path, key: str, *, move: bool = False) -> None:
        target = self._path(key)
        with _told(f"store {path} as {key}", self.url):
            try:
                source = open_regular(path, follow=False)
            except FileNotFoundError as error:
                raise NotFound(f"{path} can't be stored: it does not exist.") from error
            try:
                if not (move and self._moved(path, source, target)):
                    with self._temporary() as (descriptor, temporary):
                        copy_contents(source, descriptor)
                        self._place(target, lambda: temporary.replace(target))
            finally:
                os.close(source)
            if move:
                path.unlink(missing_ok=True)

    def get_file(self, key: str, path: Path) -> None:
        with self._reading(key, f"fetch {key} to {path}") as source, appearing(path) as target:
            copy_contents(source, target)

    def local_path(self, key: str) -> Path | None:
        return self._path(key)

    def receiving(self, name: str) -> Path:
        """A hidden folder for files that grow for days, on the filesystem of the objects that they become. Made now."""
        folder = self.root / keys.RECEIVING / keys.segment(name)
        with _told(f"receive {name}", self.url):
            self._make_incoming()
            folder.parent.mkdir(mode=_ROOT_MODE, exist_ok=True)
            folder.mkdir(mode=_ROOT_MODE, exist_ok=True)
        return folder

    def sweep(self, older_than_seconds: float = _LEFTOVER_SECONDS) -> None:
        """Remove what killed writers left behind. Younger files may still be growing, so they stay."""
        before = time.time() - older_than_seconds
        with contextlib.suppress(OSError), os.scandir(self._incoming) as leftovers:
            for leftover in leftovers:
                with contextlib.suppress(OSError):
                    if leftover.stat(follow_symlinks=False).st_mtime > before:
                        continue
                    if leftover.is_dir(follow_symlinks=False):
                        shutil.rmtree(leftover.path, ignore_errors=True)
                    else:
                        Path(leftover.path).unlink()

    def _path(self, key: str) -> Path:
        return self.root / keys.checked(key)

    def _walk(self, folder: Path, prefix: str) -> Iterator[Entry]:
        with _told(f"list {prefix or 'everything'}", self.url):
            try:
                with os.scandir(folder) as scan:
                    # A folder sorts as its objects do: with the slash that follows its name.
                    found = sorted((f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name, e) for e in scan)
            except (FileNotFoundError, NotADirectoryError):
                return
        for name, entry in found:
            if entry.is_dir(follow_symlinks=False):
                if prefix or entry.name not in keys.HIDDEN:
                    yield from self._walk(folder / entry.name, prefix + name)
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                    yield Entry(key=prefix + name, size_bytes=entry.stat(follow_symlinks=False).st_size)

    @contextlib.contextmanager
    def _reading(self, key: str, action: str = "") -> Iterator[int]:
        target = self._path(key)
        with _told(action or f"read {key}", self.url):
            try:
                descriptor = open_regular(target, follow=False)
            except (FileNotFoundError, NotADirectoryError, Refused) as error:
                raise NotFound(f"There is no {key} in the store {self.url}.") from error
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[int, Path]]:
        """An empty file in the hidden folder, gone afterwards unless it was renamed."""
        try:
            descriptor, path = new_file(self._incoming)
        except FileNotFoundError:
            self._make_incoming()
            descriptor, path = new_file(self._incoming)
        with closing(descriptor, path):
            yield descriptor, path

    def _make_incoming(self) -> None:
        if not self.root.is_dir():
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=_ROOT_MODE, exist_ok=True)
        self._incoming.mkdir(mode=_ROOT_MODE, exist_ok=True)

    def _place(self, target: Path, action: Callable[[], object]) -> None:
        """Do it; if the folder was missing, make it and do it again (it may be deleted just in between)."""
        for _ in range(10):
            try:
                action()
            except FileNotFoundError:
                _make_folder(target.parent)
            else:
                return
        action()

    def _linked(self, descriptor: int, temporary: Path, target: Path) -> bool:
        try:
            self._place(target, lambda: os.link(temporary, target))
        except FileExistsError:
            # A network filesystem may repeat a link that succeeded and report the repetition: the count tells.
            return os.fstat(descriptor).st_nlink > 1
        return True

    def _moved(self, path: Path, source: int, target: Path) -> bool:
        """Rename the file to its key; False where that needs a copy."""
        status = os.fstat(source)
        with contextlib.suppress(PermissionError):
            # What a workflow wrote belongs to the workflow's user and may have any mode; in the store it is ours.
            if status.st_uid != os.geteuid():
                os.fchown(source, os.geteuid(), os.getegid())
            os.fchmod(source, FILE_MODE)
        try:
            self._make_incoming()
            self._place(target, lambda: path.rename(target))
        except OSError as error:
            if error.errno == errno.EXDEV:
                return False
            raise
        return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_folder(folder.parent)
        _make_folder(folder)
        return
    folder.chmod(_FOLDER_MODE)
