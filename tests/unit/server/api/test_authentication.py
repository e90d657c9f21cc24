"""Who may ask, and what they are told who may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.website import Website

JSON = "application/json"


def problem(answer: Any, status: int, name: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["type"].endswith(f"#{name}")
    assert told["detail"]
    return told


def test_nobody_is_told_how_to_be_somebody(website: Website) -> None:
    answer = website.client().get("/api/v1/me")
    problem(answer, 401, "unauthenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer ncs_wrong", "Bearer ", "bearer x", "Basic YTpi"])
def test_a_wrong_token_is_nobody_even_beside_a_session(website: Website, header: str) -> None:
    client = website.client("ada") if header.lower().startswith("bearer ") and len(header) > 7 else website.client()
    problem(client.get("/api/v1/me", headers={"Authorization": header}), 401, "unauthenticated")


def test_a_token_is_good_for_its_scope_alone(website: Website) -> None:
    read, write = website.program("ada", "read"), website.program("ada", "write")
    assert read.get("/api/v1/jobs").status_code == 200
    problem(read.post("/api/v1/jobs", "{}", content_type=JSON), 403, "forbidden")
    assert write.post("/api/v1/jobs", "{}", content_type=JSON).status_code == 422
    problem(write.get("/api/v1/tokens"), 403, "forbidden")
    problem(write.patch("/api/v1/group/budget", '{"dollars": 1}', content_type=JSON), 403, "forbidden")


def test_a_revoked_token_and_an_inactive_user_are_nobody(website: Website) -> None:
    from neurocaas.server.accounts.models import Token, User

    client = website.program("ada")
    token = client.get("/api/v1/tokens").json()[0]
    assert client.delete(f"/api/v1/tokens/{token['id']}").status_code == 204
    problem(client.get("/api/v1/me"), 401, "unauthenticated")
    bob = website.program("bob")
    User.objects.filter(username="bob").update(is_active=False)
    problem(bob.get("/api/v1/me"), 401, "unauthenticated")
    assert Token.objects.count() == 2


def test_a_session_shows_that_it_means_what_it_changes(website: Website) -> None:
    client = website.client("ada", enforce_csrf_checks=True)
    assert client.get("/api/v1/me").status_code == 200
    problem(client.post("/api/v1/group/invitations", "{}", content_type=JSON), 403, "forbidden")
    client.cookies["csrftoken"] = "a" * 32
    headers = {"X-CSRFToken": "a" * 32}
    assert client.post("/api/v1/group/invitations", "{}", content_type=JSON, headers=headers).status_code == 201


def test_a_program_needs_no_csrf_token(website: Website) -> None:
    from django.test import Client

    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {website.token('ada')}"}
    assert client.post("/api/v1/group/invitations", "{}", content_type=JSON, headers=headers).status_code == 201


def test_the_group_that_is_named_counts_and_another_is_refused(website: Website) -> None:
    client = website.program("ada")
    assert client.get("/api/v1/me").json()["group"] == "lab"
    assert client.post("/api/v1/groups", '{"name": "second"}', content_type=JSON).status_code == 201
    assert client.get("/api/v1/me?group=second").json()["group"] == "second"
    assert client.get("/api/v1/me", headers={"X-NeuroCAAS-Group": "second"}).json()["group"] == "second"
    problem(client.get("/api/v1/me?group=other"), 404, "not-found")


def test_operators_see_all_and_others_not_that_there_is_something(website: Website) -> None:
    website.job()
    olga, ada = website.program("olga"), website.program("ada")
    assert [one["group"] for one in olga.get("/api/v1/operator/jobs").json()["items"]] == ["lab"]
    groups = olga.get("/api/v1/operator/groups").json()["items"]
    assert {one["group"]: (one["members"], one["owners"], one["jobs"]) for one in groups}["lab"] == (2, 1, 1)
    first = olga.get("/api/v1/operator/users", {"limit": 3}).json()
    assert [one["user"] for one in first["items"]] == ["ada", "bob", "carol"]
    rest = olga.get("/api/v1/operator/users", {"cursor": first["next"]}).json()
    assert [one["user"] for one in rest["items"]] == ["olga"]
    for path in ("jobs", "groups", "users"):
        problem(ada.get(f"/api/v1/operator/{path}"), 404, "not-found")


def test_too_many_requests_are_told_when_to_come_again(website: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocaas.server.api.throttles import BY_ADDRESS, BY_USER

    client = website.program("ada")
    monkeypatch.setattr(BY_USER, "most", 1)
    assert client.get("/api/v1/me").status_code == 200
    answer = client.get("/api/v1/me")
    problem(answer, 429, "too-many-requests")
    assert 1 <= int(answer["Retry-After"]) <= 61
    assert website.program("bob").get("/api/v1/me").status_code == 200
    monkeypatch.setattr(BY_ADDRESS, "most", 0)
    problem(website.client().get("/api/v1/me"), 429, "too-many-requests")


WRONG = [
    ("GET", "/api/v1/nothing", None, 404),
    ("GET", "/api/v1/jobs/%00", None, 404),
    ("GET", "/api/v1/jobs?search=%00", None, 422),
    ("GET", "/api/v1/jobs?cursor=%21", None, 422),
    ("GET", "/api/v1/jobs?cursor=AAAA", None, 422),
    ("GET", "/api/v1/jobs?limit=0", None, 422),
    ("GET", "/api/v1/jobs?limit=many", None, 422),
    ("GET", "/api/v1/jobs?status=odd", None, 422),
    ("GET", "/api/v1/jobs/" + "x" * 99, None, 422),
    ("GET", "/api/v1/jobs/x/stacks/99999999999999999999/log", None, 422),
    ("GET", "/api/v1/jobs/x/stacks/-1/log", None, 422),
    ("PUT", "/api/v1/jobs", b"{}", 405),
    ("DELETE", "/api/v1/me", None, 405),
    ("POST", "/api/v1/jobs", b"", 422),
    ("POST", "/api/v1/jobs", b"{", 400),
    ("POST", "/api/v1/jobs", b"\xff", 400),
    ("POST", "/api/v1/jobs", b"[" * 100_000, 400),
    ("POST", "/api/v1/jobs", b"NaN", 400),
    ("POST", "/api/v1/jobs", b"1" * 10_000, 400),
    ("POST", "/api/v1/jobs", b"[]", 422),
    ("POST", "/api/v1/jobs", b"null", 422),
    ("POST", "/api/v1/jobs", b'{"analysis": "a\\u0000", "data": []}', 422),
    ("POST", "/api/v1/jobs", b'{"analysis": "\\ud800", "data": []}', 422),
    ("POST", "/api/v1/jobs", b'{"analysis": "mean", "data": []}', 422),
    ("POST", "/api/v1/jobs", b'{"analysis": "mean", "data": ["x"]}', 404),
    ("POST", "/api/v1/jobs", b'{"analysis": "nope", "data": ["x"]}', 404),
    ("POST", "/api/v1/jobs", b'{"analysis": "../x", "data": ["x"]}', 422),
    ("POST", "/api/v1/jobs", b'{"analysis": "mean", "data": [], "seed": 1e400}', 422),
    ("POST", "/api/v1/jobs", b'{"analysis": "mean", "data": [], "odd": 1}', 422),
    ("POST", "/api/v1/tokens", b'{"name": " ", "scope": "read"}', 422),
    ("POST", "/api/v1/tokens", b'{"name": "x", "scope": "all", "days": 0}', 422),
    ("DELETE", "/api/v1/tokens/99999999999999999999", None, 422),
    ("DELETE", "/api/v1/tokens/99", None, 404),
    ("PATCH", "/api/v1/group/budget", b'{"dollars": -1}', 422),
    ("PATCH", "/api/v1/group/budget", b'{"dollars": "NaN"}', 422),
    ("PATCH", "/api/v1/group/budget", b'{"dollars": 1, "user": "carol"}', 404),
    ("PATCH", "/api/v1/group/members/carol", b'{"role": "owner"}', 404),
    ("PATCH", "/api/v1/group/members/bob", b'{"role": "king"}', 422),
    ("DELETE", "/api/v1/group/members/ada", None, 422),
    ("POST", "/api/v1/group/invitations", b'{"days": 0}', 422),
    ("DELETE", "/api/v1/group/invitations/NOPE", None, 404),
    ("POST", "/api/v1/group/join", b'{"code": "NOPE"}', 404),
    ("POST", "/api/v1/groups", b'{"name": "lab"}', 422),
    ("POST", "/api/v1/groups", b'{"name": "../lab"}', 422),
    ("POST", "/api/v1/groups", b'{"name": "local"}', 422),
    ("POST", "/api/v1/uploads", b'{"name": "../x", "form": "file", "files": []}', 422),
    ("POST", "/api/v1/uploads", b'{"name": "x", "form": "file", "files": [{"path": "x", "size_bytes": 1e30}]}', 422),
    ("GET", "/api/v1/uploads/x", None, 404),
    ("POST", "/api/v1/uploads/x/complete", b"{}", 404),
    ("GET", "/api/v1/items/x", None, 404),
    ("GET", "/api/v1/items?cursor=odd", None, 422),
    ("PATCH", "/api/v1/items/x", b"{}", 404),
    ("DELETE", "/api/v1/items/x", None, 404),
    ("GET", "/api/v1/items/x/content", None, 404),
    ("GET", "/api/v1/analyses/nope", None, 404),
    ("GET", "/api/v1/analyses/mean@zz", None, 422),
    ("GET", "/api/v1/analyses/mean/sample", None, 422),
    ("GET", "/api/v1/files/nothing", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), WRONG)
def test_wrong_input_is_told_in_a_sentence(
    website: Website, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = website.program("ada").generic(method, path, body or b"", content_type=JSON)
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["detail"].strip().endswith((".", "?")), told
    assert "Traceback" not in told["detail"]


def test_several_faults_are_told_one_by_one(website: Website) -> None:
    answer = website.program("ada").post("/api/v1/jobs", '{"seed": "x", "odd": 1}', content_type=JSON)
    told = problem(answer, 422, "refused")
    assert len(told["faults"]) == 4
    assert any(fault.startswith("seed: found") for fault in told["faults"])


def test_a_huge_body_is_refused(website: Website) -> None:
    answer = website.program("ada").post("/api/v1/jobs", b" " * (17 << 20), content_type=JSON)
    problem(answer, 413, "too-large")


def test_a_user_without_group_is_told_what_to_do(website: Website) -> None:
    answer = website.program("olga").post(
        "/api/v1/jobs", json.dumps({"analysis": "mean", "data": []}), content_type=JSON
    )
    assert "belongs to no group" in problem(answer, 403, "forbidden")["detail"]
