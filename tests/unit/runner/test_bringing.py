"""What an attempt needs is brought to a machine once, and kept there."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from neurocaas.runner.bringing import bring
from neurocaas.runner.document import AttemptDocument
from neurocaas.runner.stopped import Stopped
from neurocaas.storage import Store, open_store

ARCHIVE = "environments/abc.tar.gz"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


def packed(store: Store, key: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("./bin/tool")
        entry.size, entry.mode = 2, 0o755
        tar.addfile(entry, io.BytesIO(b"hi"))
        link = tarfile.TarInfo("./bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, "/python/bin/python3.11"
        tar.addfile(link)
    store.put(key, buffer.getvalue())


def document(tmp_path: Path, **changes: Any) -> AttemptDocument:
    base: dict[str, Any] = {
        "attempt": "job/0/1",
        "token": "t",
        "store": (tmp_path / "store").as_uri(),
        "prefix": "p",
        "work": tmp_path / "work",
        "inputs": (),
        "config": {},
        "seed": 0,
        "workflow": {"files": tmp_path, "command": ("true",)},
        "outputs": (),
        "environment": {
            "digest": "e",
            "mounts": [{"source": "/nowhere/abc/env", "target": "/env", "archive": ARCHIVE}],
        },
        "resources": {"vcpus": 1, "memory_mib": 1, "storage_mib": 1},
        "timeout_seconds": 1,
        "shelf": tmp_path / "shelf",
    }
    return AttemptDocument.model_validate(base | changes)


def test_a_tree_that_is_not_here_is_brought_with_its_links_and_modes(tmp_path: Path, store: Store) -> None:
    packed(store, ARCHIVE)
    tree = bring(document(tmp_path), store).environment.mounts[0].source
    assert tree == tmp_path / "shelf" / "abc"
    assert (tree / "bin" / "tool").read_bytes() == b"hi"
    assert (tree / "bin" / "tool").stat().st_mode & 0o111
    assert (tree / "bin" / "python").readlink() == Path("/python/bin/python3.11")


def test_it_is_brought_once(tmp_path: Path, store: Store) -> None:
    packed(store, ARCHIVE)
    first = bring(document(tmp_path), store).environment.mounts[0].source
    store.delete(ARCHIVE)
    assert bring(document(tmp_path), store).environment.mounts[0].source == first


def test_what_is_here_stays_where_it_is(tmp_path: Path, store: Store) -> None:
    here = {"digest": "e", "mounts": [{"source": str(tmp_path), "target": "/env", "archive": ARCHIVE}]}
    assert bring(document(tmp_path, environment=here), store).environment.mounts[0].source == tmp_path
    assert not (tmp_path / "shelf").exists()


def test_a_damaged_archive_leaves_nothing_and_is_told(tmp_path: Path, store: Store) -> None:
    store.put(ARCHIVE, b"no archive")
    with pytest.raises(Stopped, match=r"could not be unpacked"):
        bring(document(tmp_path), store)
    assert not [one for one in (tmp_path / "shelf").iterdir() if one.is_dir()]


def test_what_is_nowhere_is_told(tmp_path: Path, store: Store) -> None:
    with pytest.raises(Stopped, match=r"A part of the analysis is gone"):
        bring(document(tmp_path), store)
