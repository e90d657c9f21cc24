"""How an environment reaches the machines of a provider: made ready here, before the first stack is launched."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from neurocaas.bank import Carrier, Provider
from neurocaas.environment import Environment
from neurocaas.errors import Refused
from neurocaas.storage import Store, keys

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What a machine finds of an environment. archives: keys in the store, by where the tree is mounted; image: the
    reference of an OCI image by its digest; engine: what has that image, if it is for this machine."""

    archives: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    engine: str = ""


class Carry(Protocol):
    """Makes environments ready for a provider's machines."""

    def there(self, environment: Environment, provider: str) -> Carried | None:
        """What its machines find already; None if something is to be made first. Milliseconds."""

    def bring(self, environment: Environment, provider: str, *, progress: Progress) -> Carried:
        """Make what is missing; minutes. Raises NeurocaasError."""


class Carrying:
    """`Carry` for a site's providers."""

    def __init__(self, providers: Callable[[str], Provider], store: Store) -> None:
        """providers: the one of a name."""
        self._providers = providers
        self._store = store

    def there(self, environment: Environment, provider: str) -> Carried | None:
        match self._providers(provider).carrier:
            case Carrier.HERE:
                return Carried(image=environment.image, engine=environment.engine)
            case Carrier.ARCHIVE:
                archives = _archives(environment)
                missing = any(self._store.head(key) is None for key in archives.values())
                return None if missing else Carried(archives=archives, image=environment.image)
            case Carrier.IMAGE:
                return None

    def bring(self, environment: Environment, provider: str, *, progress: Progress) -> Carried:
        if self._providers(provider).carrier is Carrier.IMAGE:
            raise Refused(f"{provider} runs images, and no image of this environment can be made here.")
        archives = _archives(environment)
        for mount in environment.mounts:
            if self._store.head(archives[mount.target]) is None:
                progress(f"Packing {mount.target} for {provider}.")
                _pack(mount.source, archives[mount.target], self._store)
        return Carried(archives=archives, image=environment.image)


def _archives(environment: Environment) -> dict[str, str]:
    """The store's key of each tree; trees lie in a folder that bears their digest."""
    return {mount.target: keys.tree_archive(mount.source.parent.name) for mount in environment.mounts}


def _pack(tree: Path, key: str, store: Store) -> None:
    with tempfile.TemporaryDirectory(prefix="neurocaas-packing-") as folder:
        packed = Path(folder) / "tree.tar.gz"
        with tarfile.open(packed, "w:gz", compresslevel=1) as tar:
            tar.add(tree, arcname=".")
        store.put_file(packed, key, move=True)
