"""Log segments are asked for one after the other, because a list costs twelve times as much in a bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocaas.server.jobs import logs
from neurocaas.storage import Entry, Store, keys, open_store
from neurocaas.storage.files import FileStore

PREFIX = keys.attempt("lab", "job", 0, 1)


def write(store: Store, *numbers: int) -> None:
    for number in numbers:
        segment = {"sequence": number, "text": f"line {number}\n", "progress": number / 10, "message": f"at {number}"}
        store.put(keys.log_segment(PREFIX, number), json.dumps(segment).encode())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was listed."""
    asked: list[str] = []
    list_ = FileStore.list

    def listed(store: FileStore, prefix: str) -> Iterator[Entry]:
        asked.append(prefix)
        return list_(store, prefix)

    monkeypatch.setattr(FileStore, "list", listed)
    return asked


def test_who_knows_a_segment_lists_nothing_to_find_the_newest(store: Store, lists: list[str]) -> None:
    write(store, 1, 2, 3)
    assert logs.latest(store, PREFIX) == logs.Latest(sequence=3, progress=0.3, message="at 3")
    assert lists == [keys.log(PREFIX)]
    assert logs.latest(store, PREFIX, after=3) is None
    write(store, 4, 5)
    assert logs.latest(store, PREFIX, after=3) == logs.Latest(sequence=5, progress=0.5, message="at 5")
    assert lists == [keys.log(PREFIX)]


def test_before_the_first_segment_there_is_none(store: Store) -> None:
    assert logs.latest(store, PREFIX) is None
    assert list(logs.read(store, PREFIX)) == []


def test_a_log_is_read_on_from_where_it_was_read(store: Store, lists: list[str]) -> None:
    write(store, 1, 2)
    assert list(logs.read(store, PREFIX)) == [(1, "line 1\n"), (2, "line 2\n")]
    write(store, 3)
    assert list(logs.read(store, PREFIX, after=2)) == [(3, "line 3\n")]
    assert lists == []
