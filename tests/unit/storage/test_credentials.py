"""Credentials that end, and those that come after them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from neurocaas.storage import keys
from neurocaas.storage.credentials import Connection, Renewed, SessionCredentials, get_headers

KEY = keys.credentials(keys.attempt("lab", "j1", 0, 1))


def credentials(name: str, minutes: float) -> SessionCredentials:
    return SessionCredentials(
        access_key_id=name,
        secret_access_key="hidden",
        session_token="token/+=",
        expires_at=datetime.now(UTC) + timedelta(minutes=minutes),
    )


@contextmanager
def serving(answer: bytes | None) -> Iterator[tuple[Connection, list[str]]]:
    """An endpoint that answers every GET so, or 404 for None."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(answer or b"")

        def log_message(self, *said: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Connection(endpoint=f"http://127.0.0.1:{server.server_port}"), asked
        finally:
            server.shutdown()
            thread.join()


def test_no_text_of_credentials_holds_their_secrets() -> None:
    assert "hidden" not in repr(credentials("A", 60)) + str(credentials("A", 60))
    assert "token/" not in repr(credentials("A", 60))


def test_credentials_that_last_are_not_asked_for_again() -> None:
    with serving(None) as (connection, asked):
        renewed = Renewed(credentials("A", 60), connection, store="s3://bucket/site", key=KEY)
        assert renewed()["access_key_id"] == "A"
        assert asked == []


def test_those_that_end_are_replaced_by_what_the_manager_left() -> None:
    with serving(credentials("B", 60).model_dump_json().encode()) as (connection, asked):
        renewed = Renewed(credentials("A", 4), connection, store="s3://bucket/site", key=KEY)
        assert renewed()["access_key_id"] == "B"
        assert renewed()["access_key_id"] == "B"
        assert asked == [f"/bucket/site/{KEY}"]


@pytest.mark.parametrize("answer", [None, b"", b"[]", b'{"access_key_id": "B"}'])
def test_as_long_as_none_are_there_the_old_ones_are_used_and_nobody_is_asked_too_often(answer: bytes | None) -> None:
    with serving(answer) as (connection, asked):
        renewed = Renewed(credentials("A", 4), connection, store="s3://bucket", key=KEY)
        assert [renewed()["access_key_id"] for _ in range(5)] == ["A"] * 5
        assert len(asked) == 1


def test_older_ones_never_take_the_place_of_newer_ones() -> None:
    with serving(credentials("OLD", 2).model_dump_json().encode()) as (connection, _):
        renewed = Renewed(credentials("A", 4), connection, store="s3://bucket", key=KEY)
        assert renewed()["access_key_id"] == "A"


@pytest.mark.parametrize("key", [KEY, "groups/läb/a b+c~d/credentials.json"])
def test_requests_are_signed_as_botocore_signs_them(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held, now = credentials("AKIA", 60), datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
    address = Connection(region="eu-west-1").address("bucket", key)
    ours = get_headers(address, held, "eu-west-1", now)

    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: now.replace(tzinfo=None), raising=False)
    request = AWSRequest(method="GET", url=address, headers={})
    auth = S3SigV4Auth(Credentials("AKIA", "hidden", "token/+="), "s3", "eu-west-1")
    request.context["timestamp"] = ours["x-amz-date"]
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = ours["x-amz-content-sha256"]
    request.headers["X-Amz-Security-Token"] = "token/+="
    theirs = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)

    assert ours["Authorization"].endswith(f"Signature={theirs}")


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        (Connection(), "https://s3.us-east-1.amazonaws.com/bucket/a%20b/c"),
        (Connection(endpoint="http://127.0.0.1:9000/"), "http://127.0.0.1:9000/bucket/a%20b/c"),
        (
            Connection(endpoint="https://bucket.s3.example.org", virtual_hosted=True),
            "https://bucket.s3.example.org/a%20b/c",
        ),
    ],
)
def test_an_address_is_where_obstore_looks(connection: Connection, address: str) -> None:
    assert connection.address("bucket", "a b/c") == address
