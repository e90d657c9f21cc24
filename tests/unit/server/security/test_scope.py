"""Another group's things, links and paths that lead out. Whose things are whose is in test_routes_and_roles.py."""

from __future__ import annotations

import re

import pytest

from support.attacker import JSON, body, sign_in, visitor
from support.roles import Roles
from support.routes import routes

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "http:evil.example",
    "javascript:alert(1)",
    "https://localhost@evil.example/",
    "https://localhost.evil.example/",
    "\thttps://evil.example/",
]
UPWARDS = ["../../../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", ".", "..", "a//b", "./a"]


@pytest.mark.parametrize("path", ["me", "jobs", "items", "budget", "group", "quota", "analyses"])
def test_naming_another_group_is_naming_none(site: Roles, path: str) -> None:
    carol = site.programs["stranger", "manage"]
    for group in ("lab", "nothing", "../lab", "LAB", "lab\0"):
        assert carol.get(f"/api/v1/{path}", {"group": group}).status_code == 404
        if "\0" not in group:
            assert carol.get(f"/api/v1/{path}", headers={"X-NeuroCAAS-Group": group}).status_code == 404


@pytest.mark.parametrize("path", ["/", "/group", "/jobs", "/analyses/mean/new"])
def test_a_page_that_names_another_group_shows_nothing_of_it(site: Roles, path: str) -> None:
    shown = site.browsers["stranger"].get(path, {"group": "lab"}).content.decode()
    for other in (*site.jobs.values(), site.things["code"], site.things["item_id"], "bob"):
        assert other not in shown


def test_a_job_takes_no_data_and_no_configuration_of_another_group(site: Roles) -> None:
    from neurocaas.server.jobs.models import Job

    carol, item = site.browsers["stranger"], site.things["item_id"]
    before = Job.objects.count()
    for data in ([item], [item.upper()], [item.replace("-", "")], [f"groups/lab/data/{item}/file"], ["/etc/passwd"]):
        assert carol.post("/api/v1/jobs", {"analysis": "mean", "data": data}, content_type=JSON).status_code == 404
        assert carol.post("/analyses/mean/new", {"data": data, "components": "3"}).status_code in {404, 422}
    assert carol.get("/analyses/mean/new", {"from": site.jobs["open"]}).status_code == 404
    assert carol.get("/analyses/mean/new", {"config": "1"}).status_code == 404
    assert "item.npy" not in carol.get("/analyses/mean/new", {"data": item}).content.decode()
    assert Job.objects.count() == before


def test_two_jobs_are_compared_by_who_may_read_both(site: Roles) -> None:
    asked = {"a": site.jobs["open"], "b": site.jobs["private"]}
    for role in ("stranger", "member", "developer", "sees results"):
        assert site.browsers[role].get("/jobs/compare", asked).status_code == 404
    assert site.browsers["owner"].get("/jobs/compare", asked).status_code == 200


def test_a_body_has_no_room_for_what_is_not_asked(site: Roles) -> None:
    from support.route_table import BODIES, ROWS, Row, asked

    ada = site.browsers["owner"]
    for name in [one for one in BODIES if one.startswith("api:")]:
        row: Row = next(one for one in ROWS if one.route == name)
        for field in ("user", "group", "operator", "id", "price", "created_by", "is_superuser"):
            if (name, field) == ("api:change_budget", "user"):
                continue
            kept = BODIES[name]
            BODIES[name] = {**kept, field: "carol"}
            try:
                assert asked(site, row, ada) == "422", (name, field)
            finally:
                BODIES[name] = kept


def test_a_form_has_no_room_for_what_is_not_asked(site: Roles) -> None:
    from neurocaas.server.jobs.models import Job

    item = site.things["item_id"]
    form = {"data": item, "components": "3", "user": "ada", "group": "other", "status": "succeeded", "operator": "1"}
    answer = site.browsers["member"].post("/analyses/mean/new", form)
    job = Job.objects.get(pk=answer["Location"].rpartition("/")[2])
    assert (job.user, job.group_id, job.status) == ("bob", "lab", "waiting")


