"""Tables: .csv and .tsv."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.comparison import Comparison, Sameness, compare

TABLE = "time,rate,cell\n0.1,1500.123456789012,a\n0.2,2.5,b\n"


def _both(folder: Path, expected: str | bytes, found: str | bytes, kind: str = ".csv") -> Comparison:
    paths = [folder / f"expected{kind}", folder / f"found{kind}"]
    for path, text in zip(paths, (expected, found), strict=True):
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return compare(*paths)


@pytest.mark.parametrize(
    "other",
    [
        TABLE.replace("\n", "\r\n"),
        "\ufeff" + TABLE,
        TABLE.replace("\n0.1,", "\n1e-1,").replace("\n0.2,2.5,", "\n0.2, 2.500,"),
        TABLE.replace("a\n", '"a"\n'),
    ],
    ids=["line ends", "mark", "digits", "quotes"],
)
def test_the_same_cells_in_other_bytes_are_equal(tmp_path: Path, other: str) -> None:
    answer = _both(tmp_path, TABLE, other)
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same numbers in other bytes")


def test_a_small_difference_is_within_tolerance(tmp_path: Path) -> None:
    answer = _both(tmp_path, TABLE, TABLE.replace("2.5", "2.5000003"))
    assert answer.verdict is Sameness.WITHIN_TOLERANCE
    assert answer.detail == 'column "rate": largest difference 3e-07, 2e-10 of the largest value'


def test_one_changed_cell_is_named(tmp_path: Path) -> None:
    answer = _both(tmp_path, TABLE, TABLE.replace("2.5", "3.5"))
    assert answer == Comparison(
        verdict=Sameness.DIFFERENT,
        detail='column "rate": 1 of 2 cells differs, by 1.0 at row 3 (2.5 was expected, 3.5 found)',
        largest=1.0,
    )
    answer = _both(tmp_path, TABLE, TABLE.replace(",b", ",B"))
    assert answer.detail == 'column "cell": 1 of 2 cells differs, at row 3 ("b" was expected, "B" found)'


def test_each_column_has_its_own_scale(tmp_path: Path) -> None:
    answer = _both(tmp_path, "1e9,1e-3\n2e9,2.1e-3\n", "1e9,1e-3\n2e9,2.2e-3\n")
    assert answer.detail == "column 2: 1 of 2 cells differs, by 0.0001 at row 2 (0.0021 was expected, 0.0022 found)"


def test_numbers_written_in_nine_digits_are_taken_for_single_precision(tmp_path: Path) -> None:
    assert _both(tmp_path, "1.5\n0.12346\n", "1.5\n0.12347\n").verdict is Sameness.WITHIN_TOLERANCE
    assert _both(tmp_path, "1.5\n0.123456789012\n", "1.5\n0.123457789012\n").verdict is Sameness.DIFFERENT


def test_whole_numbers_are_exact_and_of_any_length(tmp_path: Path) -> None:
    for one, other in (
        ("100000000", "100000001"),
        ("9" * 299, "9" * 298 + "8"),
        ("1" * 400, "2" * 400),
        ("1e999", "2e999"),
    ):
        assert _both(tmp_path, f"n\n{one}\n", f"n\n{other}\n").verdict is Sameness.DIFFERENT


def test_nan_is_nan_in_any_case_and_never_empty(tmp_path: Path) -> None:
    assert _both(tmp_path, "x\nnan\n1.5\n", "x\nNaN\n1.5\n").verdict is Sameness.EQUAL
    answer = _both(tmp_path, "x\nnan\n1.5\n", "x\n2\n1.5\n")
    assert answer.detail == 'column "x": 1 of 2 cells differs, at row 2 (nan was expected, 2 found)'
    assert _both(tmp_path, "x,y\nnan,1\n", "x,y\n,1\n").verdict is Sameness.DIFFERENT


@pytest.mark.parametrize(
    ("other", "detail"),
    [
        (TABLE + "0.3,1,c\n", "3 rows were expected, 4 found"),
        (TABLE.replace("rate", "f"), 'the header differs: column 2 should be "rate", but "f" was found'),
        (TABLE.replace(",b", ",b,c"), "row 3 should have 3 cells, but 4 were found"),
        ("time,rate\n1,2\n1,2\n", "3 columns were expected, 2 found"),
        ("", "3 rows were expected, 0 found"),
    ],
)
def test_form_is_compared_first(tmp_path: Path, other: str, detail: str) -> None:
    assert _both(tmp_path, TABLE, other).detail == detail


def test_tabs_and_semicolons_part_cells_too(tmp_path: Path) -> None:
    for mark, kind in (("\t", ".tsv"), (";", ".csv")):
        one = TABLE.replace(",", mark)
        answer = _both(tmp_path, one, one.replace("2.5", "3.5"), kind)
        assert 'column "rate"' in answer.detail


def test_what_is_no_text_is_still_compared(tmp_path: Path) -> None:
    assert "\ufffd" not in _both(tmp_path, b"a,\xff\n1,2\n", b"a,\xff\n1,3\n").detail.replace("column", "", 1)[20:]
    assert _both(tmp_path, b"a\n\xff\n", b"a\n\xfe\n").verdict is Sameness.DIFFERENT


def test_a_cell_or_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurocaas.comparison.reading.LONGEST_LINE_BYTES", 300_000)
    answer = _both(tmp_path, "a\n", "a" * 200_000)
    assert answer.detail.startswith("the found file can't be read as .csv: field larger than field limit")
    answer = _both(tmp_path, "a\n", "a" * 400_000)
    assert answer.detail == "the found file can't be read as .csv: it has a line of more than 300,000 bytes"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.floats(), st.floats(width=32), st.integers(), st.text('ab\n," 1e', max_size=5))))
def test_any_table_is_equal_to_itself_with_other_line_ends(
    tmp_path: Path, rows: list[tuple[float, float, int, str]]
) -> None:
    import csv

    for name, end in (("expected.csv", "\n"), ("found.csv", "\r\n")):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file, lineterminator=end).writerows([("t", "x", "n", "name"), *rows])
    assert compare(tmp_path / "expected.csv", tmp_path / "found.csv").verdict is Sameness.EQUAL
