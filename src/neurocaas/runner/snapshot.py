"""The files of a folder as they were at one moment, while a workflow goes on in it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.errors import Refused
from neurocaas.storage.copying import copy_contents

UNFINISHED = ".part"  # names that end so are being written
LOOKS = 100
MOST_FILES = 10_000
# A filesystem without hard links, or a file with too many of them.
_CANNOT_LINK = frozenset({errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV})
# What was there is gone by now, or something else took its place.
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def hold(folder: Path, into: Path, *, limit_bytes: int) -> dict[str, Path]:
    """Files below `folder`, by relative path, held by hard links in the empty folder `into` of the same filesystem.

    A writer that changes the folder by renaming only is seen at one moment: it is looked at until nothing has moved
    since it was held. Links, devices, and what is named *.part are left out. Never leaves the folder, whatever moves.
    Raises Refused for what can't be kept, OSError as the system gives it.
    """
    held = _Held(into)
    for _ in range(LOOKS):
        if not held.look(folder):
            break
    else:
        raise Refused(f"The checkpoint folder changed all the while: {LOOKS} times it was looked at.")
    size_bytes = sum(path.stat().st_size for path in held.files.values())
    if size_bytes > limit_bytes:
        raise Refused(f"The checkpoint has {size_bytes:,} bytes; at most {limit_bytes:,} are kept, the storage limit.")
    return held.files


@dataclass
class _Held:
    into: Path
    files: dict[str, Path] = field(default_factory=dict)
    _inodes: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def look(self, folder: Path) -> bool:
        """Hold what is there now, and nothing else; True if that made a difference."""
        changed = False
        seen = set()
        top = os.open(folder, _FOLDER)
        try:
            for parent, name, path, inode in _files(top, ""):
                seen.add(path)
                if self._inodes.get(path) != inode:
                    self._drop(path)
                    self._take(parent, name, path)
                    changed = True
        finally:
            os.close(top)
        for path in self.files.keys() - seen:
            self._drop(path)
            changed = True
        return changed

    def _drop(self, path: str) -> None:
        if file := self.files.pop(path, None):
            file.unlink()
            del self._inodes[path]

    def _take(self, parent: int, name: str, path: str) -> None:
        if len(self.files) >= MOST_FILES:
            raise Refused(f"The checkpoint has more than {MOST_FILES:,} files; pack them into fewer.")
        file = self.into / str(self._count)
        self._count += 1
        try:
            inode = _link(parent, name, file)
        except OSError as error:
            if error.errno in _GONE:
                return
            raise
        if inode is not None:
            self.files[path], self._inodes[path] = file, inode


def _files(folder: int, prefix: str) -> Iterator[tuple[int, str, str, int]]:
    """Parent's descriptor, name, relative path and inode of every regular file below an open folder."""
    # Every step is taken from an open folder and never through a link: a workflow could put one in the way at any
    # moment, and this process may read what that workflow may not.
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.endswith(UNFINISHED)]
    for name in names:
        path = prefix + _readable(name)
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            below = os.open(name, _FOLDER, dir_fd=folder) if stat.S_ISDIR(status.st_mode) else None
        except OSError as error:
            if error.errno in _GONE:
                continue
            raise
        if below is not None:
            try:
                yield from _files(below, f"{path}/")
            finally:
                os.close(below)
        elif stat.S_ISREG(status.st_mode):
            yield folder, name, path, status.st_ino


def _readable(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Refused(f"The checkpoint's file {name!r} can't be kept: its name is not UTF-8.") from None
    return name


def _link(parent: int, name: str, file: Path) -> int | None:
    """Link (else copy) it to `file`; the inode of what was caught, None if that is no regular file any more."""
    try:
        os.link(name, file, src_dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        return _copy(parent, name, file)
    status = file.lstat()
    if stat.S_ISREG(status.st_mode):
        return status.st_ino
    file.unlink()
    return None


def _copy(parent: int, name: str, file: Path) -> int | None:
    with contextlib.ExitStack() as closing:
        source = os.open(name, _FILE, dir_fd=parent)
        closing.callback(os.close, source)
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            return None
        target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        closing.callback(os.close, target)
        copy_contents(source, target)
        return status.st_ino
