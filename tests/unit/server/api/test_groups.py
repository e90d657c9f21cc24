"""Groups, budgets, invitations, tokens, analyses and data over the API."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from support.website import Website

JSON = "application/json"


def send(client: Any, method: str, path: str, body: Any = None) -> Any:
    return client.generic(method, f"/api/v1/{path}", json.dumps(body).encode() if body is not None else b"", JSON)


def test_a_colleague_joins_by_a_code_and_is_made_an_owner(website: Website) -> None:
    from neurocaas.server.accounts.models import AuditEntry

    ada, olga = website.program("ada"), website.program("olga")
    made = send(ada, "POST", "group/invitations", {"uses": 1}).json()
    assert send(ada, "GET", "group/invitations").json() == [made]
    assert send(olga, "POST", "group/join", {"code": made["code"].lower()}).json() == {"group": "lab"}
    assert send(ada, "GET", "group/invitations").json() == []
    assert send(ada, "PATCH", "group/members/olga", {"role": "owner"}).status_code == 204
    assert {"user": "olga", "role": "owner"} in send(ada, "GET", "group").json()["members"]
    assert send(ada, "DELETE", "group/members/olga").status_code == 204
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"invited", "joined a group", "changed a role", "removed a member"} <= actions


def test_an_invitation_is_withdrawn(website: Website) -> None:
    ada = website.program("ada")
    code = send(ada, "POST", "group/invitations", {}).json()["code"]
    assert send(website.program("carol"), "DELETE", f"group/invitations/{code}").status_code == 404
    assert send(ada, "DELETE", f"group/invitations/{code}").status_code == 204
    assert send(website.program("carol"), "POST", "group/join", {"code": code}).status_code == 404


def test_members_may_not_what_owners_may(website: Website) -> None:
    bob = website.program("bob")
    for method, path, body in (
        ("PATCH", "group/budget", {"dollars": 1}),
        ("PATCH", "group/members/bob", {"role": "owner"}),
        ("DELETE", "group/members/ada", None),
        ("GET", "group/invitations", None),
        ("POST", "group/invitations", {}),
    ):
        assert send(bob, method, path, body).status_code == 403, path


def test_budgets_are_set_by_owners_and_read_by_those_they_concern(website: Website) -> None:
    from neurocaas.client.documents import Balance

    ada, bob = website.program("ada"), website.program("bob")
    assert send(ada, "PATCH", "group/budget", {"dollars": "12.5", "user": "bob"}).status_code == 200
    mine = {one["account"]: one for one in send(bob, "GET", "budget").json()}
    assert set(mine) == {"group lab", "user bob"}
    assert Balance.model_validate(mine["user bob"]).left_dollars == "12.5"
    assert {one["account"] for one in send(ada, "GET", "budget").json()} == {"group lab", "user ada", "user bob"}


def test_a_token_is_told_once(website: Website) -> None:
    client = website.client("ada")
    made = send(client, "POST", "tokens", {"name": "laptop", "scope": "read", "days": 30}).json()
    assert made["secret"].startswith("ncs_")
    listed = send(client, "GET", "tokens").json()
    assert [(one["name"], one["secret"]) for one in listed] == [("laptop", None)]
    from django.test import Client

    program = Client(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {made['secret']}"})
    assert program.get("/api/v1/me").json()["user"] == "ada"
    assert send(website.client("bob"), "DELETE", f"tokens/{made['id']}").status_code == 404


def test_the_analyses_of_a_group_are_those_it_may_use(website: Website) -> None:
    from neurocaas.client.documents import AnalysisDescription, AnalysisSummary
    from neurocaas.server.groups.publishing import change_profile

    ada = website.program("ada")
    (found,) = send(ada, "GET", "analyses").json()
    assert AnalysisSummary.model_validate(found).name == "mean"
    described = AnalysisDescription.model_validate(send(ada, "GET", "analyses/mean").json())
    assert "components" in described.parameters["properties"]
    assert send(ada, "GET", f"analyses/{described.label}").json()["version"] == described.version
    change_profile(website.site, "lab", lambda one: one.model_copy(update={"analyses": ()}), "Nothing")
    assert send(ada, "GET", "analyses").json() == []
    assert send(ada, "GET", "analyses/mean").status_code == 404
    assert send(website.program("carol"), "GET", "analyses/mean").status_code == 200


def test_an_analysis_has_sample_data(website: Website) -> None:
    root = website.site.settings.root / "analyses" / "mean"
    blueprint = json.loads((root / "blueprint.json").read_text())
    (root / "blueprint.json").write_text(json.dumps(blueprint | {"sample": {"files": ["sample.npy"]}}))
    (root / "sample.npy").write_bytes(b"\x93NUMPY")
    answer = website.program("ada").get("/api/v1/analyses/mean/sample")
    assert answer.status_code == 200, answer.content
    assert b"".join(answer).startswith(b"PK")


def test_data_is_staged_found_changed_fetched_and_deleted(website: Website) -> None:
    from neurocaas.client.documents import ItemDocument, UploadDocument

    ada, carol = website.program("ada"), website.program("carol")
    content = b"\x93NUMPY\x01\x00"
    item = website.item("lab", "ada", "movie.npy", content)
    listed = send(ada, "GET", "items?search=movie").json()["items"]
    assert [ItemDocument.model_validate(one).id for one in listed] == [str(item.id)]
    changed = send(ada, "PATCH", f"items/{item.id}", {"tags": ["mouse 1"], "keep": True}).json()
    assert (changed["tags"], changed["keep"]) == (["mouse 1"], True)
    assert b"".join(ada.get(f"/api/v1/items/{item.id}/content")) == content
    for method in ("GET", "PATCH", "DELETE"):
        assert send(carol, method, f"items/{item.id}", {} if method == "PATCH" else None).status_code == 404
    known = {"path": "again.npy", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    offered = {"name": "again.npy", "form": "file", "files": [known]}
    answer = send(ada, "POST", "uploads", offered)
    assert answer.status_code == 201
    assert UploadDocument.model_validate(answer.json()).item  # this group has it already
    assert UploadDocument.model_validate(send(carol, "POST", "uploads", offered).json()).item is None
    assert send(ada, "GET", "quota").json()["used_bytes"] == len(content)
    assert send(ada, "DELETE", f"items/{item.id}").status_code == 204
    assert send(ada, "GET", f"items/{item.id}").status_code == 404


def test_an_upload_is_begun_looked_at_and_given_up(website: Website) -> None:
    ada = website.program("ada")
    offered = {"name": "movie.npy", "form": "file", "files": [{"path": "movie.npy", "size_bytes": 5}]}
    begun = send(ada, "POST", "uploads", offered).json()
    assert begun["method"] == "tus"
    assert begun["files"][0]["tus_url"].startswith("/uploads/")
    incomplete = send(ada, "POST", f"uploads/{begun['id']}/complete", {})
    assert incomplete.status_code == 409
    assert send(ada, "GET", f"uploads/{begun['id']}").json()["files"][0]["offset"] == 0
    assert send(website.program("carol"), "GET", f"uploads/{begun['id']}").status_code == 404
    assert send(ada, "DELETE", f"uploads/{begun['id']}").status_code == 204


def test_borrowed_data_is_used_in_a_job_of_ones_own(website: Website) -> None:
    from neurocaas.server.groups.publishing import change_profile

    item = website.item("lab", "ada")
    carol, body = website.program("carol"), {"analysis": "mean", "data": [str(item.id)]}
    assert send(carol, "POST", "jobs", body).status_code == 404
    change_profile(
        website.site, "lab", lambda one: one.model_copy(update={"collaborators": {"other": ("data",)}}), "Lend"
    )
    assert send(carol, "POST", "jobs", body).status_code == 201


def test_the_document_of_the_api_tells_of_every_problem(website: Website) -> None:
    client = website.client()
    told = client.get("/api/v1/openapi.json").json()
    for path, operations in told["paths"].items():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["422"]["content"], path
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    assert b"https://" not in page.content  # nothing from elsewhere
    assert b"<style" not in page.content
