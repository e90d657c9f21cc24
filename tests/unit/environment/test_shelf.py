from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurocaas.environment.shelf import Shelf


def build(root: Path, text: str = "answer = 42\n") -> Path:
    built = root / "building"
    (built / "env" / "bin").mkdir(parents=True)
    (built / "env" / "module.py").write_text(text)
    (built / "env" / "bin" / "python").symlink_to("/python/bin/python3.11")
    return built


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "environments", tree="env", damaged=tmp_path / "damaged")


@pytest.fixture
def digest(shelf: Shelf, tmp_path: Path) -> str:
    return shelf.put(build(tmp_path), identity={"kind": "python"}, facts={})


def test_what_was_just_put_there_is_whole(shelf: Shelf, digest: str) -> None:
    assert shelf.has(digest)
    assert shelf.is_unchanged(digest)
    assert shelf.damages(digest) == []


def test_putting_the_same_tree_twice_keeps_the_first(shelf: Shelf, digest: str, tmp_path: Path) -> None:
    inode = shelf.tree(digest).stat().st_ino
    assert shelf.put(build(tmp_path), identity={"kind": "python"}, facts={}) == digest
    assert shelf.tree(digest).stat().st_ino == inode
    assert not (tmp_path / "building").exists()


def harm(tree: Path, how: str) -> None:
    module = tree / "module.py"
    times = module.stat()
    for each in (tree, module):
        each.chmod(0o755)
    if how == "a flipped byte":
        module.write_text("answer = 43\n")
        os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif how == "a missing file":
        module.unlink()
    elif how == "a file too many":
        (tree / "sitecustomize.py").touch(mode=0o444)
    elif how == "another link":
        (tree / "bin").chmod(0o755)
        (tree / "bin" / "python").unlink()
        (tree / "bin" / "python").symlink_to("/python/bin/python3.12")
    if how != "another mode" and module.exists():
        module.chmod(0o444)
    (tree / "bin").chmod(0o555)
    tree.chmod(0o555)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("a flipped byte", "module.py: has other contents"),
        ("a missing file", "module.py: is missing"),
        ("a file too many", "sitecustomize.py: does not belong here"),
        ("another link", "bin/python: has other contents"),
        ("another mode", "module.py: has mode 755 instead of 444"),
    ],
)
def test_verify_names_every_kind_of_damage(shelf: Shelf, digest: str, how: str, said: str) -> None:
    harm(shelf.tree(digest), how)
    damages = shelf.damages(digest)
    assert len(damages) == 1
    assert said in str(damages[0])
    assert damages[0].digest == digest


@pytest.mark.parametrize("how", ["a missing file", "a file too many", "another link", "another mode"])
def test_the_quick_check_sees_all_but_a_change_that_hides(shelf: Shelf, digest: str, how: str) -> None:
    harm(shelf.tree(digest), how)
    assert not shelf.is_unchanged(digest)


def test_a_manifest_changed_along_with_a_file_is_still_found_out_by_the_name(shelf: Shelf, digest: str) -> None:
    harm(shelf.tree(digest), "a flipped byte")
    manifest = shelf.folder / digest / "manifest.json"
    other = [each for each in shelf.damages(digest) if "contents" in each.what]
    assert other
    from neurocaas.environment import tree as trees

    trees.write_manifest(manifest, trees.read_tree(shelf.tree(digest)))
    assert [each.what for each in shelf.damages(digest)] == ["is not what its name says"]


def test_a_restored_backup_with_new_times_is_whole(shelf: Shelf, digest: str) -> None:
    os.utime(shelf.tree(digest) / "module.py", (1, 1))
    assert not shelf.is_unchanged(digest)
    assert shelf.damages_if_changed(digest) == []
    assert shelf.is_unchanged(digest)


def test_a_lost_record_is_damage_and_no_crash(shelf: Shelf, digest: str) -> None:
    (shelf.folder / digest / "record.json").write_text("{")
    assert "can't be checked" in shelf.damages(digest)[0].what


def test_a_damaged_one_is_moved_away_with_a_word_why_and_twice_is_harmless(shelf: Shelf, digest: str) -> None:
    harm(shelf.tree(digest), "a missing file")
    aside = shelf.quarantine(digest, shelf.damages(digest))
    assert aside is not None
    assert "module.py: is missing" in (aside / "damage.txt").read_text()
    assert not shelf.has(digest)
    assert shelf.quarantine(digest) is None


def test_a_damaged_one_is_replaced_when_the_same_is_put_there_again(shelf: Shelf, digest: str, tmp_path: Path) -> None:
    harm(shelf.tree(digest), "a missing file")
    assert shelf.put(build(tmp_path), identity={"kind": "python"}, facts={}) == digest
    assert shelf.damages(digest) == []
    assert len(list(shelf.damaged.iterdir())) == 1
