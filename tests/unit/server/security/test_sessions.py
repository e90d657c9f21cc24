"""Signing in, staying signed in, and what others may do with it."""

from __future__ import annotations

import re

from support.attacker import PASSWORD, body, sign_in, visitor, with_https
from support.roles import Roles


def test_a_session_changes_nothing_without_its_csrf_token(site: Roles) -> None:
    from support.route_table import ROWS, SAFE, asked

    strict = visitor(enforce_csrf_checks=True)
    strict.cookies = site.browsers["owner"].cookies
    with site.watched() as changed:
        for row in ROWS:
            if row.method not in SAFE and not row.route.startswith("upload"):
                assert asked(site, row, strict) == "403", row
        assert not changed()


def test_an_api_token_opens_no_page_and_changes_nothing_there(site: Roles) -> None:
    from neurocaas.server.groups.models import Invitation

    before = Invitation.objects.count()
    for scope in ("read", "manage"):
        program = site.programs["owner", scope]
        program.get("/accounts/login/")  # for the cookie that a form needs
        answers = [program.get("/group"), program.post("/group/invite"), program.get("/operator/admin/")]
        assert {answer.status_code for answer in answers} == {302}
        assert all("/login/" in answer["Location"] for answer in answers)
    assert Invitation.objects.count() == before


def test_signing_in_begins_a_session_that_nobody_knew(site: Roles) -> None:
    client = visitor()
    client.cookies["sessionid"] = "a" * 32
    client.get("/accounts/login/")
    csrf_before = client.cookies["csrftoken"].value
    assert sign_in(client).status_code == 302
    first = client.cookies["sessionid"].value
    assert first != "a" * 32
    assert client.cookies["csrftoken"].value != csrf_before
    assert client.get("/api/v1/me").json()["user"] == "bob"
    client.post("/accounts/logout/")
    stolen = visitor()
    stolen.cookies["sessionid"] = first
    assert stolen.get("/api/v1/me").status_code == 401


def test_changing_the_password_ends_the_other_sessions(site: Roles) -> None:
    here, there = visitor(), visitor()
    sign_in(here)
    sign_in(there)
    form = {"oldpassword": PASSWORD, "password1": "quite another one 9", "password2": "quite another one 9"}
    assert here.post("/accounts/password/change/", form).status_code == 302
    assert here.get("/api/v1/me").status_code == 200
    assert there.get("/api/v1/me").status_code == 401


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(site: Roles) -> None:
    client = visitor()
    client.get("/accounts/login/")
    sign_in(client)
    session = client.cookies["sessionid"]
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    assert client.cookies["csrftoken"]["samesite"] == "Lax"
    from django.test import override_settings

    with override_settings(**with_https(site)):
        secure = visitor()
        secure.defaults["wsgi.url_scheme"] = "https"
        secure.get("/accounts/login/", secure=True)
        answer = secure.post(
            "/accounts/login/",
            {"login": "ada", "password": PASSWORD},
            secure=True,
            headers={"Referer": "https://localhost/"},
        )
        assert answer.status_code == 302
        assert secure.cookies["sessionid"]["secure"]
        assert secure.cookies["csrftoken"]["secure"]
        assert visitor().get("/").status_code == 301


def test_guessing_a_password_is_stopped(site: Roles) -> None:
    client = visitor()
    answers = [sign_in(client, "ada", f"wrong {number}").status_code for number in range(30)]
    assert max(answers) < 500
    assert sign_in(client, "ada").status_code != 302  # the right one comes too late
    assert visitor().get("/api/v1/me").status_code == 401


def test_nobody_learns_who_has_an_account(site: Roles) -> None:
    def told(path: str, **form: str) -> tuple[int, str]:
        from django.core.cache import cache

        cache.clear()
        answer = visitor().post(path, form)
        text = re.sub(r"(value|content)=\"[^\"]*\"", "", body(answer).decode())
        return answer.status_code, answer.headers.get("Location", "") or text

    here, away = (
        told("/accounts/password/reset/", email="ada@example.org"),
        told("/accounts/password/reset/", email="nobody@example.org"),
    )
    assert here == away
    assert sign_in(visitor(), "ada", "wrong").status_code == sign_in(visitor(), "nobody", "wrong").status_code
    form = {"username": "somebody", "password1": "a long enough phrase 7", "group_name": "new-lab"}
    known = told("/accounts/signup/", email="ada@example.org", **form)
    unknown = told("/accounts/signup/", email="fresh@example.org", **form)
    assert known == unknown
    assert known[0] == 302
