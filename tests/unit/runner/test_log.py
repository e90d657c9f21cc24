from __future__ import annotations

import json
from pathlib import Path

import pytest

from neurocaas.errors import StorageFailed
from neurocaas.runner.log import Log
from neurocaas.storage import Store, keys, open_store

PREFIX = "groups/lab/jobs/j/stacks/00000/attempts/1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


def make(store: Store, *, head: int = 100, tail: int = 100, segment: int = 10) -> Log:
    return Log(
        store,
        PREFIX,
        status=lambda: {"progress": 0.5, "message": "m", "usage": {}},
        stored=lambda: None,
        head_bytes=head,
        tail_bytes=tail,
        segment_bytes=segment,
    )


def texts(store: Store) -> list[str]:
    return [json.loads(store.get(entry.key))["text"] for entry in store.list(keys.log(PREFIX))]


def test_segments_count_from_one_and_carry_the_status(store: Store) -> None:
    log = make(store)
    log.write(b"hello\n")
    log.flush()
    segment = json.loads(store.get(keys.log_segment(PREFIX, 1)))
    assert segment["sequence"] == 1
    assert (segment["progress"], segment["message"], segment["text"]) == (0.5, "m", "hello\n")
    assert segment["time"].endswith("Z")


def test_a_flush_without_text_is_a_heartbeat(store: Store) -> None:
    log = make(store)
    log.flush()
    log.flush()
    assert texts(store) == ["", ""]
    assert log.segments == 2


def test_the_last_progress_is_told_even_if_no_text_came_with_it(store: Store) -> None:
    status: dict[str, object] = {"progress": 0.0, "message": "reading", "usage": {}}
    log = Log(store, PREFIX, status=lambda: status, stored=lambda: None)
    log.flush()
    status = {"progress": 1.0, "message": "done", "usage": {}}
    log.finish()
    log.finish()
    last = json.loads(store.get(keys.log_segment(PREFIX, 2)))
    assert (log.segments, last["progress"], last["message"]) == (2, 1.0, "done")


def test_a_character_is_never_cut_at_a_segments_border(store: Store) -> None:
    text = "aé漢🧠" * 9
    log = make(store, head=1000)
    for byte in text.encode():
        log.write(bytes([byte]))
        if log.full:
            log.flush()
    log.finish()
    assert "".join(texts(store)) == text
    assert log.dropped_bytes == 0


def test_what_is_no_text_is_replaced_and_never_an_error(store: Store) -> None:
    log = make(store)
    log.write(b"a\xff\xc3")
    log.finish()
    assert "".join(texts(store)) == "a��"


@pytest.mark.parametrize("piece", [1, 7, 64, 5000])
@pytest.mark.parametrize("character", ["x", "é", "漢", "🧠"])
def test_head_and_tail_are_kept_whole_and_the_dropped_bytes_are_exact(store: Store, piece: int, character: str) -> None:
    output = ("start " + character * 900 + " end").encode()
    log = make(store)
    for at in range(0, len(output), piece):
        log.write(output[at : at + piece])
        while log.full:
            log.flush()
    log.finish()
    kept = "".join(texts(store))
    marker = f"\n[... {log.dropped_bytes:,} bytes of output were dropped here ...]\n"
    head, found, tail = kept.partition(marker)
    assert found
    assert "�" not in kept
    assert head.startswith("start ")
    assert tail.endswith(" end")
    assert len(head.encode()) + len(tail.encode()) + log.dropped_bytes == len(output)
    assert len(tail.encode()) > 96


def test_output_up_to_head_and_tail_is_kept_in_full(store: Store) -> None:
    output = bytes(range(65, 91)) * 7 + b"x" * 18
    log = make(store)
    log.write(output)
    log.finish()
    assert "".join(texts(store)).encode() == output
    assert log.dropped_bytes == 0


def test_a_store_that_fails_loses_no_text(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(key: str, data: bytes) -> None:
        raise StorageFailed("The disk is full.")

    log = make(store)
    log.write("é".encode()[:1])
    with monkeypatch.context() as patch:
        patch.setattr(store, "put", full)
        with pytest.raises(StorageFailed):
            log.flush()
    log.write("é".encode()[1:])
    log.finish()
    assert texts(store) == ["é"]


def test_the_last_line_is_remembered_whatever_was_dropped(store: Store) -> None:
    log = make(store)
    log.write(b"x" * 5000 + b"\nthe last\n\n  \n")
    assert log.last_line() == "the last"
    assert make(store).last_line() == ""


def test_a_note_has_a_line_of_its_own_and_is_never_the_last_line(store: Store) -> None:
    log = make(store)
    log.note("From the start.")
    log.write(b"half a li")
    log.note("In between.")
    log.write(b"ne\nthe last\n")
    log.note("At the end.")
    log.finish()
    assert "".join(texts(store)) == "[From the start.]\nhalf a li\n[In between.]\nne\nthe last\n[At the end.]\n"
    assert log.last_line() == "the last"
