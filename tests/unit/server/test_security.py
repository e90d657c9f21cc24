"""What an attacker tries, and what comes of it. Whose things are whose is in test_routes_and_roles.py."""

from __future__ import annotations

import io
import logging
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core import mail

from support.roles import Roles
from support.routes import routes

if TYPE_CHECKING:
    from django.test import Client

JSON = "application/json"
PASSWORD = "a password of some length"
MARK = "<img src=x onerror=alert(1)>\"'&{{7*7}}"
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
# What a person's or an analysis' own page may do: nothing, or run its own lines in an origin of its own.
FRAMED = ("sandbox; default-src 'none'; ", "sandbox allow-scripts; default-src 'none'; ")
UPWARDS = ["../../../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", ".", "..", "a//b", "./a"]


@pytest.fixture
def site(roles: Roles) -> Iterator[Roles]:
    yield roles
    roles.put_back()


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else answer.content


def visitor(**more: Any) -> Client:
    from django.test import Client

    return Client(SERVER_NAME="localhost", **more)


def sign_in(client: Client, login: str = "bob", password: str = PASSWORD, **more: str) -> Any:
    return client.post("/accounts/login/", {"login": login, "password": password, **more})


# -- groups


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


# -- links


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


# -- paths


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


# -- sessions


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

    with override_settings(**_https(site)):
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


# -- what is sent


def _addresses(site: Roles) -> list[tuple[str, str]]:
    """A good request to every page and every GET of the API, and its kinds of error."""
    from support.route_table import ROWS, address_of

    found = [("GET", address_of(site, row)) for row in ROWS if row.method == "GET" and row.of in {"-", "open"}]
    found = [one for one in found if "/events" not in one[1] and "badges" not in one[1]]
    return [
        *found,
        ("GET", "/nothing"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/api/v1/jobs/%00"),
        ("GET", "/jobs/nothing"),
        ("GET", "/accounts/login/"),
        ("GET", "/accounts/signup/"),
        ("GET", "/accounts/password/reset/key/1-x/"),
        ("GET", "/static/nothing"),
        ("GET", "/theme"),
        ("POST", "/group/invite"),
    ]


@pytest.mark.thorough
def test_every_answer_says_what_a_page_may_load(site: Roles) -> None:
    for role in ("owner", "stranger", "anonymous"):
        client = site.browsers[role]
        for method, address in _addresses(site):
            answer = client.generic(method, address)
            policy = answer.headers.get("Content-Security-Policy", "")
            assert policy, (role, method, address, answer.status_code)
            assert "unsafe" not in policy or policy.startswith(FRAMED), address
            assert answer.headers["X-Content-Type-Options"] == "nosniff", address
            if "text/html" in answer["Content-Type"] and "sandbox" not in policy:
                _has_nothing_inline(body(answer).decode(), address)
            body(answer)


def _has_nothing_inline(page: str, address: str) -> None:
    assert not re.search(r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")", page), address
    assert not re.search(r"<[a-z][^<>]*\s(style|on[a-z]+)=", page), address
    assert "javascript:" not in page, address


def test_what_a_workflow_wrote_runs_nothing(site: Roles) -> None:
    from neurocaas.server.jobs.models import Job

    hostile = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    names = ("a.html", "a.svg", "a.xhtml", "a.xml", "a.htm", "a.js", "a.mhtml", "a.png")
    job = Job.objects.get(pk=site.jobs["waiting"])
    site.website.finish(job, dict.fromkeys(names, hostile))
    bob, folder = site.browsers["member"], job.stacks.get().folder
    links = {one["path"]: one["url"] for one in bob.get(f"/api/v1/jobs/{job.pk}/files").json()}
    for name in names:
        for address, query in (
            (links[f"{folder}/{name}"], {}),
            (links[f"{folder}/{name}"], {"inline": "1"}),
            (f"/jobs/{job.pk}/results/raw", {"file": f"{folder}/{name}"}),
            (f"/jobs/{job.pk}/results/frame", {"file": f"{folder}/{name}"}),
        ):
            answer = bob.get(address, query)
            if answer.status_code == 404:
                continue
            policy = answer["Content-Security-Policy"]
            assert "sandbox" in policy, (name, address)
            assert "allow-scripts" not in policy
            assert "allow-same-origin" not in policy
            assert answer["X-Content-Type-Options"] == "nosniff"
            body(answer)


@pytest.mark.thorough
def test_text_of_people_is_text_on_every_page(site: Roles) -> None:
    from neurocaas.server.accounts.models import AuditEntry, User
    from neurocaas.server.groups.models import Handover
    from neurocaas.server.jobs.models import Attempt, Group, Job, Stack
    from neurocaas.server.uploads.models import Item, Tag
    from neurocaas.server.web.models import SavedConfig

    job = Job.objects.get(pk=site.jobs["handed"])
    Job.objects.filter(pk=job.pk).update(message=MARK, config={"label": MARK})
    Stack.objects.filter(job=job).update(message=MARK)
    Attempt.objects.filter(stack__job=job).update(message=MARK)
    Handover.objects.filter(job=job).update(note=MARK)
    Item.objects.filter(pk=site.things["item_id"]).update(name=MARK + ".npy")
    Tag.objects.create(item_id=site.things["item_id"], text=MARK[:60])
    profile = Group.objects.get(pk="lab").profile
    Group.objects.filter(pk="lab").update(profile={**profile, "title": MARK})
    SavedConfig.objects.create(
        group_id="lab", analysis="mean", name=MARK, config={"label": MARK}, by="ben", at=job.submitted_at
    )
    User.objects.filter(username="ben").update(first_name=MARK, last_name=MARK)
    AuditEntry.objects.create(at=job.submitted_at, user="ada", action=MARK[:40], what=MARK)
    finished = site.website.finish(Job.objects.get(pk=site.jobs["waiting"]), {f"{MARK}.csv": MARK.encode()}, log=MARK)
    folder = finished.stacks.get().folder
    blueprint = site.root / "analyses" / "mean" / "blueprint.json"
    text = blueprint.read_text()
    blueprint.write_text(text.replace('"The mean."', _json(f"The mean {MARK}")).replace('"How many."', _json(MARK)))
    pages = [address for method, address in _addresses(site) if method == "GET" and not address.startswith("/api")]
    for one in (job.pk, finished.pk):
        pages += [f"/jobs/{one}", f"/jobs/{one}/results", f"/jobs/{one}/stacks/0", f"/analyses/mean/new?from={one}"]
    pages += [
        f"/jobs/compare?a={job.pk}&b={finished.pk}",
        f"/jobs/{finished.pk}/results/view?file={_quoted(f'{folder}/{MARK}.csv')}",
        *(f"{one}?{_quoted_query()}" for one in ("/analyses", "/jobs", "/operator/jobs", "/operator/audit", "/group")),
    ]
    shown = 0
    for role in ("owner", "operator", "developer"):
        for address in pages:
            answer = site.browsers[role].get(address)
            if "text/html" not in answer["Content-Type"] or answer.streaming:
                body(answer)
                continue
            page = answer.content.decode()
            assert "<img src=x" not in page, address
            assert "49" not in page or "{{7*7}}" in page or "img src=x" not in page, address
            shown += "&lt;img src=x onerror=alert(1)&gt;" in page
    assert shown > 10


def _json(text: str) -> str:
    import json

    return json.dumps(text)


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text)


