"""That a large upload survives the death of its client, of the server, and of the network between them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from neurocaas.storage import digest_file
from support.line import Line, line_to
from support.s3 import BUCKET
from support.served import Served, served
from support.serving import make_account
from support.sites import TestSite, kill

BLOCK_BYTES = 1 << 20
# How much of the file may go twice: what was on its way when the client and when the network died. By tus that is what
# buffers held; straight to S3 it is four parts of 16 MiB each time.
AGAIN_BY_TUS, AGAIN_BY_PARTS = 0.05, 0.5
UPLOAD = """
import os, sys
from pathlib import Path
from neurocaas.client import Client
url, file, state = sys.argv[1:]
with Client(url, os.environ["TOKEN"], state=Path(state)) as client:
    (item,) = client.upload([Path(file)])
print(item.model_dump_json())
"""


class Sender:
    """The Python client in a process of its own, started again with the same memory if it was killed."""

    def __init__(self, url: str, token: str, file: Path) -> None:
        self._command = [sys.executable, "-c", UPLOAD, url, str(file), str(file.with_name("state"))]
        self._variables = os.environ | {"TOKEN": token}
        self.killed = 0
        self._process: subprocess.Popen[str] | None = None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def send(self) -> dict[str, Any]:
        """Until it ends by itself. Returns the item that it printed."""
        while True:
            pipe = subprocess.PIPE
            with subprocess.Popen(self._command, stdout=pipe, stderr=pipe, text=True, env=self._variables) as process:
                self._process = process
                said, complained = process.communicate(timeout=300)
            if process.returncode != -signal.SIGKILL:
                assert process.returncode == 0, complained
                item: dict[str, Any] = json.loads(said)
                return item
            self.killed += 1


def random_file(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        for _ in range(size_bytes // BLOCK_BYTES):
            file.write(os.urandom(BLOCK_BYTES))
    return path


def arrives(site: Served, line: Line, sender: Sender, file: Path, *, again: float) -> str:
    """Send the file with three deaths on the way, judge what came of it, and return the figures."""
    size_bytes, web = file.stat().st_size, site.children()["web"]
    deaths: list[Callable[[], None]] = [sender.kill, lambda: kill(web), line.cut]
    line.mishaps = [(size_bytes * quarter // 4, death) for quarter, death in enumerate(deaths, 1)]
    began = time.monotonic()
    item = sender.send()
    seconds = time.monotonic() - began
    assert not line.mishaps
    assert sender.killed == 1
    assert site.children()["web"] != web
    assert item["sha256"] == digest_file(file).sha256
    assert item["size_bytes"] == size_bytes
    assert size_bytes <= line.sent <= (1 + again) * size_bytes
    twice = line.sent / size_bytes - 1
    how = "with client, server and network killed"
    return f"{size_bytes / 1e9:.2f} GB {how}: whole after {seconds:.0f} s, {twice:.1%} of it sent twice."


def only_item(site: Served, token: str) -> str:
    """The id of the only item there is."""
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {token}"}) as client:
        (item,) = client.get("/api/v1/items").json()["items"]
        return str(item["id"])


@contextlib.contextmanager
def serving(site: TestSite, **variables: str) -> Iterator[tuple[Served, str]]:
    """The site, well, and a token of a user's."""
    token = make_account(site.root, **site.variables)
    with served(site, **variables) as running:
        running.wait_for_all()
        yield running, token


def test_two_gigabytes_arrive_once_through_three_deaths(
    local_site: TestSite, record_property: Callable[[str, object], None]
) -> None:
    file = random_file(local_site.folder / "recording.bin", 2_000 << 20)
    with serving(local_site) as (site, token), line_to(urlsplit(site.url).port or 0) as line:
        figures = arrives(site, line, Sender(line.url, token, file), file, again=AGAIN_BY_TUS)
        record_property("figures", f"Upload to local storage, {figures}")
        assert only_item(site, token)
    store = local_site.root / ".neurocaas" / "store" / "groups" / "lab" / "data"
    (stored,) = [one for one in store.rglob("*") if one.is_file()]
    assert digest_file(stored).sha256 == digest_file(file).sha256


def test_an_upload_straight_to_a_store_on_s3_does_so_too(
    local_site: TestSite, s3_endpoint: str, record_property: Callable[[str, object], None]
) -> None:
    local_site.variables["NEUROCAAS_STORE_URL"] = f"s3://{BUCKET}/big/{uuid.uuid4().hex}"
    file = random_file(local_site.folder / "recording.bin", 256 << 20)
    with (
        line_to(urlsplit(s3_endpoint).port or 0) as line,
        serving(local_site, AWS_ENDPOINT_URL=line.url) as (site, token),
    ):
        figures = arrives(site, line, Sender(site.url, token, file), file, again=AGAIN_BY_PARTS)
        record_property("figures", f"Upload straight to S3, {figures}")
        place = f"{site.url}/api/v1/items/{only_item(site, token)}/content"
        copy = fetched(place, token, file.with_name("copy.bin"))
    assert digest_file(copy).sha256 == digest_file(file).sha256


def fetched(url: str, token: str, path: Path) -> Path:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.stream("GET", url, headers=headers, follow_redirects=True) as answer, path.open("wb") as output:
        for block in answer.iter_bytes():
            output.write(block)
    return path
