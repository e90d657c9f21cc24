"""What every store promises; file:// and s3:// pass the same tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage import Store, keys, open_store

AWKWARD = [
    "plain.txt",
    "with space",
    " leading and trailing ",
    "100% of a name",
    "%2e%2e%2f",
    "a+b&c=d;e?f#g~h",
    "<x> & 'y' \"z\"",
    "back\\slash",
    "[1]{2}*^`|",
    "Größe-größer",
    "データ.tif",
    "🐭",
    "...",
    ".hidden",
    "-rf",
    "x" * 200,
]


def test_what_was_put_is_got_back(store: Store) -> None:
    store.put("a/b/c", b"\x00\xffdata")
    assert store.get("a/b/c") == b"\x00\xffdata"
    entry = store.head("a/b/c")
    assert entry is not None
    assert (entry.key, entry.size_bytes) == ("a/b/c", 6)


def test_putting_again_replaces(store: Store) -> None:
    store.put("a", b"first, and longer")
    store.put("a", b"second")
    assert store.get("a") == b"second"


def test_an_object_may_be_empty(store: Store) -> None:
    store.put("empty", b"")
    entry = store.head("empty")
    assert store.get("empty") == b""
    assert entry is not None
    assert entry.size_bytes == 0
    assert [entry.size_bytes for entry in store.list("")] == [0]


def test_what_is_not_there_is_not_found(store: Store, tmp_path: Path) -> None:
    store.put("a/b", b"")
    for missing in ("nothing", "a", "a/b/c", "a/c"):
        assert store.head(missing) is None
        with pytest.raises(NotFound, match=missing):
            store.get(missing)
        with pytest.raises(NotFound, match=missing):
            store.get_file(missing, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_creating_succeeds_once(store: Store) -> None:
    assert store.create("lease", b"mine") is True
    assert store.create("lease", b"yours") is False
    assert store.get("lease") == b"mine"


def test_of_eight_that_create_at_once_exactly_one_wins(store: Store) -> None:
    for turn in range(5):
        start = Barrier(8)

        def create(number: int, turn: int = turn, start: Barrier = start) -> bool:
            start.wait()
            return store.create(f"turns/{turn}/lease", str(number).encode())

        with ThreadPoolExecutor(8) as threads:
            won = list(threads.map(create, range(8)))
        assert won.count(True) == 1
        assert store.get(f"turns/{turn}/lease") == str(won.index(True)).encode()


def test_a_created_object_can_be_replaced_deleted_and_created_again(store: Store) -> None:
    store.create("a", b"1")
    store.put("a", b"2")
    store.delete("a")
    assert store.create("a", b"3") is True


def test_the_list_is_everything_below_in_the_order_of_keys(store: Store) -> None:
    names = ["b", "a/x", "a/x!", "a!", "a.txt", "a/x0/y", "a/x/deep/er", "ab/c", "a/x-", "ä/1"]
    written = [name for name in names if name != "a/x"]
    for name in written:
        store.put(name, name.encode())
    assert [entry.key for entry in store.list("")] == sorted(written)
    below = list(store.list("a"))
    assert [entry.key for entry in below] == sorted(name for name in written if name.startswith("a/"))
    assert all(entry.size_bytes == len(entry.key.encode()) for entry in below)
    assert list(store.list("a/x!")) == []
    assert list(store.list("nothing/here")) == []


def test_an_empty_store_lists_nothing(store: Store) -> None:
    assert list(store.list("")) == []
    assert store.head("a") is None
    store.delete("a")
    store.delete_below("a")


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_are_kept_as_they_are(store: Store, name: str, tmp_path: Path) -> None:
    key = keys.result(keys.attempt("lab", "job", 0, 1), f"{name}/{name}")
    store.put(key, name.encode())
    assert store.get(key) == name.encode()
    assert [entry.key for entry in store.list(keys.attempt("lab", "job", 0, 1))] == [key]
    store.get_file(key, tmp_path / "fetched" / name)
    assert (tmp_path / "fetched" / name).read_bytes() == name.encode()
    store.delete_below(keys.job("lab", "job"))
    assert list(store.list("")) == []


def test_deleting_twice_is_harmless(store: Store) -> None:
    store.put("a/b", b"")
    store.put("a/c", b"")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("a")
    assert [entry.key for entry in store.list("")] == ["a/c"]


def test_deleting_below_a_prefix_spares_what_only_begins_alike(store: Store) -> None:
    for key in ("a/b/1", "a/b/c/2", "a/bc", "ab"):
        store.put(key, b"x")
    store.delete_below("a/b")
    store.delete_below("a/b")
    assert [entry.key for entry in store.list("")] == ["a/bc", "ab"]
    store.put("a/b/1", b"again")
    assert store.get("a/b/1") == b"again"


def test_the_whole_store_is_not_deleted_at_once(store: Store) -> None:
    store.put("a", b"x")
    with pytest.raises(Refused):
        store.delete_below("")
    assert store.get("a") == b"x"


BAD_KEYS = ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/./b", "a\0b", "a\nb", "a\x7fb", "\udcff"]
BAD_KEYS += ["x" * 201, "/".join(["x" * 200] * 6), "u\u0308", ".incoming", ".incoming/a", "a/\u2028"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_was_not_built_here_is_refused_with_a_sentence(store: Store, key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for use in (
        lambda: store.put(key, b""),
        lambda: store.create(key, b""),
        lambda: store.get(key),
        lambda: store.head(key),
        lambda: store.delete(key),
        lambda: store.delete_below(key),
        lambda: store.put_file(file, key, move=True),
        lambda: store.get_file(key, tmp_path / "target"),
        lambda: store.local_path(key),
    ):
        with pytest.raises(Refused, match=r"\.$"):
            use()
    assert file.read_bytes() == b"x"
    assert list(store.list("")) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=60) | st.sampled_from(["..", "../..", "/etc/passwd", "a/../../b", "..\\..", "%2e%2e/"]))
def test_no_name_of_a_user_leaves_its_prefix(store: Store, name: str) -> None:
    prefix = keys.attempt("lab", "job", 0, 1)
    try:
        key = keys.result(prefix, name)
    except Refused:
        return
    store.put(key, b"x")
    try:
        assert [entry.key for entry in store.list(keys.results(prefix))] == [key]
        assert [entry.key for entry in store.list("")] == [key]
    finally:
        store.delete(key)


@pytest.mark.parametrize("size_bytes", [0, 1, 40 << 20])
def test_a_file_comes_back_byte_for_byte(store: Store, tmp_path: Path, size_bytes: int) -> None:
    source, target = tmp_path / "source", tmp_path / "new folder" / "target"
    source.write_bytes(os.urandom(size_bytes))
    store.put_file(source, "files/one")
    entry = store.head("files/one")
    assert entry is not None
    assert entry.size_bytes == size_bytes
    store.get_file("files/one", target)
    assert source.read_bytes() == target.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_stored_file_does_not_change_with_its_source(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"before")
    store.put_file(source, "a")
    source.write_bytes(b"after!")
    store.get_file("a", target)
    target.write_bytes(b"mine")
    assert store.get("a") == b"before"


def test_a_moved_file_is_gone_from_where_it_was(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for content in (b"first", b"second"):
        source.write_bytes(content)
        store.put_file(source, "deep/er/a", move=True)
        assert not source.exists()
        assert store.get("deep/er/a") == content


def test_links_folders_devices_and_missing_files_are_not_stored(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "link", tmp_path, tmp_path / "fifo", Path("/dev/null")):
        for move in (False, True):
            with pytest.raises(Refused, match="only regular files"):
                store.put_file(path, "a", move=move)
    with pytest.raises(NotFound, match="does not exist"):
        store.put_file(tmp_path / "missing", "a")
    assert store.head("a") is None


class TestWithoutRoom:
    """The disk takes no more in the middle of an object."""

    @pytest.fixture
    def stored(self, store: Store) -> Store:
        store.put("a", b"x" * (3 << 20))
        return store

    def test_fetching_says_so_and_leaves_nothing_behind(
        self, stored: Store, tmp_path: Path, only_small_files: None
    ) -> None:
        folder = tmp_path / "fetched"
        with pytest.raises(StorageFailed, match=r"Could not fetch a to .*larger than this process may write.*\.$"):
            stored.get_file("a", folder / "target")
        assert list(folder.iterdir()) == []

    def test_an_older_file_stays_as_it_was(self, stored: Store, tmp_path: Path, only_small_files: None) -> None:
        (tmp_path / "target").write_bytes(b"old")
        with pytest.raises(StorageFailed):
            stored.get_file("a", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"old"


def test_its_url_opens_the_same_store_in_another_process(store: Store) -> None:
    store.put("a b", b"seen")
    script = "import sys; from neurocaas.storage import open_store; print(open_store(sys.argv[1]).get('a b').decode())"
    answer = subprocess.run([sys.executable, "-c", script, store.url], capture_output=True, text=True, check=True)
    assert answer.stdout == "seen\n"
    assert open_store(store.url).url == store.url


WRITER = """
import sys
from pathlib import Path
from neurocaas.storage import open_store
store, source, turn = open_store(sys.argv[1]), Path(sys.argv[2]), 0
while True:
    byte = bytes([65 + turn % 26])
    store.put("small", byte * 4_000_000)
    source.write_bytes(byte * 40_000_000)
    store.put_file(source, "large", move=turn % 2 == 0)
    print(turn, flush=True)
    turn += 1
"""


def test_a_writer_killed_at_any_moment_leaves_whole_objects(store: Store, tmp_path: Path) -> None:
    for turn in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, store.url, str(tmp_path / "source")], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.013 * turn)  # another moment of the loop each time
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for key, size_bytes in (("small", 4_000_000), ("large", 40_000_000)):
            data = store.get(key)
            assert data == data[:1] * size_bytes
        assert [entry.key for entry in store.list("")] == ["large", "small"]


def test_only_a_store_on_this_machine_has_paths(store: Store) -> None:
    store.put("a/b", b"here")
    path = store.local_path("a/b")
    if store.url.startswith("file://"):
        assert path is not None
        assert path.read_bytes() == b"here"
    else:
        assert path is None


@pytest.mark.parametrize("url", ["", "s3://", "file://relative", "/a/path", "ftp://host/x", "file:", "S3://bucket"])
def test_an_address_of_no_store_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="is not the address of a store"):
        open_store(url)