def _quoted_query() -> str:
    from urllib.parse import urlencode

    return urlencode(dict.fromkeys(("q", "search", "status", "of", "user", "subfield", "analysis", "page", "a"), MARK))


@pytest.mark.thorough
@pytest.mark.parametrize("role", ["owner", "operator", "anonymous"])
def test_characters_that_no_database_holds_are_no_fault_of_the_site(site: Roles, role: str) -> None:
    client = site.browsers[role]
    for _, address in _addresses(site):
        query = dict.fromkeys(
            ("q", "search", "status", "of", "user", "page", "group", "next", "version", "a", "b"), "\0"
        )
        for asked in (query, dict.fromkeys(query, "\udcff".encode("utf-8", "surrogatepass"))):
            answer = client.get(address, asked)
            assert answer.status_code < 500 or address == "/healthz", address
            body(answer)
    for path in ("/theme", "/group/join", "/group/member", "/accounts/login/", "/accounts/signup/", "/tokens"):
        answer = client.post(path, dict.fromkeys(("code", "name", "user", "what", "login", "password", "scope"), "\0"))
        assert answer.status_code < 500, path


def test_no_form_is_too_large_to_be_refused(site: Roles) -> None:
    ada = site.browsers["owner"]
    assert ada.post("/tokens", {f"field-{number}": "" for number in range(2000)}).status_code == 400
    assert ada.get("/jobs?" + "&".join(f"a{number}=1" for number in range(3000))).status_code < 500
    assert ada.get("/api/v1/jobs", {"search": "x" * 100_000}).status_code == 422
    huge = b'{"name": "' + b"x" * (17 << 20) + b'"}'
    assert ada.post("/api/v1/tokens", huge, content_type=JSON).status_code == 413
    assert ada.post("/tokens", huge, content_type="application/x-www-form-urlencoded").status_code in {400, 413}


# -- what is told


