"""What the documents ask of the account, and what they are told where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank.aws.infrastructure.declaration import BoxGroup, Declaration, declare
from neurocaas.blueprint.access import Access
from neurocaas.blueprint.profile import Profile
from neurocaas.documents import parse
from neurocaas.errors import Refused
from neurocaas.settings import Settings, SiteDocument

ACCESSES = {"pca": Access(), "kalman": Access(groups=("lab",))}


def _declared(tmp_path: Path, aws: dict[str, Any] | None, *profiles: Profile, store: str = "file:///x") -> Declaration:
    document = {"name": "site"} | ({} if aws is None else {"aws": aws})
    settings = Settings(
        root=tmp_path,
        site=parse(SiteDocument, document, "site.json"),
        database_url="sqlite:///x",
        store_url=store,
    )
    return declare(settings, {one.name: one for one in profiles}, ACCESSES)


def _group(name: str, **users: dict[str, Any]) -> Profile:
    return parse(Profile, {"name": name, "users": users}, name)


def test_a_group_gets_the_boxes_that_both_documents_let_it_use(tmp_path: Path) -> None:
    wanted = _declared(tmp_path, {}, _group("lab", ada={"key_serial": 3}), _group("others", eve={}), _group("empty"))
    assert wanted.boxes == ("kalman", "pca")
    assert wanted.groups == (
        BoxGroup(name="lab", users={"ada": 3}, analyses=("kalman", "pca")),
        BoxGroup(name="others", users={"eve": 1}, analyses=("pca",)),
    )


def test_a_site_may_have_boxes_for_some_analyses_only(tmp_path: Path) -> None:
    wanted = _declared(tmp_path, {"drop_boxes": ["kalman"]}, _group("lab", ada={}), _group("others", eve={}))
    assert wanted.boxes == ("kalman",)
    assert [group.name for group in wanted.groups] == ["lab"]


def test_the_stores_prefix_is_that_of_its_address(tmp_path: Path) -> None:
    assert _declared(tmp_path, {}).store_prefix == ""
    assert _declared(tmp_path, {}, store="s3://bucket").store_prefix == ""
    assert _declared(tmp_path, {}, store="s3://bucket/a/b/").store_prefix == "a/b/"


@pytest.mark.parametrize(
    ("aws", "said"),
    [
        (None, r"site\.json: aws: it is missing; a site that deploys to AWS must have it"),
        ({"instance_types": ["m5.xlrge"]}, r"aws\.instance_types: found 'm5\.xlrge'.*Did you mean \"m5\.(2?)xlarge\""),
        ({"instance_types": ["rubbish"]}, r"aws\.instance_types\[0\]: found \"rubbish\""),
        ({"drop_boxes": ["pcb"]}, r"aws\.drop_boxes: found 'pcb'.*Did you mean \"pca\""),
        ({"stack": "Not A Name"}, r"aws\.stack: found \"Not A Name\""),
        ({"vpc": "vpc-1"}, r"both vpc and subnets, or neither of them, is right|both vpc and subnets"),
        ({"manager": "root"}, r"aws\.manager: found \"root\""),
        ({"budget_dollars_per_month": 0}, r"aws\.budget_dollars_per_month"),
        ({"region": "the moon"}, r"aws\.region: found \"the moon\""),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(tmp_path: Path, aws: dict[str, Any] | None, said: str) -> None:
    with pytest.raises(Refused, match=said):
        _declared(tmp_path, aws)


def test_a_key_serial_counts_from_one() -> None:
    with pytest.raises(Refused, match=r"users\.ada\.key_serial: found 0; a number of at least 1 is right"):
        _group("lab", ada={"key_serial": 0})
