"""A folder of files that must stay as it is: its identity, its manifest, what is damaged in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from neurocaas.errors import EnvironmentBroken

FOLDER, FILE, LINK = "d", "f", "l"
READ_ONLY_FILE, READ_ONLY_PROGRAM, READ_ONLY_FOLDER = 0o444, 0o555, 0o555


class Entry(NamedTuple):
    """One path of a tree. content: a file's sha256, a link's target, "" for a folder; mode: the permission bits."""

    path: str
    kind: str
    mode: int
    size_bytes: int
    mtime_ns: int
    content: str


def walk(tree: Path) -> list[tuple[str, os.stat_result]]:
    """Every path below `tree` with its lstat, sorted by path."""
    found: list[tuple[str, os.stat_result]] = []
    waiting = [(str(tree), "")]
    while waiting:
        folder, prefix = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path, status = prefix + entry.name, entry.stat(follow_symlinks=False)
                found.append((path, status))
                if stat.S_ISDIR(status.st_mode):
                    waiting.append((entry.path, path + "/"))
    found.sort(key=lambda each: each[0])
    return found


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind(path: str, status: os.stat_result) -> str:
    for kind, matches in ((FILE, stat.S_ISREG), (FOLDER, stat.S_ISDIR), (LINK, stat.S_ISLNK)):
        if matches(status.st_mode):
            return kind
    raise EnvironmentBroken(f"{path} is neither a file, a folder nor a link; an environment holds nothing else.")


def read_tree(tree: Path) -> list[Entry]:
    """Every path of the tree with the sha256 of every file (threads: hashing releases the interpreter's lock)."""
    found = [(path, status, _kind(path, status)) for path, status in walk(tree)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = iter(list(pool.map(_content, [tree / path for path, _, kind in found if kind == FILE])))
    entries = []
    for path, status, kind in found:
        content = next(digests) if kind == FILE else str((tree / path).readlink()) if kind == LINK else ""
        size_bytes = 0 if kind == FOLDER else status.st_size
        mtime_ns = 0 if kind == FOLDER else status.st_mtime_ns
        entries.append(Entry(path, kind, stat.S_IMODE(status.st_mode), size_bytes, mtime_ns, content))
    return entries


def is_bytecode(path: str) -> bool:
    """Compiled files follow from the sources and carry no identity, although the manifest guards them."""
    return path.endswith(".pyc") or path.rpartition("/")[2] == "__pycache__"


def content_digest(entries: Iterable[Entry], **ingredients: object) -> str:
    """sha256, hex, over `ingredients` and (path, kind, executable bit, content) of everything that is not bytecode.

    Times, owners and the other permission bits do not count: two builds from one lock have one digest.
    """
    total = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode() + b"\n")
    for entry in sorted(entries):
        if not is_bytecode(entry.path):
            executable = int(entry.kind == FILE and bool(entry.mode & 0o111))
            total.update(
                f"{entry.kind}\0{executable}\0{entry.content}\0{entry.path}\n".encode(errors="surrogateescape")
            )
    return total.hexdigest()


def stat_digest(tree: Path) -> str:
    """sha256 over path, mode, size and mtime of everything: milliseconds, since no file is opened.

    Asked for every job, so it is one plain loop: about 5 microseconds a path, most of them the kernel's.
    """
    lines: list[str] = []
    waiting = [(str(tree), "")]
    while waiting:
        folder, prefix = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    lines.append(f"{prefix}{entry.name}\0{status.st_mode}")
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    lines.append(f"{prefix}{entry.name}\0{status.st_mode}\0{status.st_size}\0{status.st_mtime_ns}")
    lines.sort()
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def seal(tree: Path) -> None:
    """Make everything read-only and, when root does this, root's own."""
    owner = os.geteuid()
    for path, status in [("", tree.lstat()), *walk(tree)]:
        place = tree / path
        if status.st_uid != owner and owner == 0:
            os.chown(place, 0, 0, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            place.chmod(READ_ONLY_FOLDER)
        elif stat.S_ISREG(status.st_mode):
            place.chmod(READ_ONLY_PROGRAM if status.st_mode & 0o111 else READ_ONLY_FILE)


def hand_over(tree: Path, uid: int) -> None:
    """Let host user `uid` write the tree (only root can, and only root needs to)."""
    for path, _ in [("", None), *walk(tree)]:
        os.chown(tree / path, uid, uid, follow_symlinks=False)


def remove(folder: Path) -> None:
    """Delete a folder, read-only ones included. Quiet if it is already gone, or going at this moment."""
    for root, folders, _ in os.walk(folder):
        for name in [".", *folders]:
            with contextlib.suppress(OSError):
                Path(root, name).chmod(0o700, follow_symlinks=True) if not Path(root, name).is_symlink() else None
    shutil.rmtree(folder, ignore_errors=True)


def write_manifest(path: Path, entries: list[Entry]) -> None:
    path.write_text(json.dumps({"format": 1, "entries": entries}, separators=(",", ":")))


def read_manifest(path: Path) -> list[Entry]:
    """EnvironmentBroken when the manifest itself is missing or not what was written."""
    try:
        return [Entry(*each) for each in json.loads(path.read_text())["entries"]]
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise EnvironmentBroken(f"The manifest {path} can't be read: {cause}.") from cause


def compare(expected: Iterable[Entry], found: Iterable[Entry]) -> list[tuple[str, str]]:
    """(path, what differs), in order of path. A changed time alone is no damage: a restored backup may have it."""
    was, now = {each.path: each for each in expected}, {each.path: each for each in found}
    damages = []
    for path in sorted(was.keys() | now.keys()):
        before, after = was.get(path), now.get(path)
        if after is None:
            damages.append((path, "is missing"))
        elif before is None:
            damages.append((path, "does not belong here"))
        elif before.kind != after.kind or before.content != after.content:
            damages.append((path, "has other contents than when it was built"))
        elif before.mode != after.mode:
            damages.append((path, f"has mode {after.mode:o} instead of {before.mode:o}"))
    return damages
