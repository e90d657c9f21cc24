from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.bank import Choice, InstanceType, choose, hourly_price
from neurocaas.blueprint import Need
from neurocaas.errors import Refused

CENT = Decimal("0.01")


def a_type(name: str = "a", **changes: Any) -> InstanceType:
    plain = InstanceType(name=name, vcpus=4, memory_mib=8192, gpus=0, price_per_hour=Decimal("0.10"))
    return replace(plain, **changes)


def a_need(*, vcpus: int = 1, memory_mib: int = 1024, storage_mib: int = 1024, gpus: int = 0) -> Need:
    return Need(vcpus=vcpus, memory_mib=memory_mib, storage_mib=storage_mib, gpus=gpus)


def fits(one: InstanceType, need: Need) -> bool:
    return not one.retired and (
        one.vcpus >= need.vcpus
        and one.memory_mib >= need.memory_mib
        and one.gpus >= need.gpus
        and (one.storage_mib is None or one.storage_mib >= need.storage_mib)
    )


def of_the_kind_needed(one: InstanceType, need: Need) -> bool:
    return not one.burstable and (one.gpus == 0 or need.gpus > 0)


def whys(choice: Choice) -> dict[str, str]:
    return {one.instance_type.name: one.why for one in choice.considered}


# Small shapes and few prices, so that ties, lacks and retired types all come up.
listed = st.builds(
    InstanceType,
    name=st.sampled_from("abcdefgh"),
    vcpus=st.sampled_from([1, 2, 4]),
    memory_mib=st.sampled_from([1024, 4096, 62464]),
    gpus=st.sampled_from([0, 0, 1, 4]),
    price_per_hour=st.integers(3, 6).map(lambda cents: cents * CENT),
    storage_mib=st.sampled_from([None, 2048]),
    save_price_per_hour=st.none() | st.integers(1, 3).map(lambda cents: cents * CENT),
    burstable=st.sampled_from([False, False, True]),
    retired=st.sampled_from([False, False, False, True]),
)
needs = st.builds(
    a_need,
    vcpus=st.integers(1, 5),
    memory_mib=st.sampled_from([512, 1025, 4096, 65536]),
    storage_mib=st.sampled_from([1, 4096]),
    gpus=st.integers(0, 2),
)


@st.composite
def situations(draw: st.DrawFn, *, met: bool | None = None) -> tuple[list[InstanceType], Need]:
    """A price list and a need that it meets, or does not; None: either."""
    types, need = draw(st.lists(listed, max_size=5, unique_by=lambda one: one.name)), draw(needs)
    if met:
        enough = draw(listed)
        shape = {"vcpus": need.vcpus, "memory_mib": need.memory_mib, "storage_mib": None, "gpus": need.gpus}
        types.insert(0, replace(enough, name="z", retired=False, **shape))  # type: ignore[arg-type]
    elif met is False:
        types = [one for one in types if not fits(one, need)]
    return types, need


def outcome(types: Sequence[InstanceType], need: Need, *, save: bool) -> Choice | str:
    try:
        return choose(types, need, save=save)
    except Refused as refusal:
        return str(refusal)


@given(situations(), st.booleans())
def test_what_is_taken_fits_and_a_need_is_refused_only_if_nothing_does(
    situation: tuple[list[InstanceType], Need], save: bool
) -> None:
    types, need = situation
    found = outcome(types, need, save=save)
    assert isinstance(found, Choice) == any(fits(one, need) for one in types)
    assert isinstance(found, str) or fits(found.taken, need)


@given(situations(met=True), st.booleans())
def test_nothing_that_fits_and_is_of_the_kind_needed_is_cheaper(
    situation: tuple[list[InstanceType], Need], save: bool
) -> None:
    types, need = situation
    taken = choose(types, need, save=save).taken
    suitable = [one for one in types if fits(one, need) and of_the_kind_needed(one, need)]
    if not suitable:
        assert not of_the_kind_needed(taken, need)
        return
    assert taken == min(suitable, key=lambda one: (hourly_price(one, save=save), one.vcpus, one.memory_mib, one.name))


@given(situations(), st.booleans(), st.randoms())
def test_the_order_of_the_price_list_never_matters(
    situation: tuple[list[InstanceType], Need], save: bool, random: Random
) -> None:
    types, need = situation
    shuffled = list(types)
    random.shuffle(shuffled)
    assert outcome(shuffled, need, save=save) == outcome(types, need, save=save)


