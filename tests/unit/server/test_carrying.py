"""How environments reach a provider's machines as images: made once for each manager, by whoever pushes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neurocaas.bank import Carrier
from neurocaas.environment import Environment
from neurocaas.errors import RemoteFailed
from neurocaas.server.jobs.carrying import Carried, Carrying
from neurocaas.storage import open_store
from neurocaas.testing import SimulatedCloud
from support.world import ENVIRONMENT

PINNED = f"registry/neurocaas@sha256:{'a' * 64}"


@dataclass
class Registry:
    """Counts what is pushed to it."""

    pushed: list[str] = field(default_factory=list)
    fault: Exception | None = None

    def push(self, environment: Environment, provider: object, progress: object) -> str:
        self.pushed.append(environment.digest)
        if self.fault is not None:
            raise self.fault
        return PINNED


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def carrying(tmp_path: Path, registry: Registry) -> Carrying:
    store = open_store(tmp_path.as_uri())
    cloud = SimulatedCloud(store=store, carrier=Carrier.IMAGE)
    return Carrying(lambda _: cloud, store, registry.push)


def test_an_image_is_pushed_once_and_found_after(carrying: Carrying, registry: Registry) -> None:
    assert carrying.there(ENVIRONMENT, "cloud") is None
    assert carrying.bring(ENVIRONMENT, "cloud", progress=print) == Carried(image=PINNED)
    assert carrying.there(ENVIRONMENT, "cloud") == Carried(image=PINNED)
    assert registry.pushed == [ENVIRONMENT.digest]


def test_what_could_not_be_pushed_is_not_there(carrying: Carrying, registry: Registry) -> None:
    registry.fault = RemoteFailed("The registry did not answer.")
    with pytest.raises(RemoteFailed):
        carrying.bring(ENVIRONMENT, "cloud", progress=print)
    assert carrying.there(ENVIRONMENT, "cloud") is None
