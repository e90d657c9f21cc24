"""What only the store in a bucket promises; what it shares with others is in tests/contract."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from neurocaas.errors import Refused, StorageFailed
from neurocaas.storage import open_store
from neurocaas.storage.s3 import S3Store


@pytest.fixture
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


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
