"""The sites that a person is signed in to, and which of them counts: a file that only they can read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pydantic import Field

from neurocaas.documents import Document, parse, read_json
from neurocaas.errors import NotFound, Refused


class SignedIn(Document):
    """Who they are on one site. group: which of their groups; the site's choice if None."""

    token: str = Field(repr=False)
    user: str
    group: str | None = None


class Sites(Document):
    """All of them by address. current: the one that counts where none is named."""

    current: str | None = None
    sites: dict[str, SignedIn] = Field(default_factory=dict)


def settings_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "neurocaas"


def read_sites() -> Sites:
    """Raises Refused if the file is not right."""
    path = settings_folder() / "sites.json"
    try:
        return parse(Sites, read_json(path), str(path))
    except NotFound:
        return Sites()
    except Refused:
        # Its own words would show what was found, and that may be a token.
        raise Refused(f"{path} is not right.", remedy="Remove it, and sign in again: neurocaas login URL") from None


def write_sites(sites: Sites) -> None:
    """Replace the file at once; nobody else may read it."""
    folder = settings_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder / f".sites.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(sites.model_dump_json(indent=1))
    temporary.replace(folder / "sites.json")
