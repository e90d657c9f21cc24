"""Copies of files that cost nothing where the filesystem can share blocks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from neurocaas.errors import Refused

# linux/fs.h: _IOW(0x94, 9, int). A machine that numbers it otherwise answers ENOTTY and gets a plain copy.
FICLONE = 0x40049409
# Results are bind-mounted into sandboxes that run as another user, so that user may read them.
FILE_MODE = 0o644
_CHUNK_BYTES = 1 << 30
_BUFFER_BYTES = 1 << 20
_CANNOT = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EBADF})


def open_regular(path: Path, *, follow: bool) -> int:
    """A descriptor to read a regular file. Never blocks on a FIFO, never follows a last link unless told to.

    Raises `Refused` for anything that is not a regular file, and OSError as the system gives it.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise Refused(f"{path} is a link or a device; only regular files are accepted.") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{path} is a folder or a device; only regular files are accepted.")
    return descriptor


def copy_contents(source: int, target: int) -> None:
    """Fill the empty file `target` with all of `source`: shared blocks, else copied in the kernel, else by hand."""
    if _attempted(lambda: fcntl.ioctl(target, FICLONE, source)):
        return
    _attempted(lambda: _copy_in_kernel(source, target))
    # Whatever the kernel left (all of it, on an old one) follows by hand, from where both files now stand.
    while block := os.read(source, _BUFFER_BYTES):
        write_all(target, block)


def write_all(target: int, data: bytes) -> None:
    """Write everything: one write(2) may take less, and says so only by its count."""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[int]:
    """A file beside `path` that takes its name when the block ends well. Makes the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = new_file(path.parent)
    with closing(descriptor, temporary):
        yield descriptor
        temporary.replace(path)


@contextlib.contextmanager
def growing(path: Path) -> Iterator[int]:
    """The same by a name that is found again: what was written stays if the block does not end well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        yield descriptor
        temporary.replace(path)
    finally:
        os.close(descriptor)


def new_file(folder: Path) -> tuple[int, Path]:
    """A new empty hidden file in the folder: descriptor and path."""
    # Random rather than counted: a forked child or another host must never choose the same name.
    path = folder / f".{os.urandom(12).hex()}.part"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)
    return descriptor, path


@contextlib.contextmanager
def closing(descriptor: int, path: Path) -> Iterator[None]:
    """Afterwards the descriptor is closed and the path, if it still exists, gone."""
    try:
        yield
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _copy_in_kernel(source: int, target: int) -> None:
    while os.copy_file_range(source, target, _CHUNK_BYTES):
        pass


def _attempted(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True
