from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from neurocaas.blueprint import Blueprint, read_version
from neurocaas.errors import Refused

pytestmark = pytest.mark.usefixtures("any_database")


@pytest.fixture
def blueprint(analysis: Path) -> Blueprint:
    return read_version(analysis).blueprint


def _refusal(blueprint: Blueprint, *data: str, more: dict[str, str] | None = None) -> str:
    from neurocaas.server.jobs.staging import stage

    with pytest.raises(Refused) as refusal:
        stage(blueprint, data, more or {})
    return str(refusal.value)


def test_a_dataset_is_named_digested_and_left_where_it_is(
    blueprint: Blueprint, numbers: Callable[..., list[str]]
) -> None:
    from neurocaas.server.jobs.staging import stage

    paths = numbers(2)
    first, second = stage(blueprint, paths, {"mask": paths[0]})
    assert (first.name, first.folder) == ("recording-0.npy", "recording-0")
    assert first.inputs[0].path == paths[0]
    assert [one.name for one in second.inputs] == ["matrix", "mask"]
    assert second.inputs[1].sha256 == first.inputs[0].sha256


def test_a_known_file_is_not_read_again(
    blueprint: Blueprint, numbers: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.jobs import staging

    paths = numbers(1)
    before = staging.stage(blueprint, paths, {})
    read: list[Path] = []
    monkeypatch.setattr(staging, "digest_many", lambda given: read.extend(given) or [])
    assert staging.stage(blueprint, paths, {}) == before
    assert read == []


def test_a_changed_file_is_read_again(blueprint: Blueprint, numbers: Callable[..., list[str]]) -> None:
    from neurocaas.server.jobs.staging import stage

    (path,) = numbers(1)
    before = stage(blueprint, [path], {})[0].inputs[0].sha256
    Path(path).write_bytes(b"\x93NUMPY and more")
    assert stage(blueprint, [path], {})[0].inputs[0].sha256 != before


def test_same_names_get_folders_of_their_own(blueprint: Blueprint, numbers: Callable[..., list[str]]) -> None:
    from neurocaas.server.jobs.staging import stage

    folders = [one.folder for one in stage(blueprint, numbers(1, "a") + numbers(1, "b"), {})]
    assert folders == ["recording-0", "recording-0-2"]


def test_a_folder_stands_for_the_fitting_files_in_it(blueprint: Blueprint, numbers: Callable[..., list[str]]) -> None:
    from neurocaas.server.jobs.staging import stage

    folder = Path(numbers(2)[0]).parent
    (folder / "notes.docx").write_text("x")
    assert [one.name for one in stage(blueprint, [str(folder)], {})] == ["recording-0.npy", "recording-1.npy"]


@pytest.mark.parametrize("name", ["with spaces.npy", "ünïcode 脳.npy", "quote'\".npy", "%41.npy", "-dash.npy"])
def test_unusual_but_honest_names_are_taken(blueprint: Blueprint, tmp_path: Path, name: str) -> None:
    from neurocaas.server.jobs.staging import stage

    (tmp_path / name).write_bytes(b"\x93NUMPY")
    assert stage(blueprint, [str(tmp_path / name)], {})[0].name == name


@pytest.mark.parametrize(
    ("name", "contents", "sentence"),
    [
        ("missing.npy", None, "missing.npy: there is no such file."),
        ("empty.npy", b"", "empty.npy is empty; a file of kind .npy, .csv, .mp4 with data in it is right."),
        ("report.docx", b"PK\x03\x04", "report.docx is of kind .docx; a file of kind .npy, .csv, .mp4 is right."),
        ("none", b"x", "none is of kind none; a file of kind"),
        ("word.npy", b"PK\x03\x04 a .docx with another name", "word.npy is not what its name says: its contents are"),
        ("clip.mp4", b"not a movie at all", "clip.mp4 is not what its name says"),
        ("table.csv", b"a\0b", "table.csv is not what its name says: its contents are not text"),
        ("new\nline.npy", b"\x93NUMPY", "can't be stored: it contains '\\n'"),
        ("large.npy", b"\x93NUMPY" * 200_000, "GiB; at most 0.001 GiB are right."),
    ],
)
def test_a_bad_dataset_is_refused_with_one_sentence(
    blueprint: Blueprint, tmp_path: Path, name: str, contents: bytes | None, sentence: str
) -> None:
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    message = _refusal(blueprint, str(tmp_path / name))
    assert sentence in message
    assert len(message.splitlines()) == 1


def test_one_bad_dataset_among_good_ones_refuses_all_of_them(
    blueprint: Blueprint, numbers: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "empty.npy").touch()
    assert "empty.npy is empty" in _refusal(blueprint, *numbers(2), str(tmp_path / "empty.npy"))


def test_folders_pipes_and_patterns_that_do_not_fit_are_refused(blueprint: Blueprint, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "hollow").mkdir()
    assert "is not a plain file" in _refusal(blueprint, str(tmp_path / "pipe.npy"))
    assert "is a folder without a file of kind .npy, .csv, .mp4 in it." in _refusal(blueprint, str(tmp_path / "hollow"))
    assert "the pattern fits no file" in _refusal(blueprint, str(tmp_path / "*.nothing"))
    assert "data: found none" in _refusal(blueprint)


def test_an_unreadable_file_is_refused(blueprint: Blueprint) -> None:
    """As an ordinary user, whom root becomes for a moment: root may read everything."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-test-"))
    folder.chmod(0o755)
    secret = folder / "secret.npy"
    secret.write_bytes(b"\x93NUMPY")
    secret.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.setresuid(65534, 65534, 0)
    try:
        message = _refusal(blueprint, str(secret))
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        shutil.rmtree(folder)
    assert "secret.npy can't be read: permission denied; let the user who runs this read it (chmod u+r)." in message


def test_inputs_by_name_are_checked_too(blueprint: Blueprint, numbers: Callable[..., list[str]]) -> None:
    (path,) = numbers(1)
    assert "input masc: there is no such input" in _refusal(blueprint, path, more={"masc": path})
    assert "no-mask.npy: there is no such file" in _refusal(blueprint, path, more={"mask": "no-mask.npy"})