@given(situations(met=True), st.booleans())
def test_every_type_is_considered_once_the_taken_one_first_then_those_that_fit_by_price(
    situation: tuple[list[InstanceType], Need], save: bool
) -> None:
    types, need = situation
    choice = choose(types, need, save=save)
    names = [one.instance_type.name for one in choice.considered]
    assert sorted(names) == sorted(one.name for one in types)
    assert [one.taken for one in choice.considered] == [True] + [False] * (len(types) - 1)
    assert choice.considered[0].instance_type == choice.taken
    rest = [one.instance_type for one in choice.considered[1:]]
    fitting = [one for one in rest if fits(one, need)]
    assert rest[: len(fitting)] == fitting
    prices = [hourly_price(one, save=save) for one in fitting]
    assert prices == sorted(prices)


@given(situations(met=True))
def test_saving_never_costs_more_than_the_standard_price(situation: tuple[list[InstanceType], Need]) -> None:
    standard, saving = choose(*situation), choose(*situation, save=True)
    assert hourly_price(saving.taken, save=True) <= hourly_price(standard.taken, save=False)


@given(situations(met=True), st.booleans())
def test_a_retry_elsewhere_fits_and_stays_within_what_was_reserved(
    situation: tuple[list[InstanceType], Need], save: bool
) -> None:
    types, need = situation
    choice = choose(types, need, save=save)
    assert choice.taken not in choice.alternatives
    assert all(fits(one, need) for one in choice.alternatives)
    prices = [one.price_per_hour for one in choice.alternatives]
    assert prices == sorted(prices)
    assert all(price <= choice.taken.price_per_hour for price in prices)
    if of_the_kind_needed(choice.taken, need):
        assert all(of_the_kind_needed(one, need) for one in choice.alternatives)


@given(situations(met=True), st.booleans())
def test_every_reason_follows_the_name_and_says_something(
    situation: tuple[list[InstanceType], Need], save: bool
) -> None:
    for one in choose(*situation, save=save).considered:
        assert one.why.split()[0] in {"the", "has", "costs", "is"}
        assert not one.why.endswith((".", " "))
        assert "$0.00 " not in one.why


@given(situations(met=False), st.booleans())
def test_every_refusal_is_sentences_about_hardware(situation: tuple[list[InstanceType], Need], save: bool) -> None:
    with pytest.raises(Refused) as refusal:
        choose(*situation, save=save)
    for sentence in str(refusal.value).splitlines():
        assert sentence.startswith("hardware: ")
        assert sentence.endswith(".")


def test_reasons_say_what_is_lacking_and_what_more_would_cost() -> None:
    types = [
        a_type("taken", vcpus=8, memory_mib=16384),
        a_type("small", vcpus=4, memory_mib=16384),
        a_type("tight", vcpus=8, memory_mib=8192),
        a_type("dear", vcpus=8, memory_mib=16384, price_per_hour=Decimal("0.48")),
        a_type("bigger", vcpus=16, memory_mib=16384),
        a_type("gone", vcpus=8, memory_mib=16384, retired=True),
        a_type("bursts", vcpus=8, memory_mib=16384, price_per_hour=CENT, burstable=True),
        a_type("graphics", vcpus=8, memory_mib=16384, price_per_hour=CENT, gpus=1),
        a_type("disk", vcpus=8, memory_mib=16384, storage_mib=1024),
    ]
    choice = choose(types, a_need(vcpus=8, memory_mib=13927, storage_mib=20480))
    assert whys(choice) == {
        "taken": "the cheapest that fits: $0.10 an hour",
        "small": "has 4 vCPUs; 8 are needed",
        "tight": "has 8 GiB of memory; 13.7 GiB are needed",
        "dear": "costs $0.38 an hour more",
        "bigger": "costs the same with more vCPUs",
        "gone": "is no longer offered",
        "bursts": "is meant for bursts",
        "graphics": "has 1 GPU; none is needed",
        "disk": "has 1 GiB of storage; 20 GiB are needed",
    }
    assert [one.name for one in choice.alternatives] == ["bigger"]


def test_the_nearest_of_those_that_do_not_fit_comes_first() -> None:
    types = [a_type("far", vcpus=1), a_type("near", vcpus=7), a_type("half", vcpus=4), a_type("taken", vcpus=8)]
    choice = choose(types, a_need(vcpus=8))
    assert [one.instance_type.name for one in choice.considered] == ["taken", "near", "half", "far"]


def test_saving_takes_what_is_cheapest_at_the_save_price_and_says_what_is_not_offered_there() -> None:
    types = [
        a_type("standard", price_per_hour=Decimal("0.10")),
        a_type("spot", price_per_hour=Decimal("0.20"), save_price_per_hour=Decimal("0.05781")),
    ]
    assert choose(types, a_need()).taken.name == "standard"
    saving = choose(types, a_need(), save=True)
    assert whys(saving) == {
        "spot": "the cheapest that fits: $0.0579 an hour at the save price",
        "standard": "is not offered at a save price and costs $0.0422 an hour more",
    }
    assert [one.name for one in saving.alternatives] == ["standard"]


