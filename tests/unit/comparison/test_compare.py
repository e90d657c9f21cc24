"""Bytes come first; what any kind of file has in common."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.comparison import Comparison, Sameness, compare, worst
from neurocaas.comparison.kinds import KINDS, compare_here
from neurocaas.comparison.reading import Source
from neurocaas.errors import NotFound, Refused, Unavailable

ALL = [*Sameness]


def _write(folder: Path, expected: bytes, found: bytes, kind: str) -> tuple[Path, Path]:
    one, other = folder / f"expected{kind}", folder / f"found{kind}"
    one.write_bytes(expected)
    other.write_bytes(found)
    return one, other


def _here(expected: Path, found: Path) -> Comparison:
    """In this process; another one for each of these would take most of the time."""
    return compare_here(Source(expected, "expected", expected.suffix), Source(found, "found", found.suffix))


@pytest.mark.parametrize("kind", [*KINDS, ".txt", ""])
def test_the_same_bytes_are_equal_whatever_they_hold(tmp_path: Path, kind: str) -> None:
    found = compare(*_write(tmp_path, b"no such format", b"no such format", kind))
    assert (found.verdict, found.detail) == (Sameness.EQUAL, "the same bytes")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {".csv", ".tsv"}])
@pytest.mark.parametrize("found", [b"", b"nonsense", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY\x01\x00", b"\x00" * 4096])
def test_a_damaged_file_is_different_and_the_detail_says_which_it_is(tmp_path: Path, kind: str, found: bytes) -> None:
    answer = _here(*_write(tmp_path, b"damaged otherwise", found, kind))
    assert answer.verdict is Sameness.DIFFERENT
    assert f"file can't be read as {kind}: " in answer.detail or "MATLAB" in answer.detail
    assert "\n" not in answer.detail


@pytest.mark.parametrize(
    ("kind", "library"), [(kind, library) for kind, (needed, _) in KINDS.items() for library in needed]
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(Unavailable, match=library) as caught:
        compare(*_write(tmp_path, b"1", b"2", kind))
    assert caught.value.remedy == "pip install 'neurocaas[compare]'"


@pytest.mark.parametrize("kind", [".csv", ".json", ".txt", ".svg"])
def test_text_needs_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert compare(*_write(tmp_path, b"1", b"2", kind)).verdict is Sameness.DIFFERENT


def test_equal_bytes_need_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert compare(*_write(tmp_path, b"1", b"1", ".npy")).verdict is Sameness.EQUAL


def test_the_kind_may_be_given_and_has_no_case(tmp_path: Path) -> None:
    one, other = _write(tmp_path, b"[1.0]", b"[1.00000001]", ".result")
    assert compare(one, other).verdict is Sameness.DIFFERENT
    for kind in (".json", "json", ".JSON"):
        assert compare(one, other, kind=kind).verdict is Sameness.WITHIN_TOLERANCE


def test_what_is_no_file_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    file.touch()
    os.mkfifo(tmp_path / "fifo.npy")
    with pytest.raises(NotFound, match=r"missing\.npy is not a file"):
        compare(file, tmp_path / "missing.npy")
    for odd in (tmp_path, tmp_path / "fifo.npy"):
        with pytest.raises(Refused, match="is not a file"):
            compare(odd, file)


def test_the_worst_of_none_is_equal_and_of_many_the_gravest() -> None:
    assert worst([]) is Sameness.EQUAL
    for several in itertools.product(ALL, repeat=3):
        assert worst(several) is ALL[max(ALL.index(one) for one in several)]


@pytest.mark.parametrize(
    "kind", [".npy", ".npz", ".json", ".csv", ".h5", ".mat", ".png", ".tif", ".mp4", ".avi", ".bin"]
)
def test_no_bytes_end_in_anything_but_an_answer(tmp_path: Path, kind: str) -> None:
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(expected=st.binary(max_size=200), found=st.binary(max_size=200))
    def check(expected: bytes, found: bytes) -> None:
        one, other = _write(tmp_path, expected, found, kind)
        answer = compare(one, other) if expected == found else _here(one, other)
        assert expected == found or answer.detail != "the same bytes"
        assert (expected == found) <= (answer.verdict is Sameness.EQUAL)

    check()


def test_the_first_line_that_differs_is_named(tmp_path: Path) -> None:
    answer = compare(*_write(tmp_path, b"a\nb\nc\n", b"a\nB\nC\n", ".log"))
    assert answer.detail == r'line 2 is the first that differs: "b\n" was expected, "B\n" found'
    answer = compare(*_write(tmp_path, b"a\nb\n", b"a\n", ".md"))
    assert answer.detail == r'line 2 is missing: "b\n" was expected'
    answer = compare(*_write(tmp_path, b"a\n", b"a\nb", ".html"))
    assert answer.detail == 'line 2 is one too many: "b" was found'


def test_the_first_byte_that_differs_is_named(tmp_path: Path) -> None:
    start = os.urandom(1 << 20) + b"\0" * 5
    answer = compare(*_write(tmp_path, b"\0" + start + b"1", b"\0" + start + b"23", ".bin"))
    assert answer.detail == "byte 1,048,582 is the first that differs; 1,048,583 bytes were expected, 1,048,584 found"
    answer = compare(*_write(tmp_path, b"\0same", b"\0same and more", ".bin"))
    assert answer.detail == "byte 5 is the first that differs; 5 bytes were expected, 14 found"
