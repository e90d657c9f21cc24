"""Several providers are one towards the job manager."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank import Launch, Placement, Providers, State
from neurocaas.blueprint import Need
from neurocaas.errors import Refused
from neurocaas.storage import open_store
from neurocaas.testing import SimulatedCloud

ONE = Need(vcpus=1, memory_mib=1, storage_mib=1, gpus=0)


class TwoClouds:
    """Two providers that both know an allocation by its attempt's name alone."""

    def __init__(self, folder: Path) -> None:
        store = open_store((folder / "store").as_uri())
        self.near = SimulatedCloud(store=store, name="near", capacity=1)
        self.far = SimulatedCloud(store=store, name="far", capacity=1, price_per_hour=Decimal(1))
        self.both = Providers([self.near, self.far])

    def launch(self, attempt: str, provider: str) -> str:
        document: dict[str, Any] = {
            "attempt": attempt,
            "token": "t",
            "prefix": f"p/{attempt}",
            "inputs": [],
            "outputs": [],
            "config": {},
            "seed": 0,
        }
        place = next(one for one in self.both.instance_types() if one.provider == provider)
        return self.both.launch(
            Launch(
                attempt=attempt, work=Path("w"), document=document, need=ONE, placement=Placement(instance_type=place)
            )
        )


@pytest.fixture
def clouds(tmp_path: Path) -> TwoClouds:
    return TwoClouds(tmp_path)


def test_an_attempt_goes_to_the_provider_of_its_instance_type(clouds: TwoClouds) -> None:
    clouds.launch("job/0/1", "far")
    assert (clouds.near.running, clouds.far.running) == ([], ["job/0/1"])


def test_the_same_handle_of_two_providers_is_told_apart(clouds: TwoClouds) -> None:
    near, far = clouds.launch("job/0/1", "near"), clouds.launch("job/0/1", "far")
    assert near != far
    clouds.both.release(far)
    assert clouds.both.sweep([near, far]) == {near: State.RUNNING, far: State.GONE}


def test_what_a_provider_supplied_that_the_site_no_longer_has_is_gone(clouds: TwoClouds) -> None:
    handle = clouds.launch("job/0/1", "far")
    alone = Providers([clouds.near])
    alone.release(handle)
    alone.adopt([handle])
    assert alone.sweep([handle]) == {handle: State.GONE}


def test_an_attempt_is_found_with_the_provider_that_has_it(clouds: TwoClouds) -> None:
    handle = clouds.launch("job/0/1", "far")
    assert clouds.both.find("job/0/1", Path("w")) == handle
    assert clouds.both.find("job/0/2", Path("w")) is None


def test_a_shortage_at_one_provider_is_none_at_the_other(clouds: TwoClouds) -> None:
    clouds.launch("job/0/1", "near")
    near, far = (Placement(instance_type=one) for one in clouds.both.instance_types())
    assert clouds.both.shortage(ONE, near)
    assert not clouds.both.shortage(ONE, far)


def test_the_first_provider_is_the_default_and_an_unknown_one_is_refused(clouds: TwoClouds) -> None:
    assert clouds.both.of("") is clouds.near
    with pytest.raises(Refused, match=r"provider: found 'moon'; one of this site's, near, far, is right"):
        clouds.both.of("moon")
