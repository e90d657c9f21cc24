"""Results, logs and viewers of a site whose store is in a bucket: fetched, kept a while, opened in the sandbox."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest

from support.aws import Aws
from support.website import Website


@pytest.fixture
def website(as_admin: Aws, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Website:
    """The site of other tests, with its store in a bucket."""
    monkeypatch.setenv("NEUROCAAS_STORE_URL", f"s3://{as_admin.bucket()}/site")
    from django.core.cache import cache

    from neurocaas.server.jobs import daemon
    from support.website import make_website

    cache.clear()
    monkeypatch.setattr(daemon, "wake", lambda settings, message="wake": None)
    folder, database, analysis = (request.getfixturevalue(name) for name in ("tmp_path", "sqlite_database", "analysis"))
    return make_website(folder, database, analysis)


def said(answer: Any) -> str:
    return (b"".join(answer) if answer.streaming else answer.content).decode()


def array() -> bytes:
    held = io.BytesIO()
    np.save(held, np.arange(6 * 40 * 50.0).reshape(6, 40, 50))
    return held.getvalue()


def test_results_are_listed_viewed_and_downloaded(website: Website) -> None:
    files = {"mean.csv": b"x,y\n1,2\n", "plots/ä b.txt": b"<i>hello</i>", "movie.npy": array()}
    job, client = website.finish(website.job(), files), website.client("ada")
    folder = job.stacks.get().folder
    page = said(client.get(f"/jobs/{job.id}/results"))
    assert all(name in page for name in ("mean.csv", "movie.npy"))
    assert "&lt;i&gt;hello" in said(client.get(f"/jobs/{job.id}/results/view", {"file": f"{folder}/plots/ä b.txt"}))
    assert "Rows 1 to 1 of 1" in said(client.get(f"/jobs/{job.id}/results", {"file": f"{folder}/mean.csv"}))
    shown = said(client.get(f"/jobs/{job.id}/results/view", {"file": f"{folder}/movie.npy"}))
    assert "6 × 40 × 50" in shown
    (address, *_) = re.findall(r'src="([^"]+/results/picture[^"]+)"', shown)
    picture = client.get(address.replace("&amp;", "&"))
    assert picture.status_code == 200
    assert picture.content.startswith(b"\x89PNG")
    raw = client.get(f"/jobs/{job.id}/results/raw", {"file": f"{folder}/mean.csv"}, headers={"Range": "bytes=4-6"})
    assert (raw.status_code, said(raw)) == (206, "1,2")
    archive = client.get(f"/api/v1/jobs/{job.id}/archive.zip", {"path": [f"{folder}/mean.csv"]})
    packed = zipfile.ZipFile(io.BytesIO(b"".join(archive)))
    assert packed.namelist() == [f"{job.id}/{folder}/mean.csv"]


def test_a_download_is_sent_to_the_bucket_by_a_signed_address(website: Website) -> None:
    job, client = website.finish(website.job(), {"mean.csv": b"x,y\n1,2\n"}), website.program("ada")
    (listed,) = [one for one in client.get(f"/api/v1/jobs/{job.id}/files").json() if one["path"].endswith("mean.csv")]
    answer = client.get(listed["url"])
    assert answer.status_code == 302
    assert urlsplit(answer["Location"]).query.count("X-Amz-Signature") == 1
    with urlopen(answer["Location"]) as sent:
        assert sent.read() == b"x,y\n1,2\n"


def test_two_jobs_are_compared(website: Website) -> None:
    one = website.finish(website.job(), {"same.txt": b"a\n", "other.csv": b"x\n1\n"})
    other = website.finish(website.job(seed=3), {"same.txt": b"a\n", "other.csv": b"x\n2\n"})
    client = website.client("ada")
    assert "The same bytes" in said(client.get("/jobs/compare", {"a": one.id, "b": other.id}))
    paths = {"file": f"{one.stacks.get().folder}/other.csv", "other": f"{other.stacks.get().folder}/other.csv"}
    assert "Different" in said(client.get("/jobs/compare/file", {"a": one.id, "b": other.id, **paths}))


def test_a_log_is_read_on_from_where_it_was_read(website: Website) -> None:
    job = website.finish(website.job(), {"a.txt": b"a"}, log="one\ntwo\nthree\n")
    first = website.program("ada").get(f"/api/v1/jobs/{job.id}/stacks/0/log").json()
    assert first["text"] == "one\ntwo\nthree\n"
    after = website.program("ada").get(f"/api/v1/jobs/{job.id}/stacks/0/log?after={first['after']}").json()
    assert (after["text"], after["after"]) == ("", first["after"])
    assert "three" in said(website.client("ada").get(f"/jobs/{job.id}/stacks/0"))
