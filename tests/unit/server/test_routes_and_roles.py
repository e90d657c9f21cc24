"""Every route, asked by everybody: the table in support/route_table.py says what each of them is answered.

With NEUROCAAS_UPDATE_ROUTES=1, this writes docs/reference/routes.md anew, which shows the table to operators.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.roles import Roles
from support.route_table import JSON, ROLES, ROWS, SAFE, Row, address_of, asked
from support.routes import foreign, routes

if TYPE_CHECKING:
    from django.test import Client

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "routes.md"


def least(row: Row) -> tuple[str, ...]:
    """The scopes of tokens that are let through."""
    scopes = ("read", "write", "manage")
    return scopes[scopes.index(row.token) :]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_everybody_is_answered_as_the_table_says(roles: Roles, row: Row) -> None:
    """And what is refused, or only asked for, changes nothing."""
    for role in ROLES:
        expected = row.answers[role]
        assert _asked_once(roles, row, roles.browsers[role]) == expected, role
    if row.token == "-":
        return
    for role in ("stranger", "member", "owner"):
        assert _asked_once(roles, row, roles.programs[role, "manage"]) == row.answers[role], f"{role}'s token"
    for scope in ("read", "write"):
        refused = "401" if row.route.startswith("upload") else "403"
        expected = row.answers["owner"] if scope in least(row) else refused
        assert _asked_once(roles, row, roles.programs["owner", scope]) == expected, f"a token that may {scope}"


def _asked_once(roles: Roles, row: Row, client: Client) -> str:
    with roles.watched() as changed:
        answer = asked(roles, row, client)
        well = answer[0] in "23"
        assert not changed() or (well and row.method not in SAFE), f"{row} changed something"
    if well and row.method not in SAFE:
        roles.put_back()
    return answer


def test_the_table_has_every_route_and_every_method(roles: Roles) -> None:
    known: dict[str, set[str]] = {}
    for row in ROWS:
        known.setdefault(row.route.partition("/")[0], set()).add(row.method)
    found = {one.name: one for one in routes() if one.name not in {"allauth", "admin"}}
    assert sorted(found) == sorted(known), "the table and the routers"
    for name, route in found.items():
        if route.methods:
            assert set(route.methods) == known[name], name


def test_the_table_has_every_deed_on_a_job(roles: Roles) -> None:
    from neurocaas.server.web.jobs.actions import DEEDS

    assert {row.route.partition("/")[2] for row in ROWS if row.route.startswith("job_act")} == {*DEEDS, "nothing"}


@pytest.mark.thorough
@pytest.mark.parametrize("role", ["owner", "operator"])
def test_a_method_that_the_table_lacks_changes_nothing(roles: Roles, role: str) -> None:
    client = roles.browsers[role]
    for row in {one.route: one for one in ROWS if not one.route.startswith("upload")}.values():
        known = {one.method for one in ROWS if one.route == row.route}
        address = address_of(roles, row)
        with roles.watched() as changed:
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - known:
                if row.route.startswith("api:") and method in _beside(row):
                    continue
                answer = client.generic(method, address, "{}", content_type=JSON)
                assert answer.status_code != 500, (method, row)
                answer.close()
            assert not changed(), row


def _beside(row: Row) -> set[str]:
    """The methods of this row's address, some of which go by other names."""
    paths = {one.name: one.path for one in routes()}
    return {other.method for other in ROWS if paths.get(other.route) == paths[row.route]}


def test_the_admin_exists_for_operators_alone(roles: Roles) -> None:
    from django.urls import reverse

    for name in foreign("admin"):
        if name.endswith(("logout", "jsi18n")):
            continue
        for role in ROLES:
            answer = roles.browsers[role].get(reverse(name), follow=role != "anonymous")
            if role == "anonymous":
                assert answer["Location"].startswith(("/operator/admin/login/", "/accounts/login/")), name
            elif role != "operator":
                assert answer.status_code == 404, (name, role)
            else:
                assert answer.status_code in {200, 403, 404}, name
    assert roles.browsers["operator"].get("/operator/admin/accounts/user/").status_code == 200


# What of signing in and up somebody may open who has not done so; the rest asks them to.
OPEN_TO_ALL = {
    "account_login",
    "account_signup",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key_done",
    "account_inactive",
    "socialaccount_login_cancelled",
}


def test_accounts_are_their_owners_business(roles: Roles) -> None:
    from django.urls import NoReverseMatch, reverse

    nobody, open_ones = roles.browsers["anonymous"], set()
    for name in foreign("allauth"):
        try:
            address = reverse(name)
        except NoReverseMatch:
            continue
        answer = nobody.get(address)
        assert answer.status_code < 500, name
        if answer.status_code == 200:
            open_ones.add(name)
    assert open_ones == OPEN_TO_ALL


def reference() -> str:
    """The table as a page of the documentation."""
    columns = ["address", "method", "job", "token", *ROLES]
    paths = {one.name: one.path for one in routes()}
    lines = [
        "# Routes",
        "",
        "Every address of a site, and what everybody is answered. Made from the routers and asserted by",
        "`tests/unit/server/test_routes_and_roles.py`, which writes this page with `NEUROCAAS_UPDATE_ROUTES=1`.",
        "",
        "- job: which job of another member an address is about: an open one, a private one, one that failed and was",
        "  handed over to the developers of its analysis, one that waits.",
        "- token: the least scope of an API token that is let through.",
        "- stranger: the owner of another group. sees jobs, results, data: of groups that this one lets see them.",
        "- in: is asked to sign in. 404: may not know of it. 403: knows of it and may not do it. 409, 422: may, but it",
        "  can't be done now.",
        "- `accounts/…` (allauth) is open to who signs in or up; the rest of it asks for that. `operator/admin/…`",
        "  (Django's admin) is for operators, and 404 for all others who are signed in.",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    for row in ROWS:
        name, _, deed = row.route.partition("/")
        path = "/" + paths[name].replace("<slug:deed>", deed)
        cells = [f"`{path}`", row.method, row.of, row.token, *row.answers.values()]
        lines.append("| " + " | ".join("" if one == "-" else one for one in cells) + " |")
    return "\n".join(lines) + "\n"


def test_the_reference_shows_this_table(roles: Roles) -> None:
    if os.environ.get("NEUROCAAS_UPDATE_ROUTES"):
        REFERENCE.write_text(reference(), encoding="utf-8")
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "NEUROCAAS_UPDATE_ROUTES=1 writes it anew"