def test_ties_go_to_fewer_vcpus_then_less_memory_then_the_name() -> None:
    types = [a_type("d", vcpus=8), a_type("c", memory_mib=16384), a_type("b"), a_type("a")]
    choice = choose(types, a_need())
    assert whys(choice) == {
        "a": "the cheapest that fits: $0.10 an hour",
        "b": "costs the same for as much",
        "c": "costs the same with more memory",
        "d": "costs the same with more vCPUs",
    }
    assert choose([a_type("wide", vcpus=2), a_type("deep", vcpus=1, memory_mib=65536)], a_need()).taken.name == "deep"


def test_a_gpu_nobody_needs_is_taken_only_where_nothing_else_fits() -> None:
    cheap_gpu = a_type("gpu", gpus=1, vcpus=8, price_per_hour=CENT)
    assert choose([cheap_gpu, a_type("plain")], a_need()).taken.name == "plain"
    assert choose([cheap_gpu, a_type("plain")], a_need(vcpus=8)).taken.name == "gpu"
    assert choose([cheap_gpu, a_type("plain")], a_need(gpus=1)).taken.name == "gpu"


def test_a_named_type_is_taken_even_where_others_are_cheaper_and_has_no_alternatives() -> None:
    types = [a_type("cheap", price_per_hour=CENT), a_type("bursts", burstable=True), a_type("dear", gpus=1)]
    choice = choose(types, a_need(), instance_type="dear")
    assert choice.taken.name == "dear"
    assert choice.alternatives == ()
    assert whys(choice)["dear"] == "the one that the blueprint names: $0.10 an hour"
    assert whys(choice)["cheap"] == "fits, but the blueprint names dear"


@pytest.mark.parametrize(
    ("name", "need", "sentence"),
    [
        (
            "p3.2xlrge",
            a_need(),
            'found "p3.2xlrge"; an instance type of the price list is right. Did you mean "p3.2xlarge"?',
        ),
        ("p2.xlarge", a_need(), 'found "p2.xlarge", which is no longer offered; another instance type is right.'),
        (
            "p3.2xlarge",
            a_need(vcpus=9, gpus=2),
            (
                'found "p3.2xlarge", which has 8 vCPUs (9 are needed), 1 GPU (2 are needed); '
                "a larger instance type is right."
            ),
        ),
    ],
)
def test_a_named_type_that_cannot_be_had_is_refused(name: str, need: Need, sentence: str) -> None:
    types = [a_type("p3.2xlarge", vcpus=8, gpus=1), a_type("p2.xlarge", gpus=1, retired=True)]
    with pytest.raises(Refused) as refusal:
        choose(types, need, instance_type=name)
    assert str(refusal.value) == f"hardware.instance_type: {sentence}"


@pytest.mark.parametrize(
    ("need", "sentences"),
    [
        (a_need(vcpus=9), ["hardware: found 9 vCPUs; at most 8 vCPUs, as wide has, is right."]),
        (a_need(gpus=1), ["hardware: found 1 GPU; at most no GPU, as narrow has, is right."]),
        (
            a_need(vcpus=9, memory_mib=40000, storage_mib=4096),
            [
                "hardware: found 9 vCPUs; at most 8 vCPUs, as wide has, is right.",
                "hardware: found 39.1 GiB of memory; at most 32 GiB of memory, as narrow has, is right.",
                "hardware: found 4 GiB of storage; at most 2 GiB of storage, as narrow has, is right.",
            ],
        ),
        (
            a_need(vcpus=8, memory_mib=32768),
            [
                (
                    "hardware: found 8 vCPUs, 32 GiB of memory, 1 GiB of storage, which no instance type has together; "
                    "a need that the nearest meets is right: wide has 16 GiB of memory (32 GiB are needed)."
                )
            ],
        ),
    ],
)
def test_a_need_that_nothing_meets_names_the_largest_there_is_and_what_is_lacking(
    need: Need, sentences: list[str]
) -> None:
    types = [
        a_type("wide", vcpus=8, memory_mib=16384, storage_mib=2048),
        a_type("narrow", vcpus=2, memory_mib=32768, storage_mib=2048),
        a_type("old", vcpus=99, memory_mib=999999, gpus=9, retired=True),
    ]
    with pytest.raises(Refused) as refusal:
        choose(types, need)
    assert str(refusal.value).splitlines() == sentences


def test_a_list_that_offers_nothing_is_refused_as_such() -> None:
    for types in ([], [a_type(retired=True)]):
        with pytest.raises(Refused, match="no instance type is offered here"):
            choose(types, a_need())
