"""Files, archives and certificates over the API."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.core import signing

from support.website import Website

FILES = {"mean.csv": b"0123456789", "plots/ä b.png": b"\x89PNG"}


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else answer.content


def links(client: Any, job: str) -> dict[str, str]:
    return {one["path"]: one["url"] for one in client.get(f"/api/v1/jobs/{job}/files").json()}


def test_every_file_is_listed_and_fetched(website: Website) -> None:
    job = website.finish(website.job(), FILES)
    client = website.client("ada")
    found = links(client, job.id)
    folder = job.stacks.get().folder
    assert set(found) == {
        "certificate.json",
        "certificate.txt",
        f"{folder}/log.txt",
        *(f"{folder}/{path}" for path in FILES),
    }
    answer = client.get(found[f"{folder}/mean.csv"])
    assert body(answer) == FILES["mean.csv"]
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert body(client.get(found[f"{folder}/log.txt"])) == b"it ran\n"


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=0-99", 200, b"0123456789"),
        ("bytes=nonsense", 200, b"0123456789"),
        ("bytes=5-2", 200, b"0123456789"),
        ("bytes=99-", 416, None),
    ],
)
def test_a_part_of_a_file_is_fetched(website: Website, asked: str, status: int, content: bytes | None) -> None:
    job = website.finish(website.job(), FILES)
    client = website.client("ada")
    url = next(url for path, url in links(client, job.id).items() if path.endswith("mean.csv"))
    answer = client.get(url, headers={"Range": asked})
    assert answer.status_code == status
    if content is not None:
        assert body(answer) == content
        assert answer["Content-Length"] == str(len(content))


def test_a_link_is_its_makers_and_works_for_a_while(website: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocaas.server.api import files

    job = website.finish(website.job(), FILES)
    url = next(iter(links(website.client("ada"), job.id).values()))
    assert website.client().get(url).status_code == 200  # the link itself says who may have it
    assert website.client("carol").get(url).status_code == 404
    assert website.client("ada").get(url[:-2] + "xx").status_code == 404
    monkeypatch.setattr(files, "LINK_SECONDS", -1)
    assert website.client("ada").get(url).status_code == 404


def test_a_link_to_anything_else_is_no_link(website: Website) -> None:
    forged = signing.dumps(["ada", "lab"], salt="neurocaas.files")
    assert website.client("ada").get(f"/api/v1/files/{forged}").status_code == 404


def test_what_is_revoked_after_the_link_was_made_is_revoked(website: Website) -> None:
    from neurocaas.server.groups.models import Membership

    job = website.finish(website.job(), FILES)
    url = next(iter(links(website.client("bob"), job.id).values()))
    Membership.objects.filter(user="bob").delete()
    assert website.client().get(url).status_code == 404


def test_an_archive_has_all_files_or_those_that_are_asked_for(website: Website) -> None:
    job = website.finish(website.job(), FILES)
    client, folder = website.client("ada"), job.stacks.get().folder
    with zipfile.ZipFile(io.BytesIO(body(client.get(f"/api/v1/jobs/{job.id}/archive.zip")))) as archive:
        assert archive.testzip() is None
        assert archive.read(f"{job.id}/{folder}/plots/ä b.png") == FILES["plots/ä b.png"]
        assert f"{job.id}/certificate.json" in archive.namelist()
    some = client.get(f"/api/v1/jobs/{job.id}/archive.zip", {"path": [f"{folder}/plots", "certificate.txt"]})
    with zipfile.ZipFile(io.BytesIO(body(some))) as archive:
        assert len(archive.namelist()) == 2
    assert client.get(f"/api/v1/jobs/{job.id}/archive.zip", {"path": "../../etc"}).status_code == 404


def test_a_certificate_is_there_once_the_job_has_ended(website: Website) -> None:
    job = website.job()
    client = website.client("ada")
    assert client.get(f"/api/v1/jobs/{job.id}/certificate").status_code == 422
    assert client.get(f"/api/v1/jobs/{job.id}/crate").status_code == 422
    website.finish(job, FILES)
    assert client.get(f"/api/v1/jobs/{job.id}/certificate").content == b'{"format": "test"}'
