"""The API on a real server: a job from data to results, followed as it runs."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.serving import make_account, web_process
from support.sites import TestSite


@pytest.fixture
def api(local_site: TestSite) -> Iterator[httpx.Client]:
    local_site.analysis("shout", 'echo hello; tr a-z A-Z < "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/out.txt"')
    token = make_account(local_site.root)
    with (
        web_process(local_site.root) as url,
        httpx.Client(base_url=f"{url}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=60) as client,
    ):
        yield client


def events(answer: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_job_is_followed_to_its_end(api: httpx.Client, local_site: TestSite) -> None:
    item = stage(api, local_site)
    answer = api.post("jobs", json={"analysis": "shout", "data": [item]}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201, answer.text
    job = answer.json()["job"]
    with api.stream("GET", f"jobs/{job}/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        told = list(events(stream))
    assert [name for name, _ in told][-1] == "ended"
    assert told[0][0] == "changed"
    assert told[-1][1]["status"] == "succeeded", told[-1]
    files = {one["path"].rpartition("/")[2]: absolute(api, one["url"]) for one in api.get(f"jobs/{job}/files").json()}
    assert {"out.txt", "log.txt", "certificate.json"} <= files.keys()
    assert api.get(files["out.txt"]).text == "DATASET 0\n"
    assert api.get(files["out.txt"], headers={"Range": "bytes=0-6"}).text == "DATASET"
    assert "hello" in api.get(files["log.txt"]).text
    assert "hello" in api.get(f"jobs/{job}/stacks/0/log").json()["text"]
    for path in ("archive.zip", "crate"):
        with zipfile.ZipFile(io.BytesIO(api.get(f"jobs/{job}/{path}").content)) as archive:
            assert archive.testzip() is None
            assert any(name.endswith("out.txt") for name in archive.namelist())
    again = api.post(f"jobs/{job}/reproduce")
    assert again.status_code == 201, again.text
    with api.stream("GET", f"jobs/{again.json()['job']}/events") as stream:
        assert list(events(stream))[-1][1]["status"] == "succeeded"
    assert api.get("jobs/nothing/events").status_code == 404


def test_a_huge_body_is_refused_before_it_is_read(api: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * (1 << 20)

    def refused(**body: Any) -> bool:
        try:
            return api.post("jobs", **body).status_code == 413
        except httpx.TransportError:  # it hung up while the body was on its way
            return True

    assert refused(content=endless())
    assert refused(content=b" " * (32 << 20))
    assert api.get("me").json()["user"] == "ada"


def stage(api: httpx.Client, local_site: TestSite) -> str:
    """An item of one small file, uploaded by tus where the site takes uploads, as it does here."""
    (path,) = local_site.data(1)
    content = path.read_bytes()
    known = {"path": path.name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    begun = api.post("uploads", json={"name": path.name, "form": "file", "files": [known]}).json()
    url = absolute(api, begun["files"][0]["tus_url"])
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent = api.patch(url, content=content, headers=headers)
    assert sent.status_code == 204, sent.text
    done = api.post(f"uploads/{begun['id']}/complete", json={})
    item: str = done.json()["item"]
    return item


def absolute(api: httpx.Client, path: str) -> str:
    return str(api.base_url.copy_with(path=path, query=None))
