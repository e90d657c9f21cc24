"""What only the store in a folder promises: modes, moves that cost nothing, sweeping, sentences about disks."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage import copying, keys, open_store
from neurocaas.storage.files import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def _everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_opening_and_looking_create_nothing(store: FileStore) -> None:
    assert list(open_store(store.url).list("")) == []
    assert store.head("a") is None
    store.delete_below("a")
    assert not store.root.exists()


def test_others_may_not_enter_but_a_sandbox_may_read_what_is_mounted(store: FileStore, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        store.put("a/b/one", b"")
        store.create("a/b/two", b"")
        secret = tmp_path / "mine"
        secret.write_bytes(b"")
        secret.chmod(0o4700)
        store.put_file(secret, "a/b/three")
        store.put_file(secret, "a/c/four", move=True)
    finally:
        os.umask(before)
    assert store.root.stat().st_mode & 0o7777 == 0o700
    assert (store.root / "a" / "b").stat().st_mode & 0o7777 == 0o755
    assert (store.root / "a" / "c").stat().st_mode & 0o7777 == 0o755
    for name in ("a/b/one", "a/b/two", "a/b/three", "a/c/four"):
        assert (store.root / name).stat().st_mode & 0o7777 == 0o644
        assert (store.root / name).stat().st_uid == os.geteuid()


def test_nothing_half_written_stays_after_success_or_failure(store: FileStore, tmp_path: Path) -> None:
    store.put("a", b"1")
    store.create("b", b"1")
    store.create("b", b"2")
    with pytest.raises(StorageFailed):
        store.put("a/below", b"")
    store.get_file("a", tmp_path / "fetched")
    assert _everything(store.root) == ["a", "b"]


def test_moving_renames_the_file_instead_of_copying(store: FileStore, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(10 << 30)  # 10 GiB of nothing: a copy would take seconds
    inode = large.stat().st_ino
    start = time.process_time()
    store.put_file(large, "a/b/large", move=True)
    assert time.process_time() - start < 0.1
    assert (store.root / "a/b/large").stat().st_ino == inode


def test_a_file_of_another_disk_is_copied_and_then_gone(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, os.strerror(18))  # EXDEV, as rename(2) says it between two disks

    source = tmp_path / "source"
    source.write_bytes(b"data")
    monkeypatch.setattr(Path, "rename", refuse)
    store.put_file(source, "a", move=True)
    assert not source.exists()
    assert store.get("a") == b"data"


@pytest.mark.parametrize("refused", ["none", "reflink", "reflink and copy_file_range"])
def test_contents_are_copied_by_whatever_the_kernel_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(95, os.strerror(95))  # EOPNOTSUPP

    if "reflink" in refused:
        monkeypatch.setattr(copying.fcntl, "ioctl", refuse)
    if "copy_file_range" in refused:
        monkeypatch.setattr(copying.os, "copy_file_range", refuse)
    data = os.urandom(3_000_001)
    (tmp_path / "source").write_bytes(data)
    with (tmp_path / "source").open("rb", 0) as source, (tmp_path / "target").open("xb", 0) as target:
        copying.copy_contents(source.fileno(), target.fileno())
    assert (tmp_path / "target").read_bytes() == data


FILL = """
import sys
from pathlib import Path
from neurocaas.errors import StorageFailed
from neurocaas.storage.files import FileStore
store = FileStore(Path(sys.argv[1]) / "store")
store.put("kept", b"before")
big = Path(sys.argv[2])
for write in (lambda: store.put("kept", bytes(3 << 20)), lambda: store.create("new", bytes(3 << 20)),
              lambda: store.put_file(big, "new"), lambda: store.put_file(big, "new", move=True)):
    try:
        write()
    except StorageFailed as error:
        print(error)
