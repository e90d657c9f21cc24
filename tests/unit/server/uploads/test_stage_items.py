"""Items as a job's datasets: refused in the words that paths are refused in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.blueprint import Blueprint, read_version
from neurocaas.errors import NotFound, Refused

if TYPE_CHECKING:
    from support.uploads import Lab

NPY = b"\x93NUMPY"


@pytest.fixture
def blueprint(analysis: Path) -> Blueprint:
    return read_version(analysis).blueprint


def test_items_become_datasets_by_key(lab: Lab, blueprint: Blueprint) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    items = [lab.bring("recording.npy", NPY + bytes([number])) for number in range(3)]
    mask = lab.bring("mask.npy", NPY)
    with CaptureQueriesContext(connection) as queries:
        staged = lab.stage(blueprint, *(one.id for one in items), items[0].id, mask=mask.id)
    assert len(queries) == 1
    assert [(one.name, one.folder) for one in staged] == [
        ("recording.npy", "recording"),
        ("recording.npy", "recording-2"),
        ("recording.npy", "recording-3"),
    ]
    main, other = staged[1].inputs
    assert (main.name, main.key, main.path) == ("matrix", items[1].content.key, None)
    assert (main.sha256, main.size_bytes) == (items[1].content.sha256, 7)
    assert (other.name, other.filename) == ("mask", "mask.npy")
    assert lab.store.get(main.key or "") == NPY + b"\1"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.npy", b"", "empty.npy is empty; a file of kind .npy, .csv, .mp4 with data in it is right."),
        ("report.docx", b"PK\x03\x04", "report.docx is of kind .docx; a file of kind .npy, .csv, .mp4 is right."),
        ("word.npy", b"PK\x03\x04 a .docx", "word.npy is not what its name says: its contents are not those of"),
        ("table.csv", b"a\0b", "table.csv is not what its name says: its contents are not text"),
        ("large.npy", NPY * 200_000, "GiB; at most 0.001 GiB are right."),
    ],
)
def test_a_bad_item_is_refused_with_one_sentence(
    sqlite_lab: Lab, blueprint: Blueprint, name: str, content: bytes, sentence: str
) -> None:
    item = sqlite_lab.bring(name, content)
    with pytest.raises(Refused) as refusal:
        sqlite_lab.stage(blueprint, item.id)
    assert sentence in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_folder_is_a_folder_and_a_zip_a_whole_one(sqlite_lab: Lab, blueprint: Blueprint, tmp_path: Path) -> None:
    import zipfile

    def wanting(**one: Any) -> Blueprint:
        inputs = {"data": type(blueprint.inputs["matrix"])(title="Data", **one)}
        return blueprint.model_copy(update={"inputs": inputs})

    folder = sqlite_lab.bring_folder("session", {"a": b"1"})
    hollow = sqlite_lab.bring_folder("hollow", {"a": b""})
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a", "1")
    archived = sqlite_lab.bring("z.zip", (tmp_path / "z.zip").read_bytes())
    broken = sqlite_lab.bring("broken.zip", (tmp_path / "z.zip").read_bytes()[:60])
    (staged,) = sqlite_lab.stage(wanting(form="folder"), folder.id)
    assert (staged.inputs[0].form, staged.inputs[0].key) == ("folder", folder.content.key)
    (staged,) = sqlite_lab.stage(wanting(form="zip"), archived.id)
    assert (staged.inputs[0].form, staged.inputs[0].filename) == ("zip", "z.zip")
    for wanted, item, sentence in [
        ({"form": "folder"}, archived, "z.zip is a file; a folder is right."),
        ({"form": "folder"}, hollow, "hollow is empty; a folder with data in it is right."),
        ({"form": "zip"}, folder, "session is a folder; a file of kind .zip is right."),
        ({"form": "zip"}, broken, "it is not a whole zip archive"),
    ]:
        with pytest.raises(Refused) as refusal:
            sqlite_lab.stage(wanting(**wanted), item.id)
        assert sentence in str(refusal.value)


def test_ids_that_are_none_of_the_group_are_not_found(sqlite_lab: Lab, blueprint: Blueprint) -> None:
    from support.uploads import Lab

    item = sqlite_lab.bring("a.npy", NPY)
    strangers = Lab(store=sqlite_lab.store, group="strangers")
    for wrong in ("nothing", "0" * 32, "../../etc/passwd", ""):
        with pytest.raises(NotFound, match="there is no staged data"):
            sqlite_lab.stage(blueprint, item.id, wrong)
    with pytest.raises(NotFound, match=f"there is no staged data {item.id}"):
        strangers.stage(blueprint, item.id)
    with pytest.raises(NotFound):
        sqlite_lab.stage(blueprint, item.id, mask="x")


def test_inputs_are_named_as_with_paths(sqlite_lab: Lab, blueprint: Blueprint) -> None:
    item = sqlite_lab.bring("a.npy", NPY)
    with pytest.raises(Refused, match="input masc: there is no such input; one of mask is right"):
        sqlite_lab.stage(blueprint, item.id, masc=item.id)
    with pytest.raises(Refused, match="data: found none"):
        sqlite_lab.stage(blueprint)
