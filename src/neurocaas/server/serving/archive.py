"""A backup's file: a tar whose last member lists the digest of every other, so that a part of it never looks whole."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from neurocaas.errors import Altered, NotFound, Refused
from neurocaas.storage.copying import open_regular

MANIFEST = "manifest.jsonl"
_GZIP_MAGIC = b"\x1f\x8b"
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError)


class Writer:
    """Takes files in any number without keeping any in memory. Nothing is at `path` until the block has ended well.

    Compressed if the name ends in .gz or .tgz. Readable by its owner only. Raises Refused if something is there.
    """

    def __init__(self, path: Path) -> None:
        if os.path.lexists(path):
            raise Refused(f"{path} exists already; the name of a new file is right.")
        self.path = path
        self._part = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")

    def __enter__(self) -> Self:
        descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._packed: IO[bytes] = self._file
        if self.path.suffix in {".gz", ".tgz"}:
            self._packed = cast("IO[bytes]", gzip.GzipFile("", "wb", compresslevel=1, fileobj=self._file))
        self._tar = tarfile.open(fileobj=self._packed, mode="w|", format=tarfile.PAX_FORMAT)
        self._manifest = tempfile.TemporaryFile(dir=self.path.parent)
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            # After a fault, a full disk for one, these have no use, but would write to a closed file later.
            for one in (self._tar, self._packed, self._manifest, self._file):
                with contextlib.suppress(OSError, ValueError):
                    one.close()
            self._part.unlink(missing_ok=True)

    def add(self, name: str, path: Path) -> None:
        """A file, folder (without what is in it) or link. What is gone, or is none of these, is passed over."""
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                self._add_file(name, path)
            elif stat.S_ISLNK(status.st_mode):
                target = str(path.readlink())
                self._write(_member(name, status, kind=tarfile.SYMTYPE, link=target), io.BytesIO())
                self._note(name, os.fsencode(target))
            elif stat.S_ISDIR(status.st_mode):
                self._write(_member(name, status, kind=tarfile.DIRTYPE), io.BytesIO())
                self._note(name, b"")

    def add_bytes(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o600
        self._write(member, io.BytesIO(data))
        self._note(name, data)

    def _add_file(self, name: str, path: Path) -> None:
        descriptor = open_regular(path, follow=False)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            source = _Digesting(file)
            try:
                self._write(_member(name, status, size=status.st_size), source)
            except (OSError, tarfile.TarError) as cause:
                if source.size_bytes < status.st_size and os.fstat(descriptor).st_size < status.st_size:
                    raise Refused(f"{path} became shorter while it was read, so there is no backup.") from cause
                raise
            self._line(name, source.size_bytes, source.digest.hexdigest())

    def _write(self, member: tarfile.TarInfo, source: IO[bytes] | _Digesting) -> None:
        self._tar.addfile(member, cast("IO[bytes]", source))
        _forget(self._tar)

    def _note(self, name: str, data: bytes) -> None:
        self._line(name, len(data), hashlib.sha256(data).hexdigest())

    def _line(self, name: str, size_bytes: int, sha256: str) -> None:
        self._manifest.write(_line(name, size_bytes, sha256))

    def _finish(self) -> None:
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = self._manifest.tell(), 0o600
        self._manifest.seek(0)
        self._tar.addfile(member, self._manifest)
        self._tar.close()
        if self._packed is not self._file:
            self._packed.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.rename(self.path)


class Member:
    """What was read of an archive: one of its members, not yet known to be as it was written."""

    def __init__(self, path: Path, tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        self._path = path
        self.name = info.name
        self.mode = info.mode & 0o755
        self.is_file, self.is_folder, self.link = info.isreg(), info.isdir(), info.linkname if info.issym() else None
        source = tar.extractfile(info) if info.isreg() else None
        data = os.fsencode(info.linkname) if info.issym() else b""
        self._source = _Digesting(source or io.BytesIO(data))

    def read(self, size_bytes: int = -1) -> bytes:
        """So many bytes of the contents, or all. Raises Altered if they can't be read."""
        try:
            return self._source.read(size_bytes)
        except _BROKEN as cause:
            raise Altered(
                f"{self._path} is damaged or cut off after the beginning of its member {self.name}."
            ) from cause

    def save(self, path: Path, mode: int) -> None:
        """Write the contents to a new file."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            while block := self.read(1 << 20):
                file.write(block)

    def line(self) -> bytes:
        """What the manifest must say of it. Reads what was not read yet."""
        while self.read(1 << 20):
            pass
        return _line(self.name, self._source.size_bytes, self._source.digest.hexdigest())


def read(path: Path) -> Iterator[Member]:
    """The members, one after the other, each to be used before the next. After the last one all were as written.

    Raises Altered, naming the member, if one was not, and NotFound or Refused if there is no backup at `path`.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as cause:
        raise NotFound(f"{path}: there is no such file.") from cause
    with file, tempfile.TemporaryFile() as seen:
        packed = file.peek(2)[:2] == _GZIP_MAGIC
        unpacked = cast("IO[bytes]", gzip.GzipFile("", "rb", fileobj=file)) if packed else file
        last, whole = "", False
        try:
            with tarfile.open(fileobj=unpacked, mode="r|") as tar:
                while (info := tar.next()) is not None:
                    _forget(tar)
                    last = info.name
                    member = Member(path, tar, info)
                    if last == MANIFEST:
                        _compare(path, member, seen)
                        whole = True
                        continue
                    whole = False
                    yield member
                    seen.write(member.line())
        except _BROKEN as cause:
            if not last:
                raise Refused(f"{path} is not a backup; a file that `neurocaas backup` wrote is right.") from cause
            raise Altered(f"{path} is damaged or cut off after its member {last}.") from cause
        if not whole:
            raise Altered(f"{path} is cut off after its member {last}: the list of all members is missing.")


def _compare(path: Path, manifest: Member, seen: IO[bytes]) -> None:
    """Hold what was read against what was written, line by line. Raises Altered."""
    seen.seek(0)
    for wanted in io.BytesIO(manifest.read()):
        found = seen.readline()
        if found != wanted:
            raise Altered(f"{path} is damaged: its member {_name(found) or _name(wanted)} is not as it was written.")
    if found := seen.readline():
        raise Altered(f"{path} is damaged: its member {_name(found)} is none of its own.")


def _name(line: bytes) -> str:
    with contextlib.suppress(ValueError, LookupError):
        return str(json.loads(line)[0])
    return ""


def _line(name: str, size_bytes: int, sha256: str) -> bytes:
    return json.dumps([name, size_bytes, sha256]).encode() + b"\n"


def _forget(tar: tarfile.TarFile) -> None:
    """Let go of the members it keeps for nothing: there may be millions."""
    cast("Any", tar).members.clear()


def _member(
    name: str, status: os.stat_result, *, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = ""
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, link
    member.mode, member.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    return member


class _Digesting:
    """A file that is read once; its digest and size are known afterwards."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self.size_bytes += len(data)
        return data
