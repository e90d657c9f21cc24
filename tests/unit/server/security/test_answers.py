"""What a page may load and show, whatever people, workflows and requests put into it."""

from __future__ import annotations

import re

import pytest

from support.attacker import JSON, body
from support.roles import Roles

MARK = "<img src=x onerror=alert(1)>\"'&{{7*7}}"
# What a person's or an analysis' own page may do: nothing, or run its own lines in an origin of its own.
FRAMED = ("sandbox; default-src 'none'; ", "sandbox allow-scripts; default-src 'none'; ")


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
