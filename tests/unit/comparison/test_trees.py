"""JSON documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.comparison import Comparison, Sameness, compare

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
FIT = {"fit": {"rates": [1.25, 2000.5, 3.125], "n": 3, "ok": True}, "a key": "text", "none": None}


def _both(folder: Path, expected: Any, found: Any) -> Comparison:
    for name, value in (("expected.json", expected), ("found.json", found)):
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / name).write_text(text, encoding="utf-8")
    return compare(folder / "expected.json", folder / "found.json")


def _changed(**fit: Any) -> Any:
    return {**FIT, "fit": {**FIT["fit"], **fit}}  # type: ignore[dict-item]


def test_order_and_layout_do_not_count(tmp_path: Path) -> None:
    answer = _both(tmp_path, FIT, json.dumps(dict(reversed(FIT.items())), indent=3))
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same numbers in other bytes")


def test_a_small_difference_is_within_tolerance_of_its_lists_scale(tmp_path: Path) -> None:
    answer = _both(tmp_path, FIT, _changed(rates=[1.25, 2000.5, 3.125 + 1e-7]))
    assert answer.verdict is Sameness.WITHIN_TOLERANCE
    assert answer.detail == "largest difference 1e-07, 5e-11 of the largest value"


def test_the_first_and_the_largest_difference_are_named_by_path(tmp_path: Path) -> None:
    answer = _both(tmp_path, FIT, _changed(rates=[1.25, 2000.5, 4.125]))
    assert answer.detail == ("1 of 3 numbers differs, by 1.0 at $.fit.rates[2] (3.125 was expected, 4.125 found)")
    answer = _both(tmp_path, FIT, _changed(rates=[2.25, 2000.5, 5.125]))
    assert answer.detail == (
        "2 of 3 numbers differ, by at most 2.0 at $.fit.rates[2] (3.125 was expected, 5.125 found);"
        " $.fit.rates[0] is the first that differs"
    )
    assert answer.largest == 2.0


@pytest.mark.parametrize(
    ("found", "detail"),
    [
        (_changed(ok=1), "$.fit.ok differs (true was expected, 1 found)"),
        (_changed(n=4), "1 of 1 number differs, by 1.0 at $.fit.n (3 was expected, 4 found)"),
        (_changed(rates=[1.25]), "$.fit.rates should have 3 entries, but has 1"),
        (_changed(more=1), "$.fit.more was not expected"),
        ({**FIT, "a key": "Text"}, '$["a key"] differs ("text" was expected, "Text" found)'),
        ({**FIT, "none": {}}, "$.none differs (null was expected, an object of 0 found)"),
        ([], "$ differs (an object of 3 was expected, a list of 0 found)"),
    ],
)
def test_structure_whole_numbers_and_text_are_exact(tmp_path: Path, found: Any, detail: str) -> None:
    assert _both(tmp_path, FIT, found).detail == detail


def test_several_odd_places_are_counted(tmp_path: Path) -> None:
    assert _both(tmp_path, {"a": 1, "b": "x", "c": 2}, {"b": "y", "d": 2}).detail == "$.a is missing; 3 more like it"


def test_nan_is_nan(tmp_path: Path) -> None:
    assert _both(tmp_path, "[NaN, Infinity]", "[NaN,Infinity]").verdict is Sameness.EQUAL
    answer = _both(tmp_path, "[NaN]", "[1.0]")
    assert answer.detail == "1 of 1 number differs, at $[0] (nan was expected, 1.0 found)"


@pytest.mark.parametrize(
    "found", ["[1", "[" * 200_000, "9" * 5_000, '{"a": 1} 2', "\ud800".encode("utf-8", "surrogatepass").hex() + "}"]
)
def test_what_is_no_json_is_a_sentence(tmp_path: Path, found: str) -> None:
    answer = _both(tmp_path, FIT, found)
    assert answer.verdict is Sameness.DIFFERENT
    assert answer.detail.startswith("the found file can't be read as .json: ")


def test_a_document_beyond_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurocaas.comparison.trees.LARGEST_BYTES", 100)
    answer = _both(tmp_path, [1], [1] * 100)
    assert answer.detail == (
        "the found file can't be read as .json: it claims 300 bytes, more than the 100 that are read"
    )


def test_numbers_beyond_floats_are_compared(tmp_path: Path) -> None:
    assert _both(tmp_path, "[1e999]", "[2e999]").verdict is Sameness.DIFFERENT
    assert _both(tmp_path, [10**400, 1.5], [10**400 + 1, 1.5]).verdict is Sameness.DIFFERENT
    assert _both(tmp_path, f"[{10**400}, 1.5]", f"[{10**400},1.5]").verdict is Sameness.EQUAL


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_any_document_is_equal_to_itself_written_otherwise(tmp_path: Path, value: Any) -> None:
    answer = _both(
        tmp_path,
        value if not isinstance(value, str) else [value],
        json.dumps(value if not isinstance(value, str) else [value], indent=1) + "\n",
    )
    assert answer.verdict is Sameness.EQUAL
