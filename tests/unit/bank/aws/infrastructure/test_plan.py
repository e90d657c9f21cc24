"""What a deployment would change, in words."""

from __future__ import annotations

from neurocaas.bank.aws.infrastructure.declaration import BoxGroup
from neurocaas.bank.aws.infrastructure.plan import WORDS, Change, changes
from neurocaas.bank.aws.infrastructure.template import template
from support.declarations import declaration


def test_all_is_added_where_nothing_is_deployed() -> None:
    made = template(declaration(aws={"manager": "role/site"}))
    found = changes(None, made)
    assert {one.verb for one in found} == {"add"}
    assert len(found) == len(made["Resources"])
    assert "bucket neurocaas-box-pca-ACCOUNT" in [one.what for one in found]


def test_every_type_has_a_word() -> None:
    made = template(declaration(aws={"manager": "role/site"}))
    assert {one["Type"] for one in made["Resources"].values()} == WORDS.keys()


def test_the_same_template_changes_nothing() -> None:
    assert changes(template(declaration()), template(declaration())) == []


def test_a_change_is_told_field_by_field() -> None:
    before, after = (template(declaration(aws={"max_vcpus": most})) for most in (64, 128))
    assert changes(before, after)[0] == Change(
        verb="change",
        what="machines neurocaas-g5-xlarge-on-demand",
        lines=("ComputeResources.MaxvCpus: 64 → 128",),
    )


def test_a_bucket_that_leaves_the_stack_is_kept_and_a_user_is_removed() -> None:
    before = template(declaration())
    smaller = BoxGroup(name="lab", users={"ada": 1}, analyses=("pca",))
    after = template(declaration(boxes=("pca",), groups=(smaller,)))
    found = {one.what: one.verb for one in changes(before, after)}
    assert found["bucket neurocaas-box-kalman-ACCOUNT"] == "keep"
    assert found["drop-box user neurocaas+lab+bob"] == "remove"
    assert "drop-box user neurocaas+lab+ada" not in found
