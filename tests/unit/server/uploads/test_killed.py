"""A server that is killed in the middle, at whatever moment; and a disk that is full."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.errors import NeurocaasError
from support.sites import until

if TYPE_CHECKING:
    from support.uploads import Lab, ServerProcess

SIZE = 48 << 20


@pytest.fixture
def server(sqlite_database: str, sqlite_lab: Lab) -> Iterator[ServerProcess]:
    from support.uploads import ServerProcess

    server = ServerProcess(database_url=sqlite_database, store_url=sqlite_lab.store.url)
    server.start()
    yield server
    server.end()


@pytest.mark.thorough
def test_an_upload_goes_on_after_its_server_was_killed_three_times(server: ServerProcess, sqlite_lab: Lab) -> None:
    content = os.urandom(SIZE)
    upload = sqlite_lab.begin("a.bin", SIZE)
    url = sqlite_lab.describe(upload)["files"][0]["tus_url"]
    path = sqlite_lab.desk.partial(upload.files.get())
    offset = 0
    for third in (1, 2, 3):
        target = third * SIZE // 4
        with server.client.half_open(url, offset, content[offset:target], SIZE - offset):
            until(lambda target=target: path.exists() and path.stat().st_size >= target - (2 << 20))
            server.kill()
        server.start()
        offset = server.client("HEAD", url).offset
        assert 0 < offset <= target
    assert server.client.patch(url, offset, content[offset:]).offset == SIZE
    server.kill()  # with the check that it began
    item = sqlite_lab.finished(upload)
    assert item.content.sha256 == hashlib.sha256(content).hexdigest()
    assert sqlite_lab.stored() == [item.content.key]
    assert not path.parent.exists()


def test_a_last_byte_of_which_no_note_was_kept_is_found(sqlite_lab: Lab) -> None:
    from support.uploads import served

    upload = sqlite_lab.begin("a.bin", 3)
    sqlite_lab.desk.partial(upload.files.get()).write_bytes(b"abc")
    with served(sqlite_lab) as client:
        assert client("HEAD", sqlite_lab.describe(upload)["files"][0]["tus_url"]).offset == 3
    assert upload.files.get().done
    assert sqlite_lab.finished(upload).content.size_bytes == 3


class _Killed(BaseException):
    """What a kill looks like from inside: nothing after it runs."""


@pytest.mark.parametrize("line", range(8))
def test_completing_may_die_anywhere_and_be_done_again(
    sqlite_lab: Lab, monkeypatch: pytest.MonkeyPatch, line: int
) -> None:
    """Dies at the n-th step that leaves a trace, in the store or the database; fewer steps than that is fine too."""
    from django.db.models import QuerySet

    from neurocaas.server.uploads.completing import finish

    upload = sqlite_lab.begin("folder", 3, 0, 4, paths=["a", "b/c", "d"])
    for row in upload.files.filter(done=False):
        sqlite_lab.desk.partial(row).write_bytes(b"x" * row.size_bytes)
    left = line

    def dying(action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise _Killed
            return action(*arguments, **named)

        return act

    with monkeypatch.context() as patch, contextlib.suppress(_Killed):
        for owner, name in [
            (type(sqlite_lab.store), "put_file"),
            (type(sqlite_lab.store), "put"),
            (QuerySet, "update"),
        ]:
            patch.setattr(owner, name, dying(getattr(owner, name)))
        finish(sqlite_lab.desk, upload.id)
    item = sqlite_lab.finished(upload)
    assert [path for path, _, _ in item.content.parts] == ["a", "b/c", "d"]
    assert sqlite_lab.stored() == [f"{item.content.key}/{path}" for path in ("a", "b/c", "d")]
    sqlite_lab.sweep()
    assert len(sqlite_lab.stored()) == 3


FULL = """
import sys
from pathlib import Path
import django
from django.conf import settings
from django.core.management import call_command
from neurocaas.server.database import configuration
settings.configure(**configuration(sys.argv[1]))
django.setup()
call_command("migrate", verbosity=0)
sys.path.insert(0, sys.argv[3])
from support.uploads import file_lab, served
lab = file_lab(Path(sys.argv[2]))
content = bytes(range(256)) * 12_000
upload = lab.begin("a.bin", len(content))
url = lab.describe(upload)["files"][0]["tus_url"]
ballast = Path(sys.argv[2]) / "ballast"
ballast.write_bytes(bytes(2 << 20))
with served(lab) as client:
    answer = client.patch(url, 0, content)
    print(answer.status, answer.body.decode())
    offset = client("HEAD", url).offset
    print(0 <= offset < len(content), offset == answer.offset)
    ballast.unlink()
    print(client.patch(url, offset, content[offset:]).status)
import hashlib
print(lab.finished(upload).content.sha256 == hashlib.sha256(content).hexdigest())
"""


@pytest.mark.thorough
def test_a_full_disk_is_told_and_the_upload_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    # A real disk of 4 MiB, seen by this one process only; an ordinary user gets it in a user namespace.
    apart = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    mounted = 'mount -t tmpfs -o size=4m,mode=700 disk "$1" && exec "$2" -c "$3" "$4" "$1" "$5"'
    database = f"sqlite:///{tmp_path / 'full.sqlite3'}"
    tests = str(Path(__file__).parents[3])
    command = [*apart, "sh", "-c", mounted, "sh", str(disk), sys.executable, FULL, database, tests]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].startswith("507 ")
    assert "The upload can't be written: the disk is full; make room there. It can go on from byte" in lines[0]
    assert lines[1:] == ["True True", "204", "True"]


def test_a_sender_that_says_another_digest_is_told(sqlite_lab: Lab) -> None:
    upload = sqlite_lab.begin("a.bin", 3, digests=["0" * 64])
    sqlite_lab.desk.partial(upload.files.get()).write_bytes(b"abc")
    with pytest.raises(NeurocaasError, match=r"a\.bin: its SHA-256 is ba7816bf8f01… here and 000000000000…"):
        sqlite_lab.complete(upload)
    upload.refresh_from_db()
    assert upload.state == "failed"
    assert not sqlite_lab.stored()
    with pytest.raises(NeurocaasError, match="upload it again"):
        sqlite_lab.complete(upload)


@pytest.mark.parametrize("checked", [False, True])
def test_a_digest_that_comes_with_the_last_request_counts_too(sqlite_lab: Lab, checked: bool) -> None:
    from neurocaas.server.uploads.completing import complete

    def completed(name: str, sha256: str) -> object:
        upload = sqlite_lab.begin(name, 3)
        sqlite_lab.desk.partial(upload.files.get()).write_bytes(b"abc")
        if checked:
            sqlite_lab.finished(upload)
        return complete(sqlite_lab.desk, "lab", str(upload.id), {name: sha256}).item

    assert completed("right.bin", hashlib.sha256(b"abc").hexdigest()) is not None
    with pytest.raises(NeurocaasError, match=r"wrong\.bin: its SHA-256 is ba7816bf8f01… here and 000000000000…"):
        completed("wrong.bin", "0" * 64)
