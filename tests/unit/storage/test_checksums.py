"""Digests say what files and folders hold; fingerprints notice change without reading."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage import FileDigest, FolderDigest, digest_file, digest_folder, digest_many, fingerprint

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=5_000))
def test_a_file_is_digested_as_sha256sum_does(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    expected = FileDigest(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    assert digest_file(tmp_path / "file") == expected


def test_a_file_of_several_buffers_and_an_empty_one(tmp_path: Path) -> None:
    data = os.urandom((3 << 20) + 17)
    (tmp_path / "large").write_bytes(data)
    (tmp_path / "empty").touch()
    assert digest_file(tmp_path / "large").sha256 == hashlib.sha256(data).hexdigest()
    assert digest_file(tmp_path / "empty") == FileDigest(sha256=EMPTY, size_bytes=0)


def _folder(path: Path) -> Path:
    (path / "b" / "deep").mkdir(parents=True)
    (path / "a.txt").write_bytes(b"1")
    (path / "b" / "deep" / "größe 100%.npy").write_bytes(b"22")
    (path / "b.txt").write_bytes(b"")
    return path


def test_a_folder_is_digested_by_one_line_per_file(tmp_path: Path) -> None:
    found = digest_folder(_folder(tmp_path / "folder"))
    one, two = (hashlib.sha256(data).hexdigest() for data in (b"1", b"22"))
    lines = f'{one} 1 "a.txt"\n{EMPTY} 0 "b.txt"\n{two} 2 "b/deep/gr\\u00f6\\u00dfe 100%.npy"\n'
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert found.size_bytes == 3
    assert found.files == (("a.txt", one, 1), ("b.txt", EMPTY, 0), ("b/deep/größe 100%.npy", two, 2))


def test_two_folders_with_the_same_files_have_the_same_digest(tmp_path: Path) -> None:
    assert digest_folder(_folder(tmp_path / "x")) == digest_folder(_folder(tmp_path / "y"))


def test_every_change_inside_changes_the_folders_digest(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "folder")
    seen = {digest_folder(folder).sha256}
    (folder / "a.txt").write_bytes(b"2")
    seen.add(digest_folder(folder).sha256)
    (folder / "a.txt").rename(folder / "c.txt")
    seen.add(digest_folder(folder).sha256)
    (folder / "c.txt").rename(folder / "b" / "c.txt")
    seen.add(digest_folder(folder).sha256)
    (folder / "line\nbreak").write_bytes(b"")
    seen.add(digest_folder(folder).sha256)
    (folder / "b.txt").unlink()
    seen.add(digest_folder(folder).sha256)
    assert len(seen) == 6


def test_an_empty_folder_has_the_digest_of_nothing(tmp_path: Path) -> None:
    assert digest_folder(tmp_path) == FolderDigest(sha256=EMPTY, size_bytes=0, files=())


def test_links_and_fifos_inside_a_folder_are_refused(tmp_path: Path) -> None:
    for name, make in (("link", lambda path: path.symlink_to("/etc")), ("fifo", os.mkfifo)):
        folder = _folder(tmp_path / name)
        make(folder / "b" / "odd")
        with pytest.raises(Refused, match=r"odd is a link or a device"):
            digest_folder(folder)
        with pytest.raises(Refused):
            fingerprint(folder)


def test_devices_fifos_and_folders_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(Refused):
            digest_file(path)
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="a folder was expected"):
        digest_folder(tmp_path / "file")


def test_what_is_missing_is_not_found(tmp_path: Path) -> None:
    for use in (digest_file, digest_folder, fingerprint, lambda path: digest_many([tmp_path, path])):
        with pytest.raises(NotFound, match="missing does not exist"):
            use(tmp_path / "missing")


def test_what_can_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for use in (digest_file, fingerprint):
        with pytest.raises((StorageFailed, Refused), match=r"loop.*\.$"):
            use(tmp_path / "loop")


def test_many_are_digested_in_the_order_given(tmp_path: Path) -> None:
    paths = [_folder(tmp_path / "folder")]
    for number in range(5):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(os.urandom(number * 1_000_000))
    found = digest_many([*paths, paths[1]])
    assert found[0] == digest_folder(paths[0])
    assert found[1:] == [digest_file(path) for path in [*paths[1:], paths[1]]]
    assert digest_many([]) == []


def test_a_fingerprint_changes_when_the_file_does(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    status = file.stat()
    first = fingerprint(file)
    assert first == f"{status.st_dev}:{status.st_ino}:1:{status.st_mtime_ns}"
    os.utime(file, ns=(0, status.st_mtime_ns + 1))
    assert fingerprint(file) != first
    os.utime(file, ns=(0, status.st_mtime_ns))
    assert fingerprint(file) == first
    file.write_bytes(b"12")
    os.utime(file, ns=(0, status.st_mtime_ns))
    assert fingerprint(file) != first


def test_a_folders_fingerprint_sees_every_file_and_name(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "folder")
    seen = {fingerprint(folder)}
    (folder / "a.txt").rename(folder / "c.txt")
    seen.add(fingerprint(folder))
    (folder / "b" / "deep" / "größe 100%.npy").write_bytes(b"333")
    seen.add(fingerprint(folder))
    assert len(seen) == 3
    assert fingerprint(folder) in seen
