"""Uploads straight to S3, by links, in parts."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.errors import NotFound, NotNow, Refused, StorageFailed
from neurocaas.storage import keys, open_store
from neurocaas.storage.multipart import Multipart, part_bytes, part_count, part_size
from neurocaas.storage.s3 import S3Store

if TYPE_CHECKING:
    from support.uploads import Lab

PART = 16 << 20


@pytest.fixture
def lab(s3_endpoint: str, sqlite_database: str) -> Iterator[Lab]:
    from support.uploads import s3_lab

    lab = s3_lab()
    yield lab
    lab.store.delete_below("groups")


@pytest.fixture
def multipart(s3_endpoint: str) -> Multipart:
    return _multipart(f"s3://contract/parts/{uuid.uuid4().hex}")


def _multipart(url: str) -> Multipart:
    store = open_store(url)
    assert isinstance(store, S3Store)
    return Multipart(store)


def _put(url: str, content: bytes) -> None:
    """As a browser does: with no header of its own."""
    with urllib.request.urlopen(urllib.request.Request(url, data=content, method="PUT", headers={"Content-Type": ""})):
        pass


def _send(lab: Lab, upload: Any, path: str, content: bytes, *numbers: int) -> None:
    from neurocaas.server.uploads import arriving

    for link in arriving.parts(lab.desk, lab.group, str(upload.id), path, numbers):
        start = (link["number"] - 1) * PART
        _put(link["url"], content[start : start + PART])


def test_a_file_goes_to_s3_in_parts_in_any_order_and_goes_on_where_it_stopped(lab: Lab) -> None:
    from neurocaas.server.uploads import arriving, items

    content = os.urandom(1 << 20) * 33
    upload = lab.begin("a b.bin", len(content), digests=[hashlib.sha256(content).hexdigest()])
    described = lab.describe(upload)
    assert described["method"] == "s3"
    assert described["files"] == [
        {"path": "a b.bin", "size_bytes": len(content), "part_bytes": PART, "part_count": 3, "done": False}
    ]
    _send(lab, upload, "a b.bin", content, 3, 1)
    assert arriving.parts_done(lab.desk, lab.group, str(upload.id), "a b.bin") == [1, 3]
    with pytest.raises(NotNow, match=r"1 of 3 parts of a b\.bin"):
        lab.complete(upload)
    _send(lab, upload, "a b.bin", content, 2)
    item = lab.finished(upload)
    assert item.content.sha256 == hashlib.sha256(content).hexdigest()
    assert lab.stored() == [item.content.key]
    assert lab.complete(upload).item_id == item.id
    url = items.download_url(lab.desk, lab.group, str(item.id))
    assert url is not None
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == content
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.bin"
    assert items.local_path(lab.desk, lab.group, str(item.id)) is None


def test_a_folder_with_an_empty_file_and_the_same_again(lab: Lab) -> None:
    files = {"x/ä.txt": b"1", "empty": b"", "y.txt": b"22"}
    items = []
    for name in ("first", "second"):
        upload = lab.begin(name, *map(len, files.values()), paths=list(files))
        for path, content in files.items():
            if content:
                _send(lab, upload, path, content, 1)
        items.append(lab.finished(upload))
    assert items[0].content_id == items[1].content_id
    assert {key.removeprefix(f"{items[0].content.key}/") for key in lab.stored()} == set(files)


def test_a_wrong_digest_fails_and_leaves_nothing(lab: Lab) -> None:
    upload = lab.begin("a.bin", 3, digests=["0" * 64])
    _send(lab, upload, "a.bin", b"abc", 1)
    with pytest.raises(Refused, match="upload it again"):
        lab.complete(upload)
    assert lab.stored() == []


def test_a_part_of_the_wrong_size_is_a_part_that_is_missing(lab: Lab) -> None:
    upload = lab.begin("a.bin", 3)
    _send(lab, upload, "a.bin", b"ab", 1)
    with pytest.raises(NotNow, match=r"Not everything has arrived yet: a\.bin"):
        lab.complete(upload)
    _send(lab, upload, "a.bin", b"abc", 1)
    assert lab.finished(upload).content.size_bytes == 3


def test_completing_goes_on_after_an_answer_of_s3_was_lost(lab: Lab) -> None:
    upload = lab.begin("a.bin", 3)
    _send(lab, upload, "a.bin", b"abc", 1)
    row = upload.files.select_related("upload").get()
    assert lab.desk.multipart is not None
    lab.desk.multipart.complete(row.key, row.multipart, lab.desk.multipart.parts(row.key, row.multipart))
    assert lab.finished(upload).content.size_bytes == 3


def test_what_makes_no_sense_is_refused_with_a_sentence(lab: Lab, sqlite_lab: Lab) -> None:
    from neurocaas.server.uploads import arriving

    upload = lab.begin("a.bin", 3)

    def ask(path: str, *numbers: int) -> None:
        arriving.parts(lab.desk, lab.group, str(upload.id), path, numbers)

    with pytest.raises(Refused, match="numbers: found 2; 1 to 1 is right"):
        ask("a.bin", 2)
    with pytest.raises(Refused, match="found 1001; at most 1000 at once"):
        ask("a.bin", *[1] * 1001)
    with pytest.raises(NotFound, match="has no file b"):
        ask("b", 1)
    _send(lab, upload, "a.bin", b"abc", 1)
    lab.finished(upload)
    with pytest.raises(NotNow, match="is complete; nothing more is sent for it"):
        ask("a.bin", 1)
    other = sqlite_lab.begin("a.bin", 3)
    with pytest.raises(NotNow, match="takes uploads itself"):
        arriving.parts(sqlite_lab.desk, "lab", str(other.id), "a.bin", [1])


def test_a_sweep_aborts_what_nobody_goes_on_with(lab: Lab) -> None:
    upload = lab.begin("a.bin", 3)
    _send(lab, upload, "a.bin", b"abc", 1)
    assert lab.desk.multipart is not None
    lab.desk.multipart.begin(keys.content_file("lab", uuid.uuid4().hex))  # by a process that was killed just then
    lab.store.put(keys.content_file("lab", uuid.uuid4().hex), b"orphan")
    lab.now += timedelta(days=8)
    swept = lab.sweep()
    assert (swept.stale, swept.orphans) == (1, 2)
    assert lab.stored() == []
    assert lab.desk.multipart.abandoned("groups", datetime.now(UTC) + timedelta(days=1), ()) == []


def test_kinds_are_known_by_what_was_read_once(lab: Lab, tmp_path: Any) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a", "1")
    content = (tmp_path / "z.zip").read_bytes()
    for name, sent, whole in [("z.zip", content, True), ("broken.zip", content[:60], False)]:
        upload = lab.begin(name, len(sent))
        _send(lab, upload, name, sent, 1)
        look = lab.finished(upload).content.look
        assert (look.head[:4], look.zip) == (b"PK\x03\x04", whole)


def test_faults_are_sentences(multipart: Multipart) -> None:
    with pytest.raises(NotFound, match="Could not read a in the store s3://contract/parts/"):
        multipart.digest("a")
    with pytest.raises(NotFound):
        multipart.parts("a", "no-such-upload")
    multipart.abort("a", "no-such-upload")
    assert multipart.size_bytes("a") is None
    with pytest.raises(StorageFailed, match="Could not begin a in the store s3://no-such-bucket"):
        _multipart("s3://no-such-bucket/x").begin("a")
    with pytest.raises(Refused):
        multipart.begin("../a")


def test_a_link_is_for_one_part_and_expires(multipart: Multipart) -> None:
    name = multipart.begin("a")
    url = multipart.part_url("a", name, 1, seconds=60)
    assert "X-Amz-Expires=60" in url
    assert "partNumber=1" in url
    assert "checksum" not in url.lower()
    multipart.abort("a", name)
    with pytest.raises(urllib.error.HTTPError):
        _put(url, b"too late")


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 150 << 30, 5 << 40])
def test_parts_are_few_enough_and_make_up_the_whole(size: int) -> None:
    count = part_count(size)
    assert 1 <= count <= 10_000
    assert part_bytes(size) % (1 << 20) == 0
    assert (count - 1) * part_bytes(size) + part_size(size, count) == size
