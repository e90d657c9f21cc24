"""What only the store in a bucket promises; what it shares with others is in tests/contract."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from neurocaas.errors import Refused, StorageFailed
from neurocaas.storage import open_store
from neurocaas.storage.s3 import S3Store


@pytest.fixture
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so nobody else takes it, and connections to it are refused
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        yield


class Answer(BaseHTTPRequestHandler):
    """A server that says no in S3's way: the status and code are in the bucket's name."""

    def answer(self) -> None:
        _, bucket, *_ = self.path.split("?")[0].split("/")
        status, _, code = bucket.partition("-")
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if self.command != "HEAD" else b""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
        """Quiet."""


@pytest.fixture
def refusing_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("bucket", "sentence"),
    [
        ("403-AccessDenied", "the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY do not permit it."),
        ("403-SignatureDoesNotMatch", "the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY do not"),
        ("404-NoSuchBucket", "there is no bucket 404-NoSuchBucket; create it or correct the store's address."),
    ],
)
def test_what_the_server_refuses_is_a_sentence(refusing_server: None, bucket: str, sentence: str) -> None:
    store = S3Store(f"s3://{bucket}/prefix", retries=0)
    for use in (lambda: store.put("a", b""), lambda: store.get("a"), lambda: list(store.list(""))):
        with pytest.raises(StorageFailed, match=sentence):
            use()


def test_a_server_that_does_not_answer_is_a_sentence(nobody_listens: None, tmp_path: Path) -> None:
    store = S3Store("s3://bucket/prefix", retries=0)
    (tmp_path / "file").write_bytes(b"x")
    for use in (
        lambda: store.put("a", b""),
        lambda: store.create("a", b""),
        lambda: store.get("a"),
        lambda: store.head("a"),
        lambda: list(store.list("")),
        lambda: store.delete_below("a"),
        lambda: store.put_file(tmp_path / "file", "a", move=True),
        lambda: store.get_file("a", tmp_path / "target"),
    ):
        with pytest.raises(StorageFailed, match=r"s3://bucket/prefix: the server does not answer; .*\.$"):
            use()
    assert (tmp_path / "file").exists()
    assert not (tmp_path / "target").exists()


def test_its_url_is_normal_and_its_prefix_is_checked() -> None:
    assert open_store("s3://bucket/a/b/").url == "s3://bucket/a/b"
    assert open_store("s3://bucket").url == "s3://bucket"
    for url in ("s3:///prefix", "s3://bucket/a/../b", "s3://bucket/a//b"):
        with pytest.raises(Refused):
            open_store(url)


def test_after_a_fork_it_refuses_instead_of_hanging(nobody_listens: None) -> None:
    store = S3Store("s3://bucket", retries=0)
    with pytest.raises(StorageFailed, match="does not answer"):
        store.get("a")
    child = os.fork()
    if child == 0:
        try:
            store.get("a")
        except StorageFailed as error:
            os._exit(0 if "forked" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
