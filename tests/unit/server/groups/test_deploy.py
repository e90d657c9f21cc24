"""What the source repo's documents say comes to hold by `deploy`, and by nothing else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.blueprint.profile import Profile, UserProfile
from neurocaas.errors import NotFound, Refused

if TYPE_CHECKING:
    from neurocaas.server.site import Site


def _declare(site: Site, path: str, document: dict[str, Any], *, commit: bool = True) -> None:
    file = site.settings.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document))
    if commit:
        site.repo.commit(f"Declare {path}")


LAB = {"name": "lab", "budget_dollars": 50, "users": {"ada": {"role": "owner"}, "bob": {}}, "analyses": ["mean"]}


def test_a_dry_run_says_what_would_change_and_changes_nothing(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import deploy
    from neurocaas.server.groups.models import Membership

    _declare(declared_site, "groups/lab.json", LAB, commit=False)
    for _ in range(2):
        (change,) = deploy(declared_site, dry_run=True)
        assert (change.verb, change.what) == ("add", "group lab")
    assert not Membership.objects.exists()


def test_deploying_twice_changes_nothing_the_second_time(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import deploy
    from neurocaas.server.groups.deployed import deployed_access, deployed_profile
    from neurocaas.server.groups.models import Membership

    _declare(declared_site, "groups/lab.json", LAB)
    _declare(declared_site, "analyses/mean/access.json", {"groups": ["lab"], "developers": ["dora"]})
    assert [one.what for one in deploy(declared_site)] == ["group lab", "access to mean"]
    rows = sorted(Membership.objects.values_list("user", "role"))
    assert rows == [("ada", "owner"), ("bob", "member")]
    assert deployed_profile("lab").budget_dollars == Decimal(50)
    assert deployed_access("mean").developers == ("dora",)
    assert deploy(declared_site) == []
    assert sorted(Membership.objects.values_list("user", "role")) == rows


def test_a_change_is_told_field_by_field_and_a_removed_member_belongs_no_more(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import deploy
    from neurocaas.server.groups.models import Membership

    _declare(declared_site, "groups/lab.json", LAB)
    deploy(declared_site)
    _declare(declared_site, "groups/lab.json", {**LAB, "budget_dollars": 60, "users": {"ada": {"role": "owner"}}})
    (change,) = deploy(declared_site, dry_run=True)
    assert change.verb == "change"
    assert 'budget_dollars: "50" → "60"' in change.lines()
    deploy(declared_site)
    assert list(Membership.objects.values_list("user", flat=True)) == ["ada"]


def test_a_group_whose_document_goes_keeps_its_row_and_loses_its_members(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import deploy
    from neurocaas.server.groups.models import Membership
    from neurocaas.server.jobs.models import Group

    _declare(declared_site, "groups/lab.json", LAB)
    deploy(declared_site)
    (declared_site.settings.root / "groups" / "lab.json").unlink()
    declared_site.repo.commit("Remove lab")
    assert [one.verb for one in deploy(declared_site)] == ["remove"]
    assert Group.objects.filter(pk="lab").exists()
    assert not Membership.objects.exists()
    assert deploy(declared_site) == []


def test_what_is_not_committed_is_not_deployed(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import deploy

    _declare(declared_site, "groups/lab.json", LAB, commit=False)
    with pytest.raises(Refused, match=r"groups/lab.json: not committed"):
        deploy(declared_site)


@pytest.mark.parametrize(
    ("path", "document", "sentence"),
    [
        ("groups/lab.json", {"name": "labb"}, "name: found 'labb'; 'lab'"),
        ("groups/lab.json", {"name": "lab", "users": {"ada@example.org": {}}}, "users"),
        ("groups/lab.json", {"name": "lab", "user": {}}, 'this key is not known. Did you mean "users"?'),
        ("groups/lab.json", {"name": "lab", "collaborators": {"other": ["money"]}}, "collaborators.other"),
        ("analyses/mean/access.json", {"group": ["lab"]}, "this key is not known"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place_and_nothing_is_deployed(
    declared_site: Site, path: str, document: dict[str, Any], sentence: str
) -> None:
    from neurocaas.server.groups.deploy import deploy
    from neurocaas.server.groups.models import Membership

    _declare(declared_site, "groups/good.json", {"name": "good", "users": {"eve": {}}})
    _declare(declared_site, path, document)
    with pytest.raises(Refused) as refused:
        deploy(declared_site)
    assert path in refused.value.message
    assert sentence in refused.value.message
    assert not Membership.objects.exists()


def test_access_needs_the_groups_word_and_the_analysis_word(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import deploy
    from neurocaas.server.groups.deployed import check_access, usable

    _declare(declared_site, "groups/lab.json", LAB)
    _declare(declared_site, "groups/poor.json", {"name": "poor", "analyses": ["other"]})
    deploy(declared_site)
    check_access("lab", "mean")
    with pytest.raises(NotFound):
        check_access("poor", "mean")
    _declare(declared_site, "analyses/mean/access.json", {"groups": ["poor"]})
    deploy(declared_site)
    with pytest.raises(NotFound):
        check_access("lab", "mean")
    assert usable("lab", ["mean"]) == []


def test_what_the_site_writes_is_committed_and_deployed_at_once(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import deploy
    from neurocaas.server.groups.models import Membership, Operator
    from neurocaas.server.groups.publishing import change_profile, create_group, set_operator

    create_group(declared_site, Profile(name="lab", users={"ada": UserProfile(role="owner")}))
    with pytest.raises(Refused, match="a name that no other group has"):
        create_group(declared_site, Profile(name="lab"))

    def add(profile: Profile) -> Profile:
        return profile.model_copy(update={"users": profile.users | {"bob": UserProfile()}})

    change_profile(declared_site, "lab", add, "Add bob")
    assert set(Membership.objects.values_list("user", flat=True)) == {"ada", "bob"}
    assert set_operator(declared_site, "ada", present=True) == ["ada"]
    assert Operator.objects.filter(pk="ada").exists()
    assert deploy(declared_site) == []


def test_an_operators_own_edits_are_neither_committed_nor_deployed_by_a_sign_up(declared_site: Site) -> None:
    from neurocaas.server.groups.deploy import uncommitted
    from neurocaas.server.groups.models import Membership
    from neurocaas.server.groups.publishing import create_group

    _declare(declared_site, "groups/half.json", {"name": "half", "users": {"eve": {}}}, commit=False)
    create_group(declared_site, Profile(name="lab", users={"ada": UserProfile(role="owner")}))
    assert uncommitted(declared_site) == ["groups/half.json"]
    assert list(Membership.objects.values_list("user", flat=True)) == ["ada"]