left = list((store.root / ".incoming").iterdir())
print([entry.key for entry in store.list("")], store.get("kept"), big.exists(), left)
"""


def test_a_full_disk_is_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    disk, big = tmp_path / "disk", tmp_path / "big"
    disk.mkdir()
    big.write_bytes(bytes(3 << 20))
    # A real disk of 1 MiB, seen by this one process only; an ordinary user gets it in a user namespace.
    apart = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    mounted = 'mount -t tmpfs -o size=1m,mode=700 disk "$1" && exec "$2" -c "$3" "$1" "$4"'
    command = [*apart, "sh", "-c", mounted, "sh", str(disk), sys.executable, FILL, str(big)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 5
    for line, action in zip(lines, ["write kept", "create new", "store", "store"], strict=False):
        assert line.startswith(f"Could not {action}")
        assert line.endswith("the disk is full; make room there.")
    assert lines[4] == "['kept'] b'before' True []"


def test_a_limit_on_file_sizes_is_a_sentence_and_changes_nothing(store: FileStore) -> None:
    store.put("a", b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(StorageFailed, match="larger than this process may write"):
            store.put("a", bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.get("a") == b"before"
    assert _everything(store.root) == ["a"]


LOCKED = """
import os, sys
from pathlib import Path
from neurocaas.errors import StorageFailed
from neurocaas.storage.files import FileStore
store = FileStore(Path(sys.argv[1]))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
for use in (lambda: store.put("a", b""), lambda: store.get("kept"), lambda: list(store.list("")),
            lambda: store.head("kept"), lambda: store.delete("kept")):
    try:
        use()
        print("allowed")
    except StorageFailed as error:
        print(error)
"""


def test_a_missing_permission_is_a_sentence(store: FileStore) -> None:
    store.put("kept", b"")
    store.root.chmod(0 if os.geteuid() else 0o700)
    try:
        command = [sys.executable, "-c", LOCKED, str(store.root)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    finally:
        store.root.chmod(0o700)
    assert len(lines) == 5
    assert all("permission is missing" in line and line.endswith(".") for line in lines), lines


def test_a_key_below_an_object_is_refused_with_a_sentence(store: FileStore) -> None:
    store.put("a/b", b"")
    with pytest.raises(StorageFailed, match="a part of the key is an object itself"):
        store.put("a/b/c", b"")
    with pytest.raises(StorageFailed, match="there are objects below this key"):
        store.put("a", b"")
    assert store.create("a", b"") is False


def test_what_killed_writers_left_is_swept_after_a_day(store: FileStore) -> None:
    store.put("a", b"")
    old, young = store.root / ".incoming" / "old.part", store.root / ".incoming" / "young.part"
    doomed = store.root / ".incoming" / "old.deleted"
    doomed.mkdir()
    for path in (old, young, doomed / "file"):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    os.utime(doomed, (0, 0))
    assert [entry.key for entry in store.list("")] == ["a"]
    open_store(store.url)
    assert _everything(store.root) == [".incoming/young.part", "a"]


def test_links_in_the_store_are_not_followed(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    store.put("a", b"")
    (store.root / "link").symlink_to(tmp_path / "secret")
    assert store.head("link") is None
    assert [entry.key for entry in store.list("")] == ["a"]
    with pytest.raises(NotFound):
        store.get("link")


def test_a_link_that_a_network_disk_reports_as_failed_still_counts(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_link = os.link

    def link_and_deny(source: Path, target: Path) -> None:
        really_link(source, target)
        raise FileExistsError(17, os.strerror(17))

    monkeypatch.setattr(os, "link", link_and_deny)
    assert store.create("a", b"mine") is True


def test_it_works_on_both_sides_of_a_fork(store: FileStore) -> None:
    store.put("parent", b"1")
    child = os.fork()
    if child == 0:
        store.put("child", b"2")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get("child") == b"2"


def test_a_relative_folder_is_refused() -> None:
    with pytest.raises(Refused, match="absolute"):
        FileStore(Path("store"))


def test_obstore_is_not_loaded_for_a_store_on_this_machine(store: FileStore) -> None:
    script = "import sys; from neurocaas.storage import open_store; open_store(sys.argv[1]).put('a', b''); "
    script += "sys.exit(any(name in sys.modules for name in ('obstore', 'django', 'boto3')))"
    subprocess.run([sys.executable, "-c", script, store.url], check=True)
    assert store.local_path(keys.relative("a")) == store.root / "a"


def test_what_is_being_received_is_no_object_and_survives_a_sweep(store: FileStore) -> None:
    assert store.being_received() == ()
    folder = store.receiving("u1")
    (folder / "0").write_bytes(b"half")
    os.utime(folder / "0", (0, 0))
    store.sweep()
    assert store.being_received() == ("u1",)
    assert list(store.list("")) == []
    for name in ("../u1", "", ".."):
        with pytest.raises(Refused):
            store.receiving(name)
    with pytest.raises(Refused, match="belongs to the store itself"):
        store.get(".receiving/u1/0")
