from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.errors import Altered, NeurocaasError, NotFound
from neurocaas.runner.checkpoint import Manifest, discard, forget_checkpoints, keep, last_checkpoint, restore
from neurocaas.storage import Store, keys, open_store

FIRST, SECOND, THIRD = (keys.attempt("lab", "j", 0, number) for number in (1, 2, 3))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."}
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


def put(
    store: Store, folder: Path, prefix: str, number: int, files: dict[str, bytes], going_on: Callable[[], bool]
) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    held = {path: folder / str(index) for index, path in enumerate(files)}
    for path, data in files.items():
        held[path].write_bytes(data)
    manifest = Manifest(attempt="j/0/1", number=number, taken_at="2026-01-01T00:00:00.000Z", files=())
    return keep(store, keys.checkpoint(prefix, number), manifest, held, going_on)


def whole(store: Store, tmp_path: Path, prefix: str, number: int, files: dict[str, bytes] | None = None) -> str:
    assert put(store, tmp_path / "held", prefix, number, files or {"state": b"s"}, lambda: True)
    return keys.checkpoint(prefix, number)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(
    files=st.dictionaries(
        st.tuples(NAMES, NAMES).map("in {0[0]}/{0[1]}".format) | NAMES.map("top {}".format), st.binary()
    )
)
def test_what_was_kept_comes_back_by_name_and_content(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("root")
    store = open_store((root / "store").as_uri())
    assert put(store, root / "held", FIRST, 1, files, lambda: True)
    folder = root / "checkpoint"
    folder.mkdir()
    restore(store, keys.checkpoint(FIRST, 1), folder, uid=None)
    assert contents(folder) == files


def test_the_last_whole_one_of_the_newest_attempt_that_has_any_counts(store: Store, tmp_path: Path) -> None:
    assert last_checkpoint(store, []) is None
    assert last_checkpoint(store, [SECOND, FIRST]) is None
    one = whole(store, tmp_path, FIRST, 1)
    assert last_checkpoint(store, [SECOND, FIRST]) == one
    ten = whole(store, tmp_path, FIRST, 10)
    whole(store, tmp_path, FIRST, 9)
    assert last_checkpoint(store, [THIRD, SECOND, FIRST]) == ten
    two = whole(store, tmp_path, SECOND, 1)
    assert last_checkpoint(store, [THIRD, SECOND, FIRST]) == two


def test_given_up_at_any_step_before_its_manifest_it_is_none(store: Store, tmp_path: Path) -> None:
    files = dict.fromkeys("abc", b"x")
    before = whole(store, tmp_path, FIRST, 1)
    for steps in range(4):
        left = itertools.chain([True] * steps, itertools.repeat(False))
        assert not put(store, tmp_path / "held", FIRST, 2 + steps, files, lambda left=left: next(left))
        assert len(list(store.list(keys.checkpoint(FIRST, 2 + steps)))) == steps
        assert last_checkpoint(store, [FIRST]) == before


def test_a_discarded_one_is_gone_and_looks_whole_at_no_moment(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = whole(store, tmp_path, FIRST, 1)
    monkeypatch.setattr(store, "delete_below", lambda prefix: None)  # Killed in between.
    discard(store, one)
    assert last_checkpoint(store, [FIRST]) is None
    monkeypatch.undo()
    discard(store, one)
    assert list(store.list(FIRST)) == []
    discard(store, one)


def test_those_of_a_stack_that_ended_are_forgotten_and_nothing_else(store: Store, tmp_path: Path) -> None:
    for prefix, number in ((FIRST, 1), (FIRST, 2), (SECOND, 1)):
        whole(store, tmp_path, prefix, number)
    store.put(keys.result(SECOND, "checkpoints/manifest.json"), b"")
    forget_checkpoints(store, [THIRD, SECOND, FIRST])
    assert [one.key for one in store.list("")] == [keys.result(SECOND, "checkpoints/manifest.json")]


def damage(store: Store, checkpoint: str, how: str) -> None:
    manifest, file = keys.checkpoint_manifest(checkpoint), keys.checkpoint_file(checkpoint, 0)
    if how == "a file was changed":
        store.put(file, b"t")
    elif how == "a file is gone":
        store.delete(file)
    elif how == "the manifest is gone":
        store.delete(manifest)
    elif how == "the manifest is cut off":
        store.put(manifest, store.get(manifest)[:-9])
    else:
        store.put(manifest, store.get(manifest).replace(b'"state"', b'"../../state"'))


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("a file was changed", Altered),
        ("a file is gone", NotFound),
        ("the manifest is gone", NotFound),
        ("the manifest is cut off", Altered),
        ("a name leads outside", Altered),
    ],
)
def test_a_damaged_one_is_told(store: Store, tmp_path: Path, how: str, error: type[NeurocaasError]) -> None:
    one = whole(store, tmp_path, FIRST, 1)
    damage(store, one, how)
    folder = tmp_path / "work" / "checkpoint"
    folder.mkdir(parents=True)
    with pytest.raises(error):
        restore(store, one, folder, uid=None)
    assert not (tmp_path / "state").exists()


def test_what_comes_back_belongs_to_the_workflow(store: Store, tmp_path: Path) -> None:
    one = whole(store, tmp_path, FIRST, 1, {"a/b/c": b"1", "d": b"2"})
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    uid = 60001 if os.geteuid() == 0 else os.geteuid()
    restore(store, one, folder, uid=uid)
    assert {path.stat().st_uid for path in folder.rglob("*")} == {uid}
    (folder / "d").write_bytes(b"written by the workflow")
    assert store.get(keys.checkpoint_file(one, 1)) == b"2"
