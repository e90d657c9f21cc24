"""The versions of an analysis, the files of each, and what changed between two."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from neurocaas.blueprint import Version
from neurocaas.blueprint.source_repo import read_commit
from neurocaas.blueprint.version import BLUEPRINT_FILE, SHORT
from neurocaas.server.site import Site

LARGEST_SHOWN_BYTES = 512 * 1024
CONTEXT_LINES = 3


@dataclass(frozen=True, kw_only=True)
class Dated:
    """A version, and the commit that brought it; without one it was imported, or ran before it was committed."""

    digest: str
    commit: str = ""
    at: datetime | None = None
    subject: str = ""

    @property
    def short(self) -> str:
        return self.digest[:SHORT]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a difference. kind: "same", "added", "removed", or "gap" for lines that are left out."""

    kind: str
    text: str

    @property
    def sign(self) -> str:
        return {"added": "+", "removed": "−"}.get(self.kind, " ")


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A file that is not the same in both versions. how: added, removed, changed. lines: none if it is no text."""

    path: str
    how: str
    lines: Sequence[Line]


@dataclass(frozen=True, kw_only=True)
class FileText:
    """A file of a version, in full. text: None for what is no text, or very long."""

    path: str
    size_bytes: int
    text: str | None


def versions(site: Site, name: str) -> list[Dated]:
    """Every version of the analysis, the newest first; those that no commit has are last."""
    dated = list(_committed(site, name, site.repo.last_change(name)))
    known = {one.digest for one in dated}
    return [*dated, *(Dated(digest=one) for one in site.analyses.archived(name) if one not in known)]


def files(site: Site, version: Version) -> list[FileText]:
    """All that the version consists of: the blueprint first, then the workflow, then the rest."""
    folder = site.analyses.folder(version.name, version.digest)
    workflow = version.blueprint.workflow.files if version.blueprint.workflow else ()
    first = {path: index for index, path in enumerate((BLUEPRINT_FILE, *workflow))}
    paths = sorted((one.path for one in version.files), key=lambda one: (first.get(one, len(first)), one))
    return [FileText(path=path, size_bytes=(folder / path).stat().st_size, text=_text(folder / path)) for path in paths]


def changes(site: Site, before: Version, after: Version) -> list[FileChange]:
    """What is not the same in two versions of one analysis, file by file."""
    old = {one.path: one.sha256 for one in before.files}
    new = {one.path: one.sha256 for one in after.files}
    old_folder = site.analyses.folder(before.name, before.digest)
    new_folder = site.analyses.folder(after.name, after.digest)
    return [
        FileChange(
            path=path,
            how="added" if path not in old else "removed" if path not in new else "changed",
            lines=_lines(
                _text(old_folder / path) if path in old else "", _text(new_folder / path) if path in new else ""
            ),
        )
        for path in sorted({*old, *new}, key=lambda one: (one != BLUEPRINT_FILE, one))
        if old.get(path) != new.get(path)
    ]


def _lines(before: str | None, after: str | None) -> list[Line]:
    if before is None or after is None:
        return []
    kinds = {" ": "same", "+": "added", "-": "removed", "@": "gap"}
    unified = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT_LINES)
    shown = list(unified)[2:]  # without the two lines that name the files
    return [Line(kind=kinds.get(one[:1], "same"), text="" if one[:1] == "@" else one[1:]) for one in shown]


def _text(path: Path) -> str | None:
    data = path.read_bytes()
    if len(data) > LARGEST_SHOWN_BYTES or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


@lru_cache(maxsize=500)
def _committed(site: Site, name: str, _last_commit: str) -> tuple[Dated, ...]:
    return tuple(_read(site, name))


def _read(site: Site, name: str) -> Iterator[Dated]:
    """The versions in history, each with the commit that first had it."""
    first: dict[str, str] = {}
    for commit, folder in site.repo.history(name):
        version = read_commit(folder, name)
        if version is not None:
            site.analyses.archive(version, folder)
            first.pop(version.digest, None)  # an older commit comes later, and moves it back
            first[version.digest] = commit
    told = site.repo.told(list(first.values()))
    for digest, commit in first.items():
        at, subject = told[commit]
        yield Dated(digest=digest, commit=commit, at=at, subject=subject)
