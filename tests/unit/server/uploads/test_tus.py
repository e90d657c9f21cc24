"""The tus protocol over a real connection to a real server."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.sites import until

if TYPE_CHECKING:
    from support.uploads import Client, Lab

CONTENT = bytes(range(256)) * 40_000  # 10 MB, more than the batches in memory


@pytest.fixture(params=["direct", "as any server does"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, sqlite_database: str) -> None:
    """By a thread that reads the socket, or through the server's buffers."""
    from neurocaas.server.uploads import direct

    monkeypatch.setattr(direct, "LEAST_BYTES", 0 if request.param == "direct" else 1 << 60)


def _begun(lab: Lab, content: bytes = CONTENT, name: str = "a.npy") -> str:
    url: str = lab.describe(lab.begin(name, len(content)))["files"][0]["tus_url"]
    return url


def _pairs(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def _item(lab: Lab) -> str:
    """The digest of the one item, once its upload is complete."""
    from neurocaas.server.uploads.models import Upload

    return lab.finished(Upload.objects.get()).content.sha256


def test_the_server_says_what_it_can(client: Client) -> None:
    answer = client("OPTIONS", "/uploads/", Tus_Resumable="")
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,termination,checksum,expiration"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256"


@pytest.mark.usefixtures("way")
def test_what_is_sent_is_stored(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab)
    before = client("HEAD", url)
    assert (before.status, before.offset, before.headers["Upload-Length"]) == (200, 0, str(len(CONTENT)))
    assert before.headers["Cache-Control"] == "no-store"
    assert "GMT" in before.headers["Upload-Expires"]
    answer = client.patch(url, 0, CONTENT)
    assert (answer.status, answer.offset) == (204, len(CONTENT))
    assert _item(sqlite_lab) == hashlib.sha256(CONTENT).hexdigest()
    after = client("HEAD", url)
    assert (after.status, after.offset) == (200, len(CONTENT))


def test_a_body_without_a_length_is_taken(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab)
    blocks = [CONTENT[start : start + 70_000] for start in range(0, len(CONTENT), 70_000)]
    kind = "application/offset+octet-stream"
    answer = client("PATCH", url, iter(blocks), Upload_Offset="0", Content_Type=kind)
    assert (answer.status, answer.offset) == (204, len(CONTENT))
    assert _item(sqlite_lab) == hashlib.sha256(CONTENT).hexdigest()


def test_a_client_of_its_own_creates_uploads_and_the_item_comes_by_itself(client: Client, sqlite_lab: Lab) -> None:
    created = client("POST", "/uploads/", Upload_Length="3", Upload_Metadata=_pairs(filename="a b.npy", type="x"))
    assert created.status == 201
    assert client.patch(created.headers["Location"], 0, b"abc").status == 204
    from neurocaas.server.uploads.models import Upload

    item = sqlite_lab.finished(Upload.objects.get())
    assert (item.name, item.content.size_bytes) == ("a b.npy", 3)
    assert sqlite_lab.store.get(item.content.key) == b"abc"


def test_an_empty_file_is_there_at_once(client: Client, sqlite_lab: Lab) -> None:
    created = client("POST", "/uploads", Upload_Length="0", Upload_Metadata=_pairs(filename="empty.txt"))
    assert client("HEAD", created.headers["Location"]).offset == 0
    assert _item(sqlite_lab) == hashlib.sha256(b"").hexdigest()


@pytest.mark.usefixtures("way")
def test_a_cut_connection_keeps_what_came(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab)
    client.cut_off(url, 0, CONTENT[:5_000_001], len(CONTENT))
    offset = client("HEAD", url).offset
    while (answer := client.patch(url, offset, CONTENT[offset:])).status in {409, 423}:
        offset = client("HEAD", url).offset  # the server had not seen yet that the first one was gone
    assert answer.status == 204
    assert _item(sqlite_lab) == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"Upload_Offset": "7"}, 409, "Upload-Offset: found 7; 0 is right."),
        ({"Upload_Offset": "-1"}, 400, "Upload-Offset: found '-1'; a number of bytes is right."),
        ({"Upload_Offset": ""}, 400, "Upload-Offset: found ''; a number of bytes is right."),
        ({"Content_Type": "text/plain"}, 415, "Content-Type: application/offset+octet-stream is right."),
        ({"Tus_Resumable": "0.2.1"}, 412, "Tus-Resumable: 1.0.0 is right."),
        ({"Upload_Checksum": "md5 abcd"}, 422, "Upload-Checksum: found 'md5 abcd'"),
        ({"X_Group": "strangers"}, 404, "There is no upload"),
        ({"X_Group": " "}, 401, "Sign in"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(
    client: Client, sqlite_lab: Lab, headers: dict[str, str], status: int, sentence: str
) -> None:
    url = _begun(sqlite_lab)
    answer = client.patch(url, 0, b"abc", **headers)
    assert answer.status == status
    assert sentence in answer.body.decode()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert client("HEAD", url).offset == 0


def test_more_than_was_announced_is_refused(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab, b"abc")
    assert client.patch(url, 0, b"abcd").status == 413
    kind = "application/offset+octet-stream"
    assert client("PATCH", url, iter([b"ab", b"cd"]), Upload_Offset="0", Content_Type=kind).status == 413
    assert client("HEAD", url).offset == 3
    assert _item(sqlite_lab) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("path", ["/uploads/nothing/0", f"/uploads/{'0' * 32}/0", "/uploads/x", "/uploads/../etc/1"])
def test_what_does_not_exist_is_not_found(client: Client, path: str) -> None:
    assert client("HEAD", path).status == 404
    assert client.patch(path, 0, b"x").status == 404
    assert client("DELETE", path).status == 404


@pytest.mark.usefixtures("way")
def test_a_checksum_that_does_not_fit_takes_back_what_came(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab)
    right, wrong = (f"sha256 {base64.b64encode(hashlib.sha256(one).digest()).decode()}" for one in (b"abc", b"abd"))
    assert client.patch(url, 0, b"abc", Upload_Checksum=wrong).status == 460
    assert client("HEAD", url).offset == 0
    assert client.patch(url, 0, b"abc", Upload_Checksum=right).offset == 3
    assert client("HEAD", url).offset == 3


def test_a_checked_last_part_that_is_wrong_does_not_complete_the_upload(client: Client, sqlite_lab: Lab) -> None:
    from neurocaas.errors import NotNow
    from neurocaas.server.uploads.models import Upload

    url = _begun(sqlite_lab, b"abcdef")
    assert client.patch(url, 0, b"abc").status == 204
    wrong = f"sha256 {base64.b64encode(bytes(32)).decode()}"
    assert client.patch(url, 3, b"xyz", Upload_Checksum=wrong).status == 460
    with pytest.raises(NotNow, match=r"Not everything has arrived yet: a\.npy"):
        sqlite_lab.complete(Upload.objects.get())
    assert client.patch(url, 3, b"def").status == 204
    assert _item(sqlite_lab) == hashlib.sha256(b"abcdef").hexdigest()


def test_a_terminated_upload_is_gone_and_its_bytes_too(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab)
    client.patch(url, 0, b"abc")
    assert client("DELETE", url).status == 204
    assert client("HEAD", url).status == 410
    assert client.patch(url, 3, b"def").status == 410
    hidden = sqlite_lab.desk.folder(UUID(url.split("/")[2])).parent
    assert [path for path in hidden.rglob("*") if path.is_file()] == []


def test_what_has_all_arrived_is_not_terminated(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab, b"abc")
    client.patch(url, 0, b"abc")
    _item(sqlite_lab)
    assert client("DELETE", url).status == 409


@pytest.mark.usefixtures("way")
def test_two_connections_do_not_write_at_once(client: Client, sqlite_lab: Lab) -> None:
    url = _begun(sqlite_lab)
    with client.half_open(url, 0, CONTENT[:100], len(CONTENT)):
        statuses = {client.patch(url, 0, CONTENT).status for _ in range(3)}
        # The first of them may have come before the half-open one was read.
        assert statuses <= {423, 204, 409}
        assert 423 in statuses or 409 in statuses


@pytest.mark.usefixtures("way")
def test_a_silent_connection_loses_its_turn(sqlite_lab: Lab) -> None:
    from support.uploads import served

    with served(sqlite_lab, idle_seconds=0) as client:
        url = _begun(sqlite_lab)
        with client.half_open(url, 0, CONTENT[: 3 << 20], len(CONTENT)):
            until(lambda: client("HEAD", url).offset > 0)
            offset = client("HEAD", url).offset
            while (answer := client.patch(url, offset, CONTENT[offset:])).status == 409:
                offset = answer.offset
            assert answer.status == 204
        assert _item(sqlite_lab) == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/b", "", "nul\0l", "x" * 999, "line\nbreak"])
def test_a_name_that_leads_elsewhere_is_refused(client: Client, name: str) -> None:
    answer = client("POST", "/uploads/", Upload_Length="3", Upload_Metadata=_pairs(filename=name))
    assert answer.status == 422
    assert "stored" in answer.body.decode()


def test_a_quota_is_looked_at_beforehand(client: Client, sqlite_lab: Lab) -> None:
    sqlite_lab.limit_bytes = 3 << 30
    answer = client("POST", "/uploads/", Upload_Length=str(4 << 30), Upload_Metadata=_pairs(filename="a"))
    assert answer.status == 422
    assert "found 4 GiB; at most 3 GiB, which are left of the 3 GiB of lab, are right." in answer.body.decode()


def test_metadata_that_is_none_is_refused(client: Client) -> None:
    assert client("POST", "/uploads/", Upload_Length="3", Upload_Metadata="filename ???").status == 422
    assert client("POST", "/uploads/", Upload_Length="3").status == 422
    assert client("POST", "/uploads/", Upload_Metadata=_pairs(filename="a")).status == 400
    assert client("PUT", "/uploads/").status == 405


@pytest.mark.usefixtures("way")
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 3_000_000),
    steps=st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=6),
)
def test_however_it_is_split_and_cut_off_the_bytes_are_the_same(
    client: Client, sqlite_lab: Lab, size: int, steps: list[tuple[float, bool]]
) -> None:
    """steps: how much of the rest is sent, and whether the connection is cut off in the middle of it."""
    content = os.urandom(size)
    upload = sqlite_lab.begin("a.bin", size)
    url = sqlite_lab.describe(upload)["files"][0]["tus_url"]
    for fraction, cut in [*steps, (1.0, False)]:
        offset = client("HEAD", url).offset
        length = int((size - offset) * fraction)
        if cut:
            client.cut_off(url, offset, content[offset : offset + length // 2], length)
        elif length:
            client.patch(url, offset, content[offset : offset + length])  # 423 while one before is not seen as gone
    while (offset := client("HEAD", url).offset) < size:
        client.patch(url, offset, content[offset:])
    assert sqlite_lab.finished(upload).content.sha256 == hashlib.sha256(content).hexdigest()
