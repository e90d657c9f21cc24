"""Who may use an analysis and who develops it: a document beside its blueprint, no part of its version (§9.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neurocaas.documents import Document, parse, read_json

ACCESS_FILE = "access.json"
EVERYTHING = "*"
USER_ID = r"^[a-z0-9][a-z0-9._-]{0,62}$"
UserId = Annotated[str, Field(pattern=USER_ID)]


class Access(Document):
    """`analyses/<name>/access.json`. groups: which may use it, "*" for all. developers: who may look into failed jobs
    that users hand to them."""

    groups: tuple[str, ...] = (EVERYTHING,)
    developers: tuple[UserId, ...] = ()

    def lets(self, group: str) -> bool:
        return EVERYTHING in self.groups or group in self.groups


def read_access(folder: Path) -> Access:
    """The access document of the analysis in `folder`; open to every group if there is none. Raises Refused."""
    path = folder / ACCESS_FILE
    return parse(Access, read_json(path), str(path)) if path.is_file() else Access()
