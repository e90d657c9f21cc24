"""One site, wired: the only place where its parts are put together."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocaas.bank import Providers, open_providers
from neurocaas.blueprint import Family, SourceRepo
from neurocaas.blueprint.model import Function
from neurocaas.errors import Refused
from neurocaas.server.analyses import Analyses
from neurocaas.server.database import connect
from neurocaas.settings import Settings, read_settings
from neurocaas.storage import Store, open_store

if TYPE_CHECKING:
    from neurocaas.certificate import SigningKey, TrustedKeys
    from neurocaas.environment import EnvironmentStore

# A submission needs neither environments nor keys, and they are slow to import; so each is imported where it is made.

LOCAL_GROUP = "local"


@dataclass(frozen=True, eq=False)
class Site:
    """A site's parts, each made when first asked for; equal to itself alone. The database is connected."""

    settings: Settings

    @cached_property
    def store(self) -> Store:
        return open_store(self.settings.store_url)

    @cached_property
    def repo(self) -> SourceRepo:
        return SourceRepo(self.settings.root)

    @cached_property
    def analyses(self) -> Analyses:
        return Analyses(repo=self.repo, store=self.store, unpacked=self.settings.versions)

    @cached_property
    def environments(self) -> EnvironmentStore:
        from neurocaas.environment import EnvironmentStore

        return EnvironmentStore(self.settings.environments, engine=self.settings.site.images.engine)

    @cached_property
    def providers(self) -> Providers:
        return open_providers(self.settings)

    def run_protocol(self, family: Family, submission: dict[str, Any]) -> Any:
        """The plan that an analysis' own protocol makes, as JSON. Raises Refused with the line of its fault."""
        from neurocaas.server.protocol_function import run_protocol

        version, protocol = family.version, family.version.blueprint.protocol
        assert isinstance(protocol, Function)
        return run_protocol(
            self.analyses.folder(version.name, version.digest),
            protocol.file,
            protocol.function,
            submission,
            timeout_seconds=protocol.timeout_seconds,
            where=version.short,
        )

    @cached_property
    def signing_key(self) -> SigningKey:
        from neurocaas.certificate import SigningKey

        return SigningKey.load(self.settings.key)

    @cached_property
    def trusted_keys(self) -> TrustedKeys:
        from neurocaas.certificate import TrustedKeys

        return TrustedKeys(self.settings.trusted_keys)


def open_site(root: Path) -> Site:
    """The site at `root`, with its database. Raises NotFound if none is there."""
    settings = read_settings(root)
    connect(settings)
    return Site(settings)


def bundled_analyses() -> Path:
    """The analyses that come with this package: inside it when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "bundled"
    return installed if installed.is_dir() else package.parents[1] / "analyses"


def create_site(root: Path, name: str) -> Site:
    """Make a site: its source repo with the bundled analyses, its state folder, its signing key, its database.

    Raises Refused if something else is in the folder.
    """
    from neurocaas.certificate import SigningKey, TrustedKeys

    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise Refused(f"{root} is not an empty folder; a new or empty folder is right for a site.")
    root.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there whole: an interrupted init leaves nothing that looks like a site.
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as temporary:
        made = Path(temporary) / "site"
        SourceRepo(made).create(bundled_analyses(), {"name": name})
        settings = read_settings(made)
        settings.state.mkdir(mode=0o700)
        settings.key.parent.mkdir(mode=0o700)
        key = SigningKey.create(settings.key)
        TrustedKeys(settings.trusted_keys).add(key.public_path, name)
        made.rename(root)
    return open_site(root)
