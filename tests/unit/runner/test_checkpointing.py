from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neurocaas.errors import StorageFailed
from neurocaas.runner.checkpoint import last_checkpoint, restore
from neurocaas.runner.checkpointing import Checkpointing
from neurocaas.runner.document import AttemptDocument
from neurocaas.runner.resuming import meanwhile
from neurocaas.runner.staging import Stage, lay_out
from neurocaas.storage import Store, keys, open_store

PREFIX = keys.attempt("lab", "j", 0, 1)
PATIENCE_SECONDS = 20


class Taking:
    """A checkpoint folder, and what takes its checkpoints."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store: Store = open_store((root / "store").as_uri())
        self.stage = Stage(work=root / "work", uid=None)
        self.stage.work.mkdir()
        lay_out(self.stage)
        self.notes: list[str] = []
        self.it = self.again()

    def again(self) -> Checkpointing:
        document = AttemptDocument.model_validate(
            {
                "attempt": "j/0/1",
                "token": "t",
                "store": self.store.url,
                "prefix": PREFIX,
                "work": self.stage.work,
                "inputs": (),
                "config": {},
                "seed": 1,
                "workflow": {"files": "/version", "command": ("true",), "checkpoints": True},
                "outputs": (),
                "environment": {"digest": "e"},
                "resources": {"vcpus": 1, "memory_mib": 1, "storage_mib": 1},
                "timeout_seconds": 1,
            }
        )
        return Checkpointing(document, self.stage, self.store, note=self.notes.append)

    def save(self, text: str) -> None:
        self.stage.checkpoint.joinpath("state.part").write_text(text)
        self.stage.checkpoint.joinpath("state.part").rename(self.stage.checkpoint / "state")

    def settle(self) -> None:
        assert select.select([self.it], [], [], PATIENCE_SECONDS)[0]
        self.it.settle()

    def take(self, text: str) -> None:
        self.save(text)
        self.it.ask()
        self.settle()

    def last(self) -> str | None:
        """What the state would be after a crash now."""
        checkpoint = last_checkpoint(self.store, [PREFIX])
        if checkpoint is None:
            return None
        folder = self.root / "restored"
        folder.mkdir(exist_ok=True)
        restore(self.store, checkpoint, folder, uid=None)
        return (folder / "state").read_text()

    def stored(self) -> set[int]:
        above = f"{keys.checkpoints(PREFIX)}/"
        return {int(one.key.removeprefix(above).split("/")[0]) for one in self.store.list(keys.checkpoints(PREFIX))}


@pytest.fixture
def taking(tmp_path: Path) -> Iterator[Taking]:
    made = Taking(tmp_path)
    yield made
    made.it.end()


class Gate:
    """Holds a call of the store until the test lets it go on."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        put_file = store.put_file

        def gated(*arguments: Any, **named: Any) -> None:
            self.reached.set()
            assert self.open.wait(PATIENCE_SECONDS)
            put_file(*arguments, **named)

        monkeypatch.setattr(store, "put_file", gated)


def test_only_the_last_one_is_kept(taking: Taking) -> None:
    for text in "123":
        taking.take(text)
        assert taking.last() == text
    assert taking.stored() == {3}
    assert taking.notes == []
    assert not taking.stage.held.exists()


def test_the_workflow_goes_on_while_one_is_stored_and_the_next_follows(
    taking: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(taking.store, monkeypatch)
    taking.save("1")
    taking.it.ask()
    assert gate.reached.wait(PATIENCE_SECONDS)
    for text in "234":  # However many are asked for meanwhile, one more is taken, of what is there then.
        taking.save(text)
        taking.it.ask()
    gate.open.set()
    taking.settle()
    taking.settle()
    assert taking.last() == "4"
    assert taking.stored() == {2}


def test_a_store_that_fails_is_told_once_and_asked_again(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise StorageFailed("The disk is full.")

    taking.take("1")
    with monkeypatch.context() as patch:
        patch.setattr(taking.store, "put", full)  # The files arrive, the manifest does not.
        taking.take("2")
        taking.take("3")
    assert taking.notes == ["A checkpoint could not be stored: The disk is full. The next one will be tried."]
    assert taking.last() == "1"
    assert taking.stored() == {1}
    taking.take("4")
    assert taking.last() == "4"
    assert len(taking.notes) == 1


def test_one_that_cannot_be_read_is_told_and_the_next_counts(taking: Taking) -> None:
    (taking.stage.checkpoint / "large").write_bytes(b"x" * (1 << 20))
    taking.take("1")
    assert "at most 1,048,576 are kept" in taking.notes[0]
    assert taking.last() is None
    (taking.stage.checkpoint / "large").unlink()
    taking.take("2")
    assert taking.last() == "2"


def test_when_the_workflow_ends_the_one_on_its_way_is_given_up(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    taking.take("1")
    gate = Gate(taking.store, monkeypatch)
    taking.save("2")
    taking.it.ask()
    assert gate.reached.wait(PATIENCE_SECONDS)
    taking.it._ended.set()
    gate.open.set()
    taking.it.end()
    assert taking.last() == "1"
    taking.it = taking.again()


def test_an_attempt_whose_runner_was_started_once_more_counts_on(taking: Taking) -> None:
    taking.take("1")
    taking.take("2")
    taking.it.end()
    taking.store.put(keys.checkpoint_file(keys.checkpoint(PREFIX, 7), 0), b"partial")
    taking.it = taking.again()
    assert taking.last() == "2"
    taking.take("3")
    assert taking.last() == "3"
    assert 2 not in taking.stored()
    assert max(taking.stored()) == 8


def test_the_heart_beats_meanwhile_and_errors_arrive() -> None:
    beats, enough = [], threading.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            enough.set()

    assert meanwhile(lambda: enough.wait(PATIENCE_SECONDS), beat, every_seconds=0.001)
    with pytest.raises(TimeoutError):
        meanwhile(lambda: (_ for _ in ()).throw(TimeoutError()), beat, every_seconds=1)