def test_a_link_leads_to_one_file_of_one_job_for_one_user(site: Roles, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core import signing

    from neurocaas.server.api import files

    good = site.things["signature"]
    user, group, job, path, key = signing.loads(good, salt=files.SALT)
    nobody, ada = site.browsers["anonymous"], site.browsers["owner"]
    forged = [
        signing.dumps([user, group, job, path, key], salt="neurocaas.other", compress=True),
        signing.dumps([user, group, job, path, key], key="another key", salt=files.SALT, compress=True),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good.partition(":")[0],
        good.replace(":", "::"),
        "." + good,
    ]
    for one in forged:
        assert ada.get(f"/api/v1/files/{one}").status_code == 404
    assert nobody.get(f"/api/v1/files/{good}").status_code == 200
    for role in ("stranger", "member", "developer", "operator"):
        assert site.browsers[role].get(f"/api/v1/files/{good}").status_code == 404
    monkeypatch.setattr(files, "LINK_SECONDS", -1)
    assert ada.get(f"/api/v1/files/{good}").status_code == 404


@pytest.mark.parametrize("where", ELSEWHERE)
def test_no_page_sends_anybody_elsewhere(site: Roles, where: str) -> None:
    for path, form in (("/theme", {"theme": "dark"}), ("/group/choose", {"group": "lab"})):
        answer = site.browsers["owner"].post(path, {**form, "next": where})
        assert answer.status_code == 302
        assert answer["Location"] in {"/", "/group"}
    answer = sign_in(visitor(), next=where)
    assert answer.status_code == 302
    assert "evil" not in answer["Location"]
    assert "alert" not in answer["Location"]


@pytest.mark.parametrize("path", UPWARDS)
def test_no_path_leads_out_of_what_it_is_in(site: Roles, path: str) -> None:
    bob, things = site.browsers["member"], site.things
    assert bob.get(f"/api/v1/items/{things['item_id']}/content", {"path": path}).status_code in {404, 422}
    assert bob.get(f"/api/v1/jobs/{site.jobs['open']}/archive.zip", {"path": path}).status_code in {404, 422}
    for page in ("view", "picture", "raw", "frame"):
        answer = bob.get(f"/jobs/{site.jobs['open']}/results/{page}", {"file": path})
        assert answer.status_code in {404, 422}, page
    for address in ("/analyses/mean/sample/", "/static/", "/api/v1/files/", "/analyses/", "/api/v1/analyses/"):
        answer = bob.get(address + path)
        assert answer.status_code in {301, 302, 404, 422} or b"root:" not in body(answer), address
    offer = {"name": path, "form": "file", "files": [{"path": path, "size_bytes": 4}]}
    assert bob.post("/api/v1/uploads", offer, content_type=JSON).status_code == 422
    offer = {"name": "folder", "form": "folder", "files": [{"path": path, "size_bytes": 4}]}
    assert bob.post("/api/v1/uploads", offer, content_type=JSON).status_code == 422
    assert bob.post("/api/v1/jobs", {"analysis": path, "data": ["x"]}, content_type=JSON).status_code in {404, 422}


@pytest.mark.parametrize(
    "name", ['a"; filename="b.html', "a\r\nSet-Cookie: x=1", "a\nb", "ä;b", "a%0d%0ab", "\u202egpj.exe"]
)
def test_no_name_of_a_file_is_a_header(name: str) -> None:
    from neurocaas.server.api.streams import disposition

    told = disposition(name)
    assert re.fullmatch(r"attachment; filename=\"[ !#-\[\]-~]*\"; filename\*=UTF-8''[A-Za-z0-9%._~-]*", told)


def test_every_route_of_this_file_is_one(site: Roles) -> None:
    assert {"jobs", "group", "result_raw", "result_frame", "compare"} <= {one.name for one in routes()}
