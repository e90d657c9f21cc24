from __future__ import annotations

import os
from pathlib import Path

from neurocaas.sandbox import SpaceWatch, measure

MIB = 1 << 20


def fill(path: Path, size_bytes: int) -> Path:
    path.write_bytes(b"x" * size_bytes)
    return path


def test_files_in_all_folders_count(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    fill(tmp_path / "a" / "one", MIB)
    fill(tmp_path / "a" / "deep" / "two", MIB)
    space = measure([tmp_path / "a", tmp_path / "gone"])
    assert 2 * MIB <= space.allocated_bytes < 2 * MIB + 65536
    assert space.longest_file_bytes == MIB


def test_links_are_not_followed_and_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    fill(outside / "large", 4 * MIB)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    os.link(fill(inside / "one", MIB), inside / "same")
    assert measure([inside]).allocated_bytes < 2 * MIB


def test_a_file_without_a_name_counts_while_it_is_open(tmp_path: Path) -> None:
    path = fill(tmp_path / "hidden", MIB)
    with path.open("rb"):
        path.unlink()
        assert measure([tmp_path]).allocated_bytes < MIB
        assert measure([tmp_path], [os.getpid()]).allocated_bytes >= MIB


def test_the_watch_remembers_the_peak_and_says_when_it_is_too_much(tmp_path: Path) -> None:
    watch = SpaceWatch([tmp_path], limit_bytes=2 * MIB, started=100.0)
    assert watch.next_look == 100.5
    assert not watch.look()
    path = fill(tmp_path / "one", 3 * MIB)
    assert watch.look()
    path.unlink()
    assert not watch.look()
    assert watch.peak_bytes >= 3 * MIB


def test_a_file_that_grew_up_to_the_limit_was_refused_more(tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(2 * MIB)
    assert SpaceWatch([tmp_path], limit_bytes=2 * MIB, started=0.0).look()
