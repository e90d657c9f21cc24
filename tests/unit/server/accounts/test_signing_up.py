"""From a stranger to a member: the profile is written, committed and deployed once the address is verified."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from support.website import Website

if TYPE_CHECKING:
    from django.test import Client

PASSWORD = "correct horse 7 battery"


def _sign_up(website: Website, user: str, **more: str) -> tuple[Client, Any]:
    client = website.client()
    asked = {"username": user, "email": f"{user}@example.org", "password1": PASSWORD, **more}
    return client, client.post("/accounts/signup/", asked)


def _verify(client: Client, answer: Any) -> Any:
    from django.core import mail

    code = re.search(r"^([A-Z0-9]{3,}-?[A-Z0-9]{3,})$", mail.outbox[-1].body, re.MULTILINE)
    assert code, mail.outbox[-1].body
    return client.post(answer["Location"], {"code": code.group(1)}, follow=True)


def _groups(user: str) -> dict[str, str]:
    from neurocaas.server.groups.models import Membership

    return dict(Membership.objects.filter(user=user).values_list("group_id", "role"))


def test_who_founds_a_group_owns_it_once_their_address_is_verified(website: Website) -> None:
    from neurocaas.blueprint.profile import read_profile
    from neurocaas.server.groups.deploy import deploy

    client, answer = _sign_up(website, "dana", group_name="dana-lab")
    assert _groups("dana") == {}
    assert not (website.site.settings.root / "groups" / "dana-lab.json").exists()
    _verify(client, answer)
    assert _groups("dana") == {"dana-lab": "owner"}
    profile = read_profile(website.site.settings.root, "dana-lab")
    assert profile.users["dana"].role == "owner"
    assert "example.org" not in (website.site.settings.root / "groups" / "dana-lab.json").read_text()
    assert "group dana-lab" not in [one.what for one in deploy(website.site, dry_run=True)]
    assert "dana-lab" in client.get("/group").content.decode()


def test_who_has_a_code_becomes_a_member_and_the_code_counts(website: Website) -> None:
    from neurocaas.server.accounts import enrolment
    from neurocaas.server.groups.scope import caller

    invitation = enrolment.invite(caller("ada"), uses=1)
    spelled = f"{invitation.code[:4].lower()}-{invitation.code[4:]}"
    client, answer = _sign_up(website, "dana", group_code=spelled)
    _verify(client, answer)
    assert _groups("dana") == {"lab": "member"}
    _, refused = _sign_up(website, "eric", group_code=invitation.code)
    assert "There is no such group code, or it has expired" in refused.content.decode()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "one of the two is right"),
        ({"group_name": "lab"}, "There is a group of this name"),
        ({"group_name": "local"}, "There is a group of this name"),
        ({"group_name": "../../etc"}, "Small letters, digits"),
        ({"group_code": "NONSENSE"}, "There is no such group code"),
        ({"group_name": "new-lab", "username": "Ada Lovelace"}, "Small letters, digits"),
        ({"group_name": "new-lab", "username": "ada"}, "This user id is taken"),
        ({"group_name": "new-lab", "password1": "12345678"}, "too common"),
    ],
)
def test_what_is_not_right_is_told_at_its_field(website: Website, given: dict[str, str], sentence: str) -> None:
    from neurocaas.server.accounts.models import User

    before = User.objects.count()
    given = dict(given)  # the next run has the same one
    _, answer = _sign_up(website, given.pop("username", "dana"), **given)
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert User.objects.count() == before


def test_a_name_that_was_taken_meanwhile_leaves_the_user_without_a_group_and_with_a_way_in(website: Website) -> None:
    from neurocaas.blueprint.profile import Profile
    from neurocaas.server.groups.publishing import create_group

    client, answer = _sign_up(website, "dana", group_name="dana-lab")
    create_group(website.site, Profile(name="dana-lab"))
    _verify(client, answer)
    assert _groups("dana") == {}
    assert "You belong to no group yet" in client.get("/group").content.decode()
    client.post("/group/join", {"name": "danas-lab"})
    assert _groups("dana") == {"danas-lab": "owner"}


def test_a_closed_site_takes_nobody_and_one_by_code_only_those_with_one(
    website: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.accounts.models import User
    from neurocaas.server.serving import wiring
    from neurocaas.server.site import Site

    def served(sign_up: str) -> None:
        web = website.site.settings.site.web.model_copy(update={"sign_up": sign_up})
        document = website.site.settings.site.model_copy(update={"web": web})
        wiring.serve_site(Site(website.site.settings.model_copy(update={"site": document})))

    served("closed")
    _sign_up(website, "dana", group_name="dana-lab")
    served("code")
    _, answer = _sign_up(website, "dana", group_name="dana-lab")
    assert "for people with a group code" in answer.content.decode()
    assert not User.objects.filter(username="dana").exists()


def test_the_last_owner_stays_and_a_removed_member_sees_nothing_more(website: Website) -> None:
    ada, job = website.client("ada"), website.job()
    assert ada.post("/group/member", {"user": "ada", "what": "remove"}).status_code == 422
    assert website.client("bob").get(f"/jobs/{job.id}").status_code == 200
    ada.post("/group/member", {"user": "bob", "what": "remove"})
    assert website.client("bob").get(f"/jobs/{job.id}").status_code == 404
    assert _groups("ada") == {"lab": "owner"}
