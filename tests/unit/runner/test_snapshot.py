from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from neurocaas.errors import Refused
from neurocaas.runner import snapshot
from neurocaas.runner.snapshot import hold

LIMIT_BYTES = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    made.mkdir()
    return made


@pytest.fixture
def into(tmp_path: Path) -> Path:
    made = tmp_path / "held"
    made.mkdir()
    return made


def replace(path: Path, text: str) -> None:
    """As the contract says: written beside, then renamed."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text)
    beside.rename(path)


def texts(held: dict[str, Path]) -> dict[str, str]:
    return {path: file.read_text() for path, file in held.items()}


def test_what_is_held_stays_whatever_the_workflow_does_afterwards(folder: Path, into: Path) -> None:
    (folder / "a").write_text("1")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "ü b").write_text("2")
    held = hold(folder, into, limit_bytes=LIMIT_BYTES)
    replace(folder / "a", "changed")
    (folder / "deep" / "er" / "ü b").unlink()
    assert texts(held) == {"a": "1", "deep/er/ü b": "2"}


def test_links_devices_and_what_is_being_written_are_left_out(folder: Path, into: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe")
    (folder / "state.part").write_text("half")
    (folder / "step.part").mkdir()
    (folder / "step.part" / "x").write_text("half")
    (folder / "state").write_text("whole")
    assert texts(hold(folder, into, limit_bytes=LIMIT_BYTES)) == {"state": "whole"}


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without hard links"])
def test_the_folder_is_seen_at_one_moment(
    folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def cannot(*arguments: object, **named: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", cannot)
    (folder / "a").write_text("1")
    (folder / "b").write_text("1")
    (folder / "old").write_text("1")
    take, taken = snapshot._link, []

    def link(parent: int, name: str, file: Path) -> int | None:
        inode = take(parent, name, file)
        taken.append(name)
        if len(taken) == 1:  # The workflow's next step comes in between.
            replace(folder / "a", "2")
            replace(folder / "b", "2")
            replace(folder / "new", "2")
            (folder / "old").unlink()
        return inode

    monkeypatch.setattr(snapshot, "_link", link)
    assert texts(hold(folder, into, limit_bytes=LIMIT_BYTES)) == {"a": "2", "b": "2", "new": "2"}
    assert len(list(into.iterdir())) == 3


def test_a_link_put_in_the_way_at_the_last_moment_leads_nowhere(
    folder: Path, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_text("secret")
    (folder / "inner").mkdir()
    (folder / "inner" / "key").write_text("own")
    (folder / "state").write_text("own")
    look = os.stat

    def stat_then_swap(path: object, **named: object) -> os.stat_result:
        status = look(path, **named)  # type: ignore[arg-type]
        if path == "inner" and (folder / "inner").is_dir() and not (folder / "inner").is_symlink():
            (folder / "inner").rename(tmp_path / "moved")
            (folder / "inner").symlink_to(outside)
        if path == "state" and not (folder / "state").is_symlink():
            (folder / "state").unlink()
            (folder / "state").symlink_to(outside / "key")
        return status

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat_then_swap)
        held = hold(folder, into, limit_bytes=LIMIT_BYTES)
    assert "secret" not in texts(held).values()
    assert held == {}


def test_a_folder_that_never_rests_is_refused(folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a").write_text("0")
    take = snapshot._link

    def link(parent: int, name: str, file: Path) -> int | None:
        inode = take(parent, name, file)
        replace(folder / "a", "again")
        return inode

    monkeypatch.setattr(snapshot, "_link", link)
    with pytest.raises(Refused, match="changed all the while"):
        hold(folder, into, limit_bytes=LIMIT_BYTES)


def test_more_than_the_storage_limit_is_refused_holes_included(folder: Path, into: Path) -> None:
    for name in ("a", "b"):
        (folder / name).touch()
        os.truncate(folder / name, LIMIT_BYTES - 1)
    with pytest.raises(Refused, match=r"2,097,150 bytes; at most 1,048,576"):
        hold(folder, into, limit_bytes=LIMIT_BYTES)


def test_more_files_than_are_kept_are_refused(folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MOST_FILES", 2)
    for name in "abc":
        (folder / name).touch()
    with pytest.raises(Refused, match="more than 2 files"):
        hold(folder, into, limit_bytes=LIMIT_BYTES)


def test_a_name_that_is_no_text_is_refused(folder: Path, into: Path) -> None:
    (folder / os.fsdecode(b"\xff")).touch()
    with pytest.raises(Refused, match="not UTF-8"):
        hold(folder, into, limit_bytes=LIMIT_BYTES)
