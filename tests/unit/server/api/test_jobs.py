"""Jobs over the API: what is answered, to whom, and that asking twice is harmless."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.website import Website

JSON = "application/json"


def post(client: Any, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(
        f"/api/v1/{path}", json.dumps(body if body is not None else {}), content_type=JSON, headers=headers
    )


def asked(website: Website, **more: Any) -> dict[str, Any]:
    return {"analysis": "mean", "data": [str(website.item("lab", "ada").id)], **more}


def test_a_submission_is_admitted_and_wakes_the_manager(website: Website) -> None:
    from neurocaas.client.documents import JobDescription

    answer = post(website.program("ada"), "jobs", asked(website))
    assert answer.status_code == 201, answer.content
    described = JobDescription.model_validate(answer.json())
    assert answer["Location"] == f"/api/v1/jobs/{described.job}"
    assert (described.user, described.status) == ("ada", "waiting")
    assert website.wakes == ["wake"]
    assert website.client("bob").get(answer["Location"]).json()["job"] == described.job


def test_a_quote_starts_nothing(website: Website) -> None:
    from neurocaas.server.jobs.models import Job

    answer = post(website.program("ada", "write"), "quotes", asked(website))
    assert answer.status_code == 200, answer.content
    assert answer.json()["stacks"] == 1
    assert not Job.objects.exists()


def test_the_same_key_gives_the_same_job(website: Website) -> None:
    from neurocaas.server.jobs.models import Job

    client, body = website.program("ada"), asked(website)
    headers = {"Idempotency-Key": "one"}
    first, again = (post(client, "jobs", body, **headers) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json()["job"] == again.json()["job"]
    assert Job.objects.count() == 1
    other = post(client, "jobs", body | {"seed": 7}, **headers)
    assert other.status_code == 422
    assert "a new key is right" in other.json()["detail"]


def test_a_submission_that_is_refused_leaves_its_key_free(website: Website) -> None:
    client, body = website.program("ada"), asked(website)
    headers = {"Idempotency-Key": "two"}
    assert post(client, "jobs", body | {"config": {"components": 0}}, **headers).status_code == 422
    assert post(client, "jobs", body, **headers).status_code == 201


def test_jobs_are_listed_page_by_page_without_gap_or_repetition(website: Website) -> None:
    made = [website.job(name=str(number)).id for number in range(5)]
    client, seen, cursor = website.client("bob"), [], ""
    while cursor is not None:
        answer = client.get("/api/v1/jobs", {"limit": 2, "cursor": cursor}).json()
        seen += [one["job"] for one in answer["items"]]
        cursor = answer["next"]
    assert seen == made[::-1]
    found = client.get("/api/v1/jobs", {"search": made[0]}).json()["items"]
    assert [one["job"] for one in found] == made[:1]
    assert client.get("/api/v1/jobs", {"status": "failed"}).json()["items"] == []


def test_another_group_does_not_know_of_a_job(website: Website) -> None:
    job = website.job()
    carol = website.program("carol")
    assert carol.get("/api/v1/jobs").json()["items"] == []
    for path in ("", "/stacks", "/stacks/0/log", "/files", "/archive.zip", "/certificate", "/crate", "/events"):
        answer = carol.get(f"/api/v1/jobs/{job.id}{path}")
        if path != "/events":  # a stream needs a real server
            assert answer.status_code == 404, path
    for path in ("cancel", "retry", "reproduce"):
        assert post(carol, f"jobs/{job.id}/{path}").status_code == 404
    assert carol.delete(f"/api/v1/jobs/{job.id}").status_code == 404


def test_a_member_sees_but_does_not_change_a_colleagues_job(website: Website) -> None:
    job = website.job()
    bob = website.program("bob")
    assert bob.get(f"/api/v1/jobs/{job.id}").status_code == 200
    answer = post(bob, f"jobs/{job.id}/cancel")
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("#forbidden")
    assert post(website.program("ada"), f"jobs/{job.id}/share", {"private": True}).status_code == 200
    assert bob.get(f"/api/v1/jobs/{job.id}").status_code == 404


def test_cancelling_twice_is_harmless(website: Website) -> None:
    job = website.job()
    client = website.program("ada")
    assert post(client, f"jobs/{job.id}/cancel").json() == {"job": job.id, "cancelled": True}
    website.finish(job)
    assert post(client, f"jobs/{job.id}/cancel").json() == {"job": job.id, "cancelled": False}


def test_a_failed_job_is_retried_and_handed_over(website: Website) -> None:
    from neurocaas.server.accounts.models import AuditEntry

    job = website.finish(website.job())
    client = website.program("ada")
    again = post(client, f"jobs/{job.id}/retry")
    assert again.status_code == 201, again.content
    assert again.json()["retry_of"] == job.id
    assert post(client, f"jobs/{job.id}/handover", {"days": 3, "note": "help"}).status_code == 204
    assert AuditEntry.objects.filter(action="handed a job over", what=job.id, user="ada", group="lab").exists()
    assert client.delete(f"/api/v1/jobs/{job.id}/handover").status_code == 204


def test_a_deleted_job_is_gone_with_its_files_and_stays_in_the_ledger(website: Website) -> None:
    from neurocaas.server.jobs.models import Job
    from neurocaas.storage import keys

    client = website.program("ada")
    job = website.job()
    assert client.delete(f"/api/v1/jobs/{job.id}").status_code == 409  # it has not ended
    website.finish(job, {"mean.csv": b"1\n"})
    assert client.delete(f"/api/v1/jobs/{job.id}").status_code == 204
    assert client.get(f"/api/v1/jobs/{job.id}").status_code == 404
    assert list(website.site.store.list(keys.job("lab", job.id))) == []
    assert Job.objects.filter(pk=job.id).exists()


def test_a_log_is_read_on_from_where_one_was(website: Website) -> None:
    job = website.finish(website.job(), {"mean.csv": b"1\n"}, log="one\ntwo\n")
    client = website.client("bob")
    page = client.get(f"/api/v1/jobs/{job.id}/stacks/0/log").json()
    assert page == {"text": "one\ntwo\n", "after": "1:2", "ended": True}
    assert client.get(f"/api/v1/jobs/{job.id}/stacks/0/log", {"after": "1:1"}).json()["text"] == "two\n"
    whole = client.get(f"/api/v1/jobs/{job.id}/stacks/0/log", headers={"Accept": "text/plain"})
    assert b"".join(whole) == b"one\ntwo\n"
    assert client.get(f"/api/v1/jobs/{job.id}/stacks/0/log", {"after": "x"}).status_code == 422
    assert client.get(f"/api/v1/jobs/{job.id}/stacks/7/log").status_code == 404


def test_stacks_come_in_pages(website: Website) -> None:
    from neurocaas.client.documents import StackDescription

    job = website.job(points=tuple({"components": number} for number in range(1, 6)))
    client = website.client("ada")
    page = client.get(f"/api/v1/jobs/{job.id}/stacks", {"limit": 3}).json()
    assert [StackDescription.model_validate(one).index for one in page["items"]] == [0, 1, 2]
    rest = client.get(f"/api/v1/jobs/{job.id}/stacks", {"limit": 3, "cursor": page["next"]}).json()
    assert ([one["index"] for one in rest["items"]], rest["next"]) == ([3, 4], None)


@pytest.mark.parametrize("limit", [1, 5])
def test_a_list_takes_the_same_number_of_queries_however_long(website: Website, limit: int) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for number in range(5):
        website.job(name=str(number))
    client = website.program("ada")
    client.get("/api/v1/jobs")
    with CaptureQueriesContext(connection) as queries:
        client.get("/api/v1/jobs", {"limit": limit})
    assert len(queries) <= 8
