"""The analyses that somebody may see, found by words, subfield and whether they are public."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from neurocaas.blueprint import Blueprint
from neurocaas.blueprint.access import EVERYTHING, Access
from neurocaas.blueprint.version import BLUEPRINT_FILE
from neurocaas.documents import nearest, parse, read_json
from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.server.groups.deployed import usable
from neurocaas.server.groups.models import AnalysisAccess
from neurocaas.server.groups.scope import Caller
from neurocaas.server.site import Site


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An analysis in a list. public: every group may use it; others are custom ones, of some groups."""

    name: str
    title: str
    summary: str
    subfield: str
    authors: str
    kinds: Sequence[str]
    public: bool

    def has(self, words: str) -> bool:
        """Whether each of the words is in something that is told of it."""
        told = " ".join((self.name, self.title, self.summary, self.subfield, self.authors, *self.kinds)).casefold()
        return all(word in told for word in words.casefold().split())


def listed(site: Site, caller: Caller | None) -> list[Listed]:
    """All that the caller's group may use; for nobody in particular, those that are open to all. Two queries."""
    closed = _closed()
    found = []
    for name in _names(site, caller, closed):
        blueprint = _blueprint(site, name)
        if blueprint is not None:
            found.append(_listed(blueprint, public=name not in closed))
    return sorted(found, key=lambda one: one.title.casefold())


def search(
    analyses: Iterable[Listed], *, words: str = "", subfield: str = "", public: bool | None = None
) -> list[Listed]:
    """Those of the analyses that fit all that is asked for."""
    return [
        one
        for one in analyses
        if one.has(words) and (not subfield or one.subfield == subfield) and (public is None or one.public == public)
    ]


def check_visible(site: Site, caller: Caller, name: str) -> None:
    """Raises NotFound for an analysis that the caller may not use: it is not told that there is one."""
    names = _names(site, caller, _closed())
    if name not in names:
        raise NotFound(f"There is no analysis {name[:80]!r} that you may use.{nearest(name, names)}")


def _names(site: Site, caller: Caller | None, closed: frozenset[str]) -> list[str]:
    names = site.repo.names()
    if caller is not None and caller.group:
        return usable(caller.group, names)
    return [name for name in names if name not in closed]


def _closed() -> frozenset[str]:
    """The analyses that only some groups may use."""
    return frozenset(
        row.analysis for row in AnalysisAccess.objects.all() if EVERYTHING not in Access(**row.document).groups
    )


def _listed(blueprint: Blueprint, *, public: bool) -> Listed:
    _, main = blueprint.main_input
    return Listed(
        name=blueprint.name,
        title=blueprint.title,
        summary=blueprint.summary,
        subfield=blueprint.subfield,
        authors=blueprint.paper.authors if blueprint.paper else "",
        kinds=main.kinds,
        public=public,
    )


def _blueprint(site: Site, name: str) -> Blueprint | None:
    """The blueprint as the file is now; None for one that is faulty, which its developer is told elsewhere."""
    path = site.repo.folder(name) / BLUEPRINT_FILE
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (NeurocaasError, OSError):
        return None


@lru_cache(maxsize=1000)
def _read(path: Path, _changed_ns: int) -> Blueprint:
    return parse(Blueprint, read_json(path), path.parent.name)
