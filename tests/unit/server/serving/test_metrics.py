"""What Prometheus reads and who may, and what /healthz says of a site that is not well."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory

from neurocaas.server.serving import counters

NOW = datetime.now(UTC)


@pytest.fixture
def site(any_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process serves a site on this database."""
    (tmp_path / "site.json").write_text('{"name": "here"}')
    (tmp_path / ".neurocaas" / "run").mkdir(parents=True)
    from neurocaas.server.serving import wiring
    from neurocaas.server.site import Site
    from neurocaas.settings import read_settings

    wiring.serve_site(Site(read_settings(tmp_path)))
    return tmp_path


def _stacks(count: int) -> None:
    from neurocaas.server.jobs.models import Account, Group, Job, Stack, Step

    group = Group.objects.create(name="lab")
    Account.objects.create(group=group, spent_nanodollars=2_500_000_000)
    Account.objects.create(group=group, user="ada", spent_nanodollars=2_500_000_000)
    job = Job.objects.create(
        id="j", group=group, user="ada", config={}, seed=0, max_instances=1, submitted_at=NOW - timedelta(seconds=90)
    )
    step = Step.objects.create(job=job, index=0)
    Stack.objects.bulk_create(
        Stack(job=job, step=step, index=index, inputs=[], config={}, seed=0, need={}) for index in range(count)
    )


def test_figures_are_those_of_the_database_with_as_many_queries_for_any_number_of_rows(site: Path) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as empty:
        _read()
    _stacks(50)
    with CaptureQueriesContext(connection) as full:
        figures = _read()
    assert len(full) == len(empty) <= 7
    assert 'neurocaas_stacks{status="waiting"} 50.0' in figures
    assert 'neurocaas_jobs{status="waiting"} 1.0' in figures
    assert "neurocaas_spent_dollars_total 2.5" in figures
    (age,) = [line for line in figures.splitlines() if line.startswith("neurocaas_queue_age_seconds ")]
    assert float(age.split()[1]) >= 90  # and as many more as the tests before this one took
    before = counters.registry.get_sample_value("neurocaas_upload_bytes_total")
    assert before is not None
    counters.uploaded(1000)
    assert f"neurocaas_upload_bytes_total {before + 1000}" in _read()


def _read(**headers: str) -> str:
    from neurocaas.server.serving import metrics

    answer = metrics.metrics(RequestFactory().get("/metrics", headers=headers))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize(
    ("address", "token", "headers", "status"),
    [
        ("127.0.0.1", "", {}, 200),
        ("::1", "", {}, 200),
        ("192.0.2.1", "", {}, 403),
        ("192.0.2.1", "", {"Authorization": "Bearer "}, 403),
        ("192.0.2.1", "t", {"Authorization": "Bearer t"}, 200),
        ("192.0.2.1", "t", {"Authorization": "Bearer tt"}, 403),
        ("127.0.0.1", "t", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", "", {"Forwarded": "for=192.0.2.1"}, 403),
        ("", "", {}, 403),
    ],
)
@pytest.mark.usefixtures("sqlite_database")
def test_the_metrics_are_for_this_machine_or_with_the_token(
    monkeypatch: pytest.MonkeyPatch, address: str, token: str, headers: dict[str, str], status: int
) -> None:
    from neurocaas.server.serving import metrics

    monkeypatch.setenv("NEUROCAAS_METRICS_TOKEN", token)
    monkeypatch.setattr(metrics, "generate_latest", lambda _: b"")
    request = RequestFactory().get("/metrics", REMOTE_ADDR=address, headers=headers)
    assert metrics.metrics(request).status_code == status


def test_a_site_that_is_not_well_says_what_is_wrong_and_nothing_else(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.serving import health

    status, answer = _health()
    assert (status, answer["status"], answer["manager"]) == (503, "failing", "none leads")
    assert (answer["database"], answer["store"]) == ("ok", "ok")
    monkeypatch.setattr(health.daemon, "last_leader", lambda _: 1)
    assert _health()[1]["manager"] == "it has done nothing for 0 seconds"
    turn = site / ".neurocaas" / "run" / "manager.turn"
    turn.touch()
    assert _health()[0] == 200
    os.utime(turn, (0, time.time() - 600))
    assert "it has done nothing for 60" in _health()[1]["manager"]
    turn.touch()
    monkeypatch.setattr(health, "disk_free_bytes", lambda _: 1024)
    assert _health() == (503, {**_health()[1], "status": "failing", "disk_free_gib": 0.0})


def test_a_database_that_does_not_answer_is_told_without_its_address(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError, connection

    def refuse() -> None:
        raise OperationalError("no connection to secret-host as secret-user")

    monkeypatch.setattr(connection, "cursor", refuse)
    status, answer = _health()
    assert (status, answer["database"]) == (503, "it does not answer")
    assert "secret" not in json.dumps(answer)
    figures = _read()
    assert "neurocaas_database_up 0.0" in figures
    assert "neurocaas_disk_free_bytes" in figures


def _health() -> tuple[int, dict[str, Any]]:
    from neurocaas.server.serving import health

    answer = health.healthz(RequestFactory().get("/healthz"))
    return answer.status_code, json.loads(answer.content)
