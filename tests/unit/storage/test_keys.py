"""Keys are built in one place, and no name from a user leaves its prefix."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.errors import Refused
from neurocaas.storage import keys

NAMES = st.text(max_size=80) | st.text(alphabet="./\\%\0\n ~a", max_size=12)
DIGEST = "ab" * 32


def test_every_key_has_its_place() -> None:
    assert keys.version_archive("pca", DIGEST) == f"versions/pca/{DIGEST}.tar"
    assert keys.version_record("pca", DIGEST) == f"versions/pca/{DIGEST}.json"
    assert keys.content_file("lab", "c1") == f"{keys.content('lab', 'c1')}/file" == f"{keys.data('lab')}/c1/file"
    assert keys.content_folder("lab", "c1") == "groups/lab/data/c1/files"
    assert keys.content_folder_file("lab", "c1", "a/b") == "groups/lab/data/c1/files/a/b"
    assert keys.job("lab", "j1") == "groups/lab/jobs/j1"
    assert keys.certificate("lab", "j1") == "groups/lab/jobs/j1/certificate.json"
    assert keys.certificate_text("lab", "j1") == "groups/lab/jobs/j1/certificate.txt"
    assert keys.stack("lab", "j1", 7) == "groups/lab/jobs/j1/stacks/00007"
    assert keys.stack_manifest("lab", "j1", 7) == "groups/lab/jobs/j1/stacks/00007/manifest.json"
    prefix = keys.attempt("lab", "j1", 7, 2)
    assert prefix == "groups/lab/jobs/j1/stacks/00007/attempts/2"
    assert keys.log(prefix) == f"{prefix}/log"
    assert keys.log_segment(prefix, 12) == f"{prefix}/log/00000012.json"
    assert keys.exit_record(prefix) == f"{prefix}/exit.json"
    assert keys.lease(prefix) == f"{prefix}/lease.json"
    checkpoint = keys.checkpoint(prefix, 3)
    assert checkpoint == f"{keys.checkpoints(prefix)}/00000003" == f"{prefix}/checkpoints/00000003"
    assert keys.attempt_of(checkpoint) == prefix
    assert keys.checkpoint_manifest(checkpoint) == f"{checkpoint}/manifest.json"
    assert keys.checkpoint_file(checkpoint, 0) == f"{checkpoint}/files/00000000"
    assert keys.results(prefix) == f"{prefix}/results"
    assert keys.result(prefix, "a/b c.npy") == f"{prefix}/results/a/b c.npy"


@given(name=NAMES)
def test_a_segment_is_one_part_of_a_path_or_refused(name: str) -> None:
    try:
        part = keys.segment(name)
    except Refused as error:
        sentence = str(error)
    else:
        sentence = ""
    if sentence:
        assert sentence.endswith(".")
        assert "\n" not in sentence
        return
    assert part == unicodedata.normalize("NFC", name)
    assert "/" not in part
    assert part not in {"", ".", ".."}
    assert len(part.encode()) <= keys.SEGMENT_BYTES
    assert not any(unicodedata.category(character) == "Cc" for character in part)
    assert keys.segment(part) == part


@given(group=NAMES, job_id=NAMES, path=NAMES)
def test_no_user_can_reach_beyond_what_is_theirs(group: str, job_id: str, path: str) -> None:
    try:
        key = keys.result(keys.attempt(group, job_id, 0, 1), path)
    except Refused:
        return
    parts = PurePosixPath(key).parts
    assert "/".join(parts) == key
    assert ".." not in parts
    assert parts[0] == "groups"
    assert parts[1] == keys.segment(group)
    assert parts[2] == "jobs"
    assert parts[3] == keys.segment(job_id)
    assert parts[4:8] == ("stacks", "00000", "attempts", "1")
    assert parts[8] == "results"
    assert len(parts) > 9


@given(first=NAMES, second=NAMES)
def test_two_groups_never_share_a_prefix(first: str, second: str) -> None:
    try:
        one, other = keys.job(first, "j"), keys.job(second, "j")
    except Refused:
        return
    assert (one == other) == (keys.segment(first) == keys.segment(second))
    assert not other.startswith(f"{one}/")


def test_composed_and_decomposed_names_are_the_same_name() -> None:
    assert keys.segment("u\u0308") == keys.segment("ü") == "ü"


@pytest.mark.parametrize("number", [-1, -100])
def test_negative_numbers_are_refused(number: int) -> None:
    with pytest.raises(Refused):
        keys.stack("lab", "job", number)
    with pytest.raises(Refused):
        keys.attempt("lab", "job", 0, number)
    with pytest.raises(Refused):
        keys.log_segment("groups/a", number)


@pytest.mark.parametrize("path", ["", "/", "/a", "a/", "a//b", "..", "a/..", "./a", "a/\n"])
def test_a_path_that_is_not_plainly_relative_is_refused(path: str) -> None:
    with pytest.raises(Refused):
        keys.relative(path)
