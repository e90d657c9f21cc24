"""Every place that drop-boxes can be in passes the same tests, whatever its writers call their files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage.drops import Drops, open_drops
from support.s3 import BUCKET


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of place, and how a stranger writes into it."""

    drops: Drops
    write: Callable[[str, bytes], object]


@pytest.fixture(params=["file", "s3"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "file":
        root = tmp_path / "a box"

        def write(key: str, data: bytes) -> None:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(data)

        return Kind(drops=open_drops(root.as_uri()), write=write)
    client = _client(request)
    prefix = f"boxes/{uuid.uuid4().hex}"
    return Kind(
        drops=open_drops(f"s3://{BUCKET}/{prefix}"),
        write=lambda key, data: client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=data),
    )


def _client(request: pytest.FixtureRequest) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=request.getfixturevalue("s3_endpoint"), region_name="us-east-1")


def test_what_was_written_is_listed_with_its_size_and_read(kind: Kind, tmp_path: Path) -> None:
    for key in ("G/inputs/b.txt", "G/inputs/a.txt", "G/inputs/F/c d é.txt", "G/logs/x", "H/inputs/100%.txt"):
        kind.write(key, key.encode())
    assert kind.drops.folders() == ["G", "H"]
    listed = {one.key: one.size_bytes for one in kind.drops.listed("G/inputs/")}
    assert listed == {"G/inputs/a.txt": 14, "G/inputs/b.txt": 14, "G/inputs/F/c d é.txt": 21}
    assert kind.drops.read("G/inputs/F/c d é.txt", 0, 100) == "G/inputs/F/c d é.txt".encode()
    assert kind.drops.read("G/inputs/a.txt", 2, 8) == b"inputs"
    kind.write("G/inputs/empty", b"")
    assert kind.drops.read("G/inputs/empty", 0, 99) == b""
    kind.drops.fetch("G/inputs/a.txt", tmp_path / "new" / "here")
    assert (tmp_path / "new" / "here").read_bytes() == b"G/inputs/a.txt"


def test_nothing_is_nothing(kind: Kind, tmp_path: Path) -> None:
    assert kind.drops.folders() == []
    assert list(kind.drops.listed("G/")) == []
    assert kind.drops.find("G/a") is None
    kind.write("G/a/b", b"x")
    assert kind.drops.find("G/a") is None
    for key in ("G/a", "G/c", "G/a/b/c"):
        with pytest.raises(NotFound):
            kind.drops.read(key, 0, 1)
        with pytest.raises(NotFound):
            kind.drops.fetch(key, tmp_path / "file")


def test_a_mark_changes_with_the_content(kind: Kind) -> None:
    kind.write("G/a", b"1")
    first = kind.drops.find("G/a")
    assert first is not None
    assert [first] == list(kind.drops.listed("G/"))
    kind.write("G/a", b"22")
    second = kind.drops.find("G/a")
    assert second is not None
    assert (second.mark != first.mark, second.size_bytes) == (True, 2)


def test_what_is_put_replaces_what_was_there(kind: Kind, tmp_path: Path) -> None:
    kind.drops.put("G/logs/DATASET_NAME:a.tif_STATUS.txt", b"first, and longer")
    kind.drops.put("G/logs/DATASET_NAME:a.tif_STATUS.txt", b"second")
    assert kind.drops.read("G/logs/DATASET_NAME:a.tif_STATUS.txt", 0, 99) == b"second"
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    kind.drops.put_file(tmp_path / "file", "G/results/a.bin")
    kind.drops.put("G/results/empty", b"")
    found = {one.key: one.size_bytes for one in kind.drops.listed("G/results/")}
    assert found == {"G/results/a.bin": 100_000, "G/results/empty": 0}
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize("key", ["G/../../x", "/x", "G//x", "..", "G/./x", "G/x\0y", ""])
def test_a_key_leads_nowhere_on_a_disk_but_below_the_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "x").write_bytes(b"secret")
    (tmp_path / "box" / "G").mkdir(parents=True)
    drops = open_drops((tmp_path / "box").as_uri())
    assert drops.find(key) is None
    with pytest.raises(NotFound):
        drops.read(key, 0, 9)
    with pytest.raises(Refused):
        drops.put(key, b"mine")
    assert (tmp_path / "x").read_bytes() == b"secret"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["box", "x"]


def test_links_and_devices_on_a_disk_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x").write_bytes(b"secret")
    box = tmp_path / "box"
    (box / "G").mkdir(parents=True)
    (box / "G" / "file").symlink_to(tmp_path / "secret" / "x")
    (box / "G" / "folder").symlink_to(tmp_path / "secret")
    (box / "H").symlink_to(tmp_path / "secret")
    os.mkfifo(box / "G" / "pipe")
    drops = open_drops(box.as_uri())
    assert drops.folders() == ["G"]
    assert list(drops.listed("G/")) == list(drops.listed("G/folder/")) == []
    for key in ("G/file", "G/folder/x", "H/x", "G/pipe"):
        assert drops.find(key) is None, key
    for key in ("G/folder/x", "H/x", "H/new/x"):
        with pytest.raises(StorageFailed):
            drops.put(key, b"mine")
    drops.put("G/file", b"mine")  # in place of the link, not through it
    assert (tmp_path / "secret" / "x").read_bytes() == b"secret"
    assert sorted(one.name for one in (tmp_path / "secret").iterdir()) == ["x"]


@pytest.mark.parametrize(
    "key", ["G//submit.json", "G/inputs/../submit.json", "G/./submit.json", "G/inputs/a\x01submit.json", "G/é́"]
)
def test_no_name_in_a_bucket_hides_the_others(request: pytest.FixtureRequest, key: str) -> None:
    client = _client(request)
    prefix = f"boxes/{uuid.uuid4().hex}"
    for one in (key, "G/inputs/submit.json", "G/inputs/F/"):
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{one}", Body=b"x")
    drops = open_drops(f"s3://{BUCKET}/{prefix}")
    assert {one.key for one in drops.listed("G/")} == {key, "G/inputs/submit.json"}
    assert drops.read(key, 0, 9) == b"x"


def test_a_bucket_that_is_not_there_is_a_fault_of_storage_in_a_sentence(s3_endpoint: str) -> None:
    drops = open_drops("s3://no-such-bucket")
    with pytest.raises(StorageFailed, match=r"Could not list everything in s3://no-such-bucket: .*does not exist\."):
        drops.folders()
    with pytest.raises(StorageFailed):
        list(drops.listed("G/"))


@pytest.mark.parametrize("url", ["", "s3://", "file://relative", "ftp://a/b", "/a/b"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(Refused, match="is not the address of a drop-box"):
        open_drops(url)
