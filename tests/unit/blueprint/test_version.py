from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from neurocaas.blueprint import SourceRepo, read_version
from neurocaas.blueprint.version import pack, unpack
from neurocaas.errors import Refused


def test_a_version_is_named_by_all_that_the_blueprint_names(make_analysis: Callable[..., Path]) -> None:
    folder = make_analysis()
    before = read_version(folder)
    (folder / "README.md").write_text("not named")
    assert read_version(folder).digest == before.digest
    (folder / "workflow.py").write_text("print(2)\n")
    assert read_version(folder).digest != before.digest


def test_a_file_made_executable_is_another_version(make_analysis: Callable[..., Path]) -> None:
    folder = make_analysis()
    before = read_version(folder).digest
    (folder / "workflow.py").chmod(0o755)
    assert read_version(folder).digest != before


def test_only_what_can_change_a_result_changes_the_execution_digest(make_analysis: Callable[..., Path]) -> None:
    before = read_version(make_analysis())
    title = read_version(make_analysis(title="Another title", limits={"timeout_minutes": 5}))
    assert title.digest != before.digest
    assert title.execution_digest == before.execution_digest
    command = read_version(make_analysis(workflow={"command": ["python", "-O", "x"], "files": ["workflow.py"]}))
    assert command.execution_digest != before.execution_digest


def test_a_link_can_not_be_part_of_a_version(make_analysis: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_analysis()
    (folder / "workflow.py").unlink()
    (folder / "workflow.py").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="links can't be part of a version"):
        read_version(folder)


def test_a_packed_version_unpacks_to_the_same_version(make_analysis: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_analysis()
    (folder / "workflow.py").chmod(0o755)
    version = read_version(folder)
    archive = pack(folder, version)
    assert archive == pack(folder, version)
    unpack(archive, tmp_path / "again")
    assert read_version(tmp_path / "again").digest == version.digest
    assert (tmp_path / "again" / "workflow.py").stat().st_mode & 0o777 == 0o555


def test_an_archive_may_hold_the_folders_of_its_files(tmp_path: Path) -> None:
    """As those that git makes do."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("sample")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("sample/generate.py"), io.BytesIO())
    unpack(buffer.getvalue(), tmp_path)
    assert (tmp_path / "sample" / "generate.py").is_file()


@pytest.mark.parametrize("name", ["../escape", "/absolute", "a/../../b"])
def test_an_archive_can_not_write_outside_its_folder(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(Refused, match="plain files inside"):
        unpack(buffer.getvalue(), tmp_path / "target")
    assert not (tmp_path / "escape").exists()


def test_an_archive_with_a_link_or_of_nonsense_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(Refused):
        unpack(buffer.getvalue(), tmp_path)
    with pytest.raises(Refused, match="damaged"):
        unpack(b"nonsense" * 100, tmp_path)


def test_a_commit_is_named_only_while_the_files_are_as_committed(
    make_analysis: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "site"
    make_analysis(tmp_path / "bundled" / "mean")
    repo = SourceRepo(root)
    repo.create(tmp_path / "bundled", {"name": "test"})
    folder = repo.folder("mean")
    version = read_version(folder, "mean")
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert repo.commit_of(version) == head.stdout.strip()
    (folder / "workflow.py").write_text("print(3)\n")
    assert repo.commit_of(read_version(folder, "mean")) is None
    repo.commit("Change the workflow")
    assert repo.commit_of(read_version(folder, "mean")) is not None
    found = [read_version(one, "mean").digest for _, one in repo.history("mean")]
    assert found == [read_version(folder, "mean").digest, version.digest]
