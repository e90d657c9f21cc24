"""How an environment reaches the machines of a provider: made ready here, before the first stack is launched."""

from __future__ import annotations

import contextlib
import random
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from neurocaas.bank import Carrier, Provider, SignsIn
from neurocaas.environment import Environment, EnvironmentStore
from neurocaas.errors import RemoteFailed
from neurocaas.settings import Images
from neurocaas.storage import Store, keys

Progress = Callable[[str], None]
PAUSES_SECONDS = (2.0, 8.0, 30.0)  # between tries to push an image: a registry's hiccup fails nobody's job


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


Push = Callable[[Environment, Provider, Progress], str]


class Carrying:
    """`Carry` for a site's providers."""

    def __init__(self, providers: Callable[[str], Provider], store: Store, push: Push) -> None:
        """providers: the one of a name. push: has an environment as an image in a provider's repository."""
        self._providers = providers
        self._store = store
        self._push = push
        self._images: dict[tuple[str, str], str] = {}  # references by provider and environment digest

    def there(self, environment: Environment, provider: str) -> Carried | None:
        match self._providers(provider).carrier:
            case Carrier.HERE:
                return Carried(image=environment.image, engine=environment.engine)
            case Carrier.ARCHIVE:
                archives = _archives(environment)
                missing = any(self._store.head(key) is None for key in archives.values())
                return None if missing else Carried(archives=archives, image=environment.image)
            case Carrier.IMAGE:
                # Whether a registry still has what it once got is asked once for each manager: pushing asks.
                image = self._images.get((provider, environment.digest))
                return Carried(image=image) if image else None

    def bring(self, environment: Environment, provider: str, *, progress: Progress) -> Carried:
        if self._providers(provider).carrier is Carrier.IMAGE:
            image = self._push(environment, self._providers(provider), progress)
            self._images[provider, environment.digest] = image
            return Carried(image=image)
        archives = _archives(environment)
        for mount in environment.mounts:
            if self._store.head(archives[mount.target]) is None:
                progress(f"Packing {mount.target} for {provider}.")
                _pack(mount.source, archives[mount.target], self._store)
        return Carried(archives=archives, image=environment.image)


def push_image(
    environments: EnvironmentStore, images: Images, environment: Environment, provider: Provider, progress: Progress
) -> str:
    """The environment as an image in the provider's repository, by its digest; made and sent if it is not there.

    Raises Refused for an environment that no image can be made of, EnvironmentBroken, Unavailable, RemoteFailed.
    """
    from neurocaas.environment.imaging import image_of, push  # most sites never do

    made = image_of(environments, environment, images, progress=progress)
    sign_in = (lambda _: provider.sign_in()) if isinstance(provider, SignsIn) else None
    for pause in PAUSES_SECONDS:
        with contextlib.suppress(RemoteFailed):
            return push(made, provider.repository(), progress=progress, sign_in=sign_in)
        progress("The registry did not take the image; it is tried again.")
        time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - so that managers do not come back all at once
    return push(made, provider.repository(), progress=progress, sign_in=sign_in)


def _archives(environment: Environment) -> dict[str, str]:
    """The store's key of each tree; trees lie in a folder that bears their digest."""
    return {mount.target: keys.tree_archive(mount.source.parent.name) for mount in environment.mounts}


def _pack(tree: Path, key: str, store: Store) -> None:
    with tempfile.TemporaryDirectory(prefix="neurocaas-packing-") as folder:
        packed = Path(folder) / "tree.tar.gz"
        with tarfile.open(packed, "w:gz", compresslevel=1) as tar:
            tar.add(tree, arcname=".")
        store.put_file(packed, key, move=True)