def test_a_fault_of_the_site_tells_nothing_of_the_site(site: Roles, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocaas.server.catalogue import listing
    from neurocaas.server.web import home

    def fail(*_: Any) -> None:
        raise RuntimeError(f"secret {site.root}")

    monkeypatch.setattr(home, "listed", fail)
    monkeypatch.setattr("neurocaas.server.api.analyses.usable", fail)
    assert listing
    client = site.browsers["owner"]
    client.raise_request_exception = False
    try:
        for address in ("/", "/api/v1/analyses"):
            answer = client.get(address)
            assert answer.status_code == 500
            text = answer.content.decode()
            for told in ("secret", str(site.root), "Traceback", "RuntimeError", "neurocaas.server", "SECRET_KEY"):
                assert told not in text
            assert answer["Content-Security-Policy"]
    finally:
        client.raise_request_exception = True


def test_no_secret_is_in_a_log_a_page_or_the_source_repo(site: Roles, tmp_path: Path) -> None:
    from neurocaas.server.accounts.models import Token
    from neurocaas.server.logs import log_to

    root = logging.getLogger()
    handlers, level, django = root.handlers[:], root.level, logging.getLogger("django.request")
    filters = django.filters[:]
    try:
        log_to(tmp_path / "web.log", aloud=False)
        client = visitor()
        sign_in(client, "ada", "a wrong passphrase")
        sign_in(client, "ada")
        session = client.cookies["sessionid"].value
        made = client.post("/api/v1/tokens", {"name": "x", "scope": "manage"}, content_type=JSON).json()["secret"]
        program = visitor(headers={"Authorization": f"Bearer {made}"})
        program.get("/api/v1/me", {"token": made})
        visitor(headers={"Authorization": "Bearer ncs_wrongwrongwrong"}).get("/api/v1/me")
        code = client.post("/api/v1/group/invitations", {}, content_type=JSON).json()["code"]
        client.delete(f"/api/v1/group/invitations/{code}")
        for address in (site.things["signature"], site.things["signature"][:-4] + "AAAA"):
            body(client.get(f"/api/v1/files/{address}"))
        mail.outbox = []
        visitor().post("/accounts/password/reset/", {"email": "ada@example.org"})
        found = re.search(r"/accounts/password/reset/key/(\S+)/", str(mail.outbox[-1].body))
        reset = found[1] if found else ""
        assert reset
        visitor().get(f"/accounts/password/reset/key/{reset}/")
        pages = "".join(client.get(one).content.decode() for one in ("/tokens", "/profile", "/group", "/operator"))
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], django.filters[:] = handlers, filters
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    logged = (tmp_path / "web.log").read_text()
    assert "/api/v1/files/" in logged
    committed = subprocess.run(["git", "log", "-p", "--all"], cwd=site.root, capture_output=True, text=True, check=True)
    key = (site.root / ".neurocaas" / "keys" / "site.pem").read_text().splitlines()[1]
    secrets = [
        PASSWORD,
        "a wrong passphrase",
        session,
        made,
        "ncs_wrongwrongwrong",
        code,
        site.things["signature"],
        reset,
        key,
    ]
    for secret in secrets:
        assert secret not in logged
        assert secret not in committed.stdout
        assert secret not in pages
    assert "@example.org" not in committed.stdout
    assert "@example.org" not in logged
    assert made not in str(list(Token.objects.values()))


def test_the_audit_log_has_sign_ins_grants_and_deletions(site: Roles) -> None:
    from neurocaas.server.accounts.models import AuditEntry

    AuditEntry.objects.all().delete()
    client = visitor()
    sign_in(client, "ada", "wrong")
    sign_in(client, "ada")
    client.post("/api/v1/tokens", {"name": "x"}, content_type=JSON)
    client.delete(f"/api/v1/tokens/{site.things['token_id']}")
    client.post("/api/v1/group/invitations", {}, content_type=JSON)
    client.delete(f"/api/v1/group/invitations/{site.things['code']}")
    client.patch("/api/v1/group/members/ben", {"role": "owner"}, content_type=JSON)
    client.patch("/api/v1/group/budget", {"dollars": 10}, content_type=JSON)
    client.delete(f"/api/v1/items/{site.things['item_id']}")
    client.delete(f"/api/v1/jobs/{site.jobs['open']}")
    client.post(f"/api/v1/jobs/{site.jobs['private']}/share", {"private": False}, content_type=JSON)
    client.delete(f"/api/v1/jobs/{site.jobs['handed']}/handover")
    client.post(f"/api/v1/jobs/{site.jobs['handed']}/handover", {}, content_type=JSON)
    client.delete("/api/v1/group/members/bob")
    client.post("/accounts/logout/")
    done = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(done) == [
        "sign-in refused",
        "signed in",
        "made a token",
        "revoked a token",
        "invited",
        "withdrew an invitation",
        "changed a role",
        "set a budget",
        "deleted data",
        "deleted a job",
        "showed a job",
        "took a job back",
        "handed a job over",
        "removed a member",
        "signed out",
    ]


def _https(site: Roles) -> dict[str, Any]:
    from neurocaas.server.serving.configuration import full_configuration, secret_key
    from neurocaas.settings import SiteDocument

    settings = site.website.site.settings
    document = SiteDocument.model_validate({"name": "Site", "web": {"url": "https://localhost"}})
    made = full_configuration(settings.model_copy(update={"site": document}), secret_key(settings))
    left_out = {"DATABASES", "INSTALLED_APPS", "EMAIL_BACKEND"}
    return {name: value for name, value in made.items() if name not in left_out}


def test_a_site_with_https_is_what_django_wants_of_it(site: Roles) -> None:
    from django.core.management import call_command
    from django.test import override_settings

    with override_settings(**_https(site)):
        call_command("check", deploy=True, fail_level="WARNING", stdout=io.StringIO())


def test_every_route_of_this_file_is_one(site: Roles) -> None:
    assert {"jobs", "group", "result_raw", "result_frame", "compare"} <= {one.name for one in routes()}
