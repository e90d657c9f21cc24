"""What a runner does with inputs and results, and with a store that takes its time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neurocaas.errors import StorageFailed
from neurocaas.reasons import Reason
from neurocaas.runner import staging
from neurocaas.runner.document import ExitRecord
from neurocaas.storage import keys
from neurocaas.storage.files import FileStore

if TYPE_CHECKING:
    from conftest import Bench

GIB = 1024**3


# Inputs


def test_a_changed_input_is_refused_before_the_workflow_starts(own_bench: Bench) -> None:
    path = own_bench.file("in.npy", "before")
    given = own_bench.input("movie", path)
    path.write_text("after, and longer")
    record = own_bench.perform("true", inputs=[given])
    assert record.reason is Reason.INPUT_CHANGED
    assert str(path) in record.message


def test_an_input_changed_on_the_way_fails_the_attempt(own_bench: Bench) -> None:
    path = own_bench.file("in.npy", "before")
    running = own_bench.start("echo reading; sleep 4", inputs=[own_bench.input("movie", path)])
    running.until(lambda: "reading" in running.log())
    path.write_text("after, and longer")
    assert running.wait() == 0
    assert running.record().reason is Reason.INPUT_CHANGED
    assert not running.record().outputs


def test_a_missing_input_is_named(own_bench: Bench) -> None:
    path = own_bench.file("in.npy", "before")
    given = own_bench.input("movie", path)
    path.unlink()
    record = own_bench.perform("true", inputs=[given])
    assert record.reason is Reason.INPUT_MISSING
    assert str(path) in record.message


def test_inputs_come_from_the_store_by_key(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    own_bench.store.put("uploads/one.txt", b"one ")
    own_bench.store.put("uploads/set/deep/two.txt", b"two")
    one = {"name": "one", "form": "file", "filename": "one.txt", "key": "uploads/one.txt"}
    both = {"name": "set", "form": "folder", "filename": "set", "key": "uploads/set"}
    inputs = [{**given, "sha256": "0" * 64, "size_bytes": 4} for given in (one, both)]
    script = 'cat "$NEUROCAAS_INPUT_ONE" "$NEUROCAAS_INPUT_SET/deep/two.txt"'
    mounted = own_bench.start(script, inputs=inputs)
    assert mounted.wait() == 0
    assert mounted.log() == "one two"
    # As from a store that is not on this machine.
    monkeypatch.setattr(FileStore, "local_path", lambda self, key: None)
    fetched = own_bench.start(script, inputs=inputs)
    assert fetched.wait() == 0
    assert fetched.log() == "one two"
    missing = own_bench.perform(script, inputs=[{**inputs[0], "key": "uploads/none.txt"}])
    assert missing.reason is Reason.INPUT_MISSING


def test_ten_gigabytes_are_mounted_not_copied(own_bench: Bench) -> None:
    path = own_bench.file("large.npy")
    os.truncate(path, 10 * GIB)
    given = own_bench.input("movie", own_bench.file("small.npy", "x"))
    given |= {"path": str(path), "filename": "large.npy", "fingerprint": None}
    before = time.monotonic()
    record = own_bench.perform('test $(stat -c %s "$NEUROCAAS_INPUT_MOVIE") = 10737418240', inputs=[given])
    assert record.succeeded, record.message
    print(f"10 GB staged, workflow and all: {time.monotonic() - before:.3f} s")


# Results


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ('ln -s /etc/passwd "$NEUROCAAS_RESULTS/passwd"', "'passwd' is a link that leads out"),
        ('ln -s ../../secret "$NEUROCAAS_RESULTS/up"', "'up' is a link that leads out"),
        ('mkfifo "$NEUROCAAS_RESULTS/pipe"', "'pipe' is no file"),
        ('touch "$NEUROCAAS_RESULTS/a"$\'\\n\'"b"', "a name that can't be kept"),
    ],
)
def test_what_can_be_no_result_is_refused_by_name(own_bench: Bench, script: str, named: str) -> None:
    record = own_bench.perform(script)
    assert record.reason is Reason.WORKFLOW_FAILED
    assert named in record.message


def test_a_missing_output_fails_an_attempt_that_ended_well(own_bench: Bench) -> None:
    record = own_bench.perform(
        'echo > "$NEUROCAAS_RESULTS/extra"',
        outputs=[{"name": "components", "pattern": "components.npy"}, {"name": "b", "pattern": "b", "required": False}],
    )
    assert record.reason is Reason.RESULTS_MISSING
    assert "'components' (components.npy)" in record.message


def test_results_that_cannot_be_stored_are_told(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr(FileStore, "put_file", full)
    record = own_bench.perform('echo > "$NEUROCAAS_RESULTS/x"')
    assert record.reason is Reason.RESULTS_NOT_STORED
    assert "The disk is full." in record.message


def test_when_nothing_can_be_stored_the_record_stays_in_the_work_folder(
    own_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: FileStore, key: str, data: bytes) -> bool:
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr("neurocaas.runner.attempt.FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(FileStore, "create", full)
    running = own_bench.start("true")
    assert running.wait() == 8
    record = ExitRecord.model_validate_json((running.document.work / "exit.json").read_bytes())
    assert record.succeeded


def test_a_fault_of_the_platform_is_a_record_and_a_traceback(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(staging, "lay_out", broken)
    running = own_bench.start("true")
    assert running.wait() == 0
    assert running.record().reason is Reason.INTERNAL
    assert "no such luck" in (running.document.work / "runner.log").read_text()


def test_a_vanished_environment_is_told(own_bench: Bench) -> None:
    mounts = [{"source": str(own_bench.folder / "gone"), "target": "/env"}]
    assert own_bench.perform("true", environment={"mounts": mounts}).reason is Reason.ENVIRONMENT_BROKEN


def test_only_the_documents_stay_in_the_work_folder(own_bench: Bench) -> None:
    running = own_bench.start('mkdir -m 000 "$NEUROCAAS_SCRATCH/closed"; echo > "$NEUROCAAS_RESULTS/x"; exit 1')
    assert running.wait() == 0
    left = {path.name for path in running.document.work.iterdir()}
    assert left == {"attempt.json", "runner.json", "runner.lock", "runner.log"}


# A store elsewhere


def test_the_heart_beats_while_inputs_are_fetched_and_results_are_stored(
    own_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving gigabytes takes minutes, and whoever is silent for one is taken for lost."""
    get_file, put_file = FileStore.get_file, FileStore.put_file
    beats: dict[str, int] = {"get": 2, "put": 4}

    def until_it_has_beaten(store: FileStore, times: int) -> None:
        deadline = time.monotonic() + 30
        while sum("/log/" in entry.key for entry in store.list("groups")) < times:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def slow_get(store: FileStore, key: str, path: Path) -> None:
        until_it_has_beaten(store, beats["get"])
        get_file(store, key, path)

    def slow_put(store: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        until_it_has_beaten(store, beats["put"])
        put_file(store, path, key, move=move)

    monkeypatch.setattr(FileStore, "get_file", slow_get)
    monkeypatch.setattr(FileStore, "put_file", slow_put)
    monkeypatch.setattr(FileStore, "local_path", lambda store, key: None)
    key = keys.content_file("lab", "c1")
    own_bench.store.put(key, b"data")
    given = {"name": "data", "form": "file", "filename": "d", "key": key, "sha256": "0" * 64, "size_bytes": 4}
    record = own_bench.perform(
        'cp /job/inputs/data/d "$NEUROCAAS_RESULTS/copy"',
        inputs=[given],
        outputs=[{"name": "copy", "pattern": "copy"}],
        heartbeat_seconds=0.05,
    )
    assert record.succeeded, record.message
    assert record.log.segments >= beats["put"]


def test_a_runner_that_stores_its_results_can_be_cancelled(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    put_file = FileStore.put_file

    def hanging(store: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        store.delete(keys.lease(key.partition("/results/")[0]))
        time.sleep(60)
        put_file(store, path, key, move=move)

    monkeypatch.setattr(FileStore, "put_file", hanging)
    running = own_bench.start(
        'echo 1 > "$NEUROCAAS_RESULTS/one"', outputs=[{"name": "one", "pattern": "one"}], heartbeat_seconds=0.05
    )
    assert running.wait(20) == 0
    assert running.record().reason is Reason.CANCELLED
