from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank import bundled_catalogue, choose, read_catalogue, site_catalogue
from neurocaas.blueprint import Need
from neurocaas.errors import NotFound, Refused

ONE = {"name": "a", "vcpus": 1, "memory_gib": 1, "price_per_hour": 0.5}
SMALL: dict[str, Any] = {
    "provider": "aws",
    "region": "eu-central-1",
    "on_demand_as_of": "2026-01-19",
    "source": "a quote",
    "instance_types": [ONE],
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "aws.json"
    path.write_text(json.dumps(SMALL | changes))
    return path


def test_the_prices_of_the_paper_and_the_original_are_listed() -> None:
    priced = {one.name: one.price_per_hour for one in bundled_catalogue().types}
    assert {
        "t2.micro": Decimal("0.0116"),
        "m5.xlarge": Decimal("0.192"),
        "m5.4xlarge": Decimal("0.768"),
        "m5.16xlarge": Decimal("3.072"),
        "r5.16xlarge": Decimal("4.032"),
        "p2.xlarge": Decimal("0.9"),
        "p2.8xlarge": Decimal("7.2"),
        "p3.2xlarge": Decimal("3.06"),
        "g4dn.12xlarge": Decimal("3.912"),
    }.items() <= priced.items()


def test_the_bundled_list_is_dated_and_says_where_each_column_is_from() -> None:
    catalogue = bundled_catalogue()
    assert (catalogue.provider, catalogue.region) == ("aws", "us-east-1")
    assert catalogue.on_demand_as_of.isoformat() == "2026-01-19"
    assert catalogue.spot_as_of is not None
    for word in ("On demand:", "Spot:", "Shapes:"):
        assert word in catalogue.source


def test_no_type_is_listed_twice_and_spot_is_below_on_demand() -> None:
    types = bundled_catalogue().types
    assert len({one.name for one in types}) == len(types) >= 60
    for one in types:
        assert one.save_price_per_hour is None or 0 < one.save_price_per_hour < one.price_per_hour
        assert (one.gpus > 0) == bool(one.gpu)


def test_within_a_family_a_larger_size_has_more_and_costs_more() -> None:
    families: dict[str, list[Any]] = {}
    for one in bundled_catalogue().types:
        families.setdefault(f"{one.name.split('.')[0]} {one.gpus}", []).append(one)
    for sizes in families.values():
        shapes = [(one.vcpus, one.memory_mib) for one in sizes]
        assert shapes == sorted(shapes)
        prices = [one.price_per_hour for one in sizes]
        assert prices == sorted(set(prices))


def test_retired_types_are_priced_but_not_taken() -> None:
    types = bundled_catalogue().types
    assert {one.name for one in types if one.retired} == {"p2.xlarge", "p2.8xlarge"}
    need = Need(vcpus=4, memory_mib=16384, storage_mib=1024, gpus=1)
    assert choose(types, need).taken.name == "g4dn.xlarge"
    with pytest.raises(Refused, match=r"p2\.xlarge.*no longer offered"):
        choose(types, need, instance_type="p2.xlarge")


def test_a_site_replaces_the_list_by_a_file_in_its_source_repo(tmp_path: Path) -> None:
    assert site_catalogue(tmp_path) is bundled_catalogue()
    (tmp_path / "prices").mkdir()
    written(tmp_path / "prices")
    replaced = site_catalogue(tmp_path)
    assert replaced.region == "eu-central-1"
    assert [(one.name, one.memory_mib, one.price_per_hour) for one in replaced.types] == [("a", 1024, Decimal("0.5"))]


def test_shapes_are_whole_mib_and_what_is_left_out_is_neither_gpu_nor_save_price(tmp_path: Path) -> None:
    disk = ONE | {"memory_gib": 1.7, "storage_gib": 80, "gpus": 2, "gpu": "NVIDIA T4", "save_price_per_hour": "0.1"}
    plain, full = read_catalogue(written(tmp_path, instance_types=[ONE, disk | {"name": "b"}])).types
    assert (plain.gpus, plain.gpu, plain.storage_mib, plain.save_price_per_hour) == (0, "", None, None)
    assert (full.memory_mib, full.storage_mib, full.gpus, full.gpu) == (1740, 81920, 2, "NVIDIA T4")
    assert full.save_price_per_hour == Decimal("0.1")


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"on_demand_as_of": "19.1.2026"}, ['on_demand_as_of: found "19.1.2026"; a date such as 2026-01-19 is right.']),
        ({"spot_as_of": 5}, ["spot_as_of: found 5; a date such as 2026-01-19 is right."]),
        ({"instance_types": []}, ["instance_types: found []; at least one instance type is right."]),
        (
            {"instance_types": [ONE | {"vcpus": 0}]},
            ["instance_types[0].vcpus: found 0; a number of at least 1 is right."],
        ),
        (
            {"instance_types": [ONE | {"price_per_hour": 0, "vcpu": 2}]},
            [
                "instance_types[0].price_per_hour: found 0; a number above 0 is right.",
                'instance_types[0].vcpu: this key is not known. Did you mean "vcpus"?',
            ],
        ),
    ],
)
def test_each_fault_names_its_path_what_was_found_and_what_is_right(
    tmp_path: Path, changes: dict[str, Any], sentences: list[str]
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(Refused) as refusal:
        read_catalogue(path)
    assert str(refusal.value).splitlines() == [f"{path}: {sentence}" for sentence in sentences]


def test_a_type_listed_twice_or_dearer_when_saving_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"instance_types: .*each instance type once \(not so: a\) is right\.$"):
        read_catalogue(written(tmp_path, instance_types=[ONE, ONE]))
    with pytest.raises(Refused, match=r"a save_price_per_hour of at most price_per_hour is right\.$"):
        read_catalogue(written(tmp_path, instance_types=[ONE | {"save_price_per_hour": 0.6}]))


def test_a_missing_file_and_a_broken_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such file"):
        read_catalogue(tmp_path / "aws.json")
    (tmp_path / "aws.json").write_text('{"provider": aws}')
    with pytest.raises(Refused, match="line 1, column 14"):
        read_catalogue(tmp_path / "aws.json")


def test_importing_the_bank_reads_no_price_list() -> None:
    code = "import sys, neurocaas.bank; print([one for one in sys.modules if one.startswith('neurocaas.bank.')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "catalogue" not in done.stdout
    assert "provider" in done.stdout
