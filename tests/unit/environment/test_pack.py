from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from neurocaas.environment import pack
from neurocaas.environment import tree as trees
from neurocaas.errors import EnvironmentBroken

HEADER = {"version": "3.11.7", "executable": "python3.11", "variables": {}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "python3.11").write_bytes(b"\x7fELF")
    (tree / "bin" / "python3.11").chmod(0o755)
    (tree / "bin" / "python").symlink_to("python3.11")
    (tree / "os.py").write_text("")
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "os.cpython-311.pyc").touch()
    return tree


def test_what_is_unpacked_has_the_digest_of_what_was_packed(tree: Path, tmp_path: Path) -> None:
    pack.write(tmp_path / "one.tar.gz", header=HEADER, tree=tree)
    (tree / "os.py").touch()
    pack.write(tmp_path / "two.tar.gz", header=HEADER, tree=tree)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert pack.read(tmp_path / "one.tar.gz", tree=tmp_path / "copy") == HEADER
    assert trees.content_digest(trees.read_tree(tmp_path / "copy")) == trees.content_digest(trees.read_tree(tree))
    assert not (tmp_path / "copy" / "__pycache__").exists()


def member(name: str, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in changes.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("tree/../../outside"),
        member("/tree/outside"),
        member("tree"),
        member("tree/link", type=tarfile.SYMTYPE, linkname="../../outside"),
        member("tree/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("tree/hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("tree/pipe", type=tarfile.FIFOTYPE),
        member("tree/huge", size=2**40),
    ],
    ids=lambda each: f"{each.name}-{each.linkname}",
)
def test_nothing_that_leaves_the_folder_is_unpacked(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    file = tmp_path / "evil.tar"
    with tarfile.open(file, "w:gz") as archive:
        text = json.dumps(HEADER).encode()
        archive.addfile(member(pack.HEADER, size=len(text)), io.BytesIO(text))
        assert archive.fileobj is not None
        archive.fileobj.write(bad.tobuf())
    with pytest.raises(EnvironmentBroken, match="evil"):
        pack.read(file, tree=tmp_path / "new")
    assert not (tmp_path / "outside").exists()
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\x1f\x8b\x08\x00broken"])
def test_a_file_that_is_no_pack_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(EnvironmentBroken, match="can't be unpacked"):
        pack.read(tmp_path / "file", tree=tmp_path / "new")


def test_a_truncated_pack_is_said_to_be_broken(tree: Path, tmp_path: Path) -> None:
    pack.write(tmp_path / "whole", header=HEADER, tree=tree)
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "half").write_bytes(content[: len(content) // 2])
    with pytest.raises(EnvironmentBroken, match="can't be unpacked"):
        pack.read(tmp_path / "half", tree=tmp_path / "new")
