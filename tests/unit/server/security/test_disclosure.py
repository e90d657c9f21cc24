"""Faults, secrets, the audit log, and a site with https."""

from __future__ import annotations

import io
import logging
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core import mail

from support.attacker import JSON, PASSWORD, body, sign_in, visitor, with_https
from support.roles import Roles


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


def test_a_site_with_https_is_what_django_wants_of_it(site: Roles) -> None:
    from django.core.management import call_command
    from django.test import override_settings

    with override_settings(**with_https(site)):
        call_command("check", deploy=True, fail_level="WARNING", stdout=io.StringIO())
