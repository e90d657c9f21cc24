from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurocaas.environment import tree as trees
from neurocaas.errors import EnvironmentBroken


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "lib" / "__pycache__").mkdir(parents=True)
    (tree / "lib" / "module.py").write_text("answer = 42\n")
    (tree / "lib" / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"compiled")
    (tree / "run").write_text("#!/env/bin/python\n")
    (tree / "run").chmod(0o755)
    (tree / "lib64").symlink_to("lib")
    return tree


def digest(tree: Path) -> str:
    return trees.content_digest(trees.read_tree(tree), platform="linux")


def test_the_digest_ignores_times_bytecode_and_who_may_write(tree: Path) -> None:
    before = digest(tree)
    os.utime(tree / "run", (0, 0))
    (tree / "lib" / "module.py").chmod(0o444)
    (tree / "lib" / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"compiled otherwise")
    (tree / "lib" / "__pycache__" / "other.cpython-311.pyc").write_bytes(b"")
    assert digest(tree) == before


@pytest.mark.parametrize("change", ["content", "executable bit", "link", "name", "new file", "new folder"])
def test_the_digest_tells_anything_that_can_change_a_result(tree: Path, change: str) -> None:
    before = digest(tree)
    if change == "content":
        (tree / "lib" / "module.py").write_text("answer = 43\n")
    elif change == "executable bit":
        (tree / "run").chmod(0o644)
    elif change == "link":
        (tree / "lib64").unlink()
        (tree / "lib64").symlink_to("run")
    elif change == "name":
        (tree / "run").rename(tree / "walk")
    elif change == "new file":
        (tree / "lib" / "new.py").touch()
    else:
        (tree / "lib" / "new").mkdir()
    assert digest(tree) != before


def test_the_digest_tells_its_ingredients(tree: Path) -> None:
    entries = trees.read_tree(tree)
    assert trees.content_digest(entries, platform="linux-x86_64-glibc_2.36") != trees.content_digest(
        entries, platform="linux-x86_64-glibc_2.41"
    )


def test_the_quick_digest_sees_size_time_mode_and_paths_but_opens_nothing(tree: Path) -> None:
    module = tree / "lib" / "module.py"
    os.utime(module, ns=(5, 5))
    before = trees.stat_digest(tree)
    module.write_text("answer = 43\n")
    assert trees.stat_digest(tree) != before
    os.utime(module, ns=(5, 5))
    assert trees.stat_digest(tree) == before
    module.chmod(0o600)
    assert trees.stat_digest(tree) != before


def test_a_manifest_reads_back_as_it_was_written(tree: Path, tmp_path: Path) -> None:
    entries = trees.read_tree(tree)
    trees.write_manifest(tmp_path / "manifest.json", entries)
    assert trees.read_manifest(tmp_path / "manifest.json") == entries


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"entries": [[1]]}', '{"entries": 3}'])
def test_a_manifest_that_is_not_one_is_said_to_be_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(EnvironmentBroken, match=r"manifest\.json can't be read"):
        trees.read_manifest(tmp_path / "manifest.json")


def test_a_sealed_tree_can_be_read_and_run_by_all_and_written_by_none(tree: Path) -> None:
    (tree / "lib" / "module.py").chmod(0o600)
    trees.seal(tree)
    modes = {entry.path: entry.mode for entry in trees.read_tree(tree) if entry.kind != trees.LINK}
    assert modes["lib/module.py"] == 0o444
    assert modes["run"] == 0o555
    assert modes["lib"] == 0o555
    assert tree.stat().st_mode & 0o777 == 0o555


def test_a_sealed_tree_can_be_removed_and_what_a_link_leads_to_stays(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)
    (outside / "kept").touch()
    (tree / "out").symlink_to(outside)
    trees.seal(tree)
    trees.remove(tree)
    assert not tree.exists()
    assert (outside / "kept").exists()
    assert outside.stat().st_mode & 0o777 == 0o750
    trees.remove(tree)


def test_a_tree_holds_files_folders_and_links_and_nothing_else(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(EnvironmentBroken, match="pipe is neither a file, a folder nor a link"):
        trees.read_tree(tree)
