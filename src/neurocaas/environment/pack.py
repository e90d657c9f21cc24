"""A tree as one file for another site: a tar with sorted names, no times, no owners, no bytecode; gzip."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from neurocaas.environment import tree as trees
from neurocaas.errors import EnvironmentBroken

HEADER = "header.json"
UNPACKED_MAX_BYTES = 4 * 1024**3
COMPRESSION = 6


def write(to: Path, *, header: dict[str, Any], tree: Path) -> None:
    """Write `header` and `tree` to the file `to`, which appears only when it is complete."""
    partial = to.with_name(f".{to.name}.partial")
    try:
        with (
            partial.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=COMPRESSION, mtime=0) as squeezed,
            tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            text = json.dumps(header, sort_keys=True).encode()
            first = tarfile.TarInfo(HEADER)
            first.size = len(text)
            archive.addfile(first, io.BytesIO(text))
            for entry in trees.read_tree(tree):
                if not trees.is_bytecode(entry.path):
                    _add(archive, tree, entry)
        partial.rename(to)
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, tree: Path, entry: trees.Entry) -> None:
    member = tarfile.TarInfo(f"tree/{entry.path}")
    member.mode = 0o755 if entry.mode & 0o111 else 0o644
    if entry.kind == trees.FOLDER:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif entry.kind == trees.LINK:
        member.type, member.linkname = tarfile.SYMTYPE, entry.content
        archive.addfile(member)
    else:
        member.size = entry.size_bytes
        with (tree / entry.path).open("rb") as file:
            archive.addfile(member, file)


def read(file: Path, *, tree: Path) -> dict[str, Any]:
    """Unpack into the new folder `tree`; returns the header. EnvironmentBroken for anything that is not such a file.

    The file comes from another site: no name or link in it leaves the folder, and only files, folders and links come
    out. Links are made last, so that nothing is written through one.
    """
    tree.mkdir()
    links: list[tuple[Path, str]] = []
    try:
        with tarfile.open(file, "r|gz") as archive:
            members = iter(archive)
            header = _header(archive, next(members))
            room = UNPACKED_MAX_BYTES
            for member in members:
                room -= member.size
                if room < 0:
                    raise EnvironmentBroken(f"{file} unpacks to more than {UNPACKED_MAX_BYTES} bytes.")
                _extract(archive, member, tree, links)
    except (
        OSError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        tarfile.TarError,
        zlib.error,
        StopIteration,
    ) as cause:
        raise EnvironmentBroken(f"{file} can't be unpacked: {cause}.") from cause
    for place, target in links:
        place.symlink_to(target)
    return header


def _header(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    content = archive.extractfile(member) if member.name == HEADER and member.size < 1024**2 else None
    if content is None:
        raise ValueError("it does not begin with a header")
    header: dict[str, Any] = json.loads(content.read())
    return {name: header[name] for name in ("version", "executable", "variables")}


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, tree: Path, links: list[tuple[Path, str]]) -> None:
    name = PurePosixPath(member.name)
    if len(name.parts) < 2 or name.parts[0] != "tree" or ".." in name.parts or name.is_absolute():
        raise ValueError(f"it holds the name {member.name!r}")
    place = tree.joinpath(*name.parts[1:])
    if member.isdir():
        place.mkdir()
    elif member.issym():
        target = PurePosixPath(member.linkname)
        if target.is_absolute() or ".." in target.parts:
            raise ValueError(f"it holds a link to {member.linkname!r}")
        links.append((place, member.linkname))
    elif member.isreg():
        content = archive.extractfile(member)
        with place.open("xb") as file:
            while content and (block := content.read(1024**2)):
                file.write(block)
        place.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)
    else:
        raise ValueError(f"it holds {member.name!r}, which is neither a file, a folder nor a link")
