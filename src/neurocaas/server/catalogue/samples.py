"""Sample data of analyses, made once per version in the background: a generator may first need its environment."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.blueprint.model import Sample
from neurocaas.errors import NeurocaasError
from neurocaas.server.analyses import Resolved
from neurocaas.server.sample import write_sample
from neurocaas.server.site import Site


def has_sample(resolved: Resolved) -> bool:
    """Whether the analysis, or a part of it, comes with sample data."""
    members = (resolved.family, *resolved.family.descendants())
    return any(one.version.blueprint.sample != Sample() for one in members)


@dataclass
class _Making:
    made: Future[None]
    said: list[str] = field(default_factory=list)


class Samples:
    """One per process. What was made is kept below the site's state folder."""

    def __init__(self) -> None:
        self._makers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sample")
        self._making: dict[Path, _Making] = {}

    def get(self, site: Site, resolved: Resolved) -> list[Path] | None:
        """The files, sorted; None while they are made, which begins now. Raises as `write_sample` does."""
        folder = site.settings.state / "samples" / resolved.version.digest
        if folder.is_dir():
            self._making.pop(folder, None)
            return sorted(one for one in folder.iterdir() if one.is_file())
        making = self._making.get(folder)
        if making is None:
            said: list[str] = []
            spec = f"{resolved.version.name}@{resolved.version.digest}"
            self._making[folder] = _Making(self._makers.submit(_make, site, spec, folder, said), said)
            return None
        if not making.made.done():
            return None
        del self._making[folder]
        making.made.result()
        return self.get(site, resolved)

    def said(self, site: Site, resolved: Resolved) -> str:
        """The last line about the making."""
        making = self._making.get(site.settings.state / "samples" / resolved.version.digest)
        return making.said[-1] if making and making.said else ""


def _make(site: Site, spec: str, folder: Path, said: list[str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        write_sample(site, spec, temporary / "data", said.append)
        (temporary / "data").rename(folder)
    except OSError as cause:
        if not folder.is_dir():  # otherwise another process made it at the same moment
            raise NeurocaasError(f"The sample data can't be written: {cause.strerror}.") from cause
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


samples = Samples()
