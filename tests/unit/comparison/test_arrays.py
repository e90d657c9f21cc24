"""Arrays of NumPy: .npy and .npz."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neurocaas.comparison import Comparison, Sameness, blocks, compare
from unit.comparison.conftest import Compared

QUICK = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, max_side=5)
FLOATS = arrays.arrays(np.float64, SHAPES, elements=st.floats(-1e6, 1e6))
FIELDS = st.lists(arrays.scalar_dtypes(), min_size=1, max_size=3).map(
    lambda types: np.dtype([(f"field {number}", one) for number, one in enumerate(types)])
)
ANY = arrays.arrays(arrays.scalar_dtypes() | FIELDS, SHAPES)


def _npy(array: Any) -> Callable[[Path], None]:
    return lambda path: np.save(path, array)


def _npz(**members: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **members)


def _both(folder: Path, expected: Any, found: Any) -> Comparison:
    for name, array in (("expected.npy", expected), ("found.npy", found)):
        np.save(folder / name, array)
    return compare(folder / "expected.npy", folder / "found.npy")


def test_one_changed_number_is_named_with_place_and_size(compared: Compared) -> None:
    one = np.zeros((4000, 3))
    one[3, 2] = 5.25
    other = one.copy()
    other[3, 2] = 6.25
    answer = compared("a.npy", _npy(one), _npy(other))
    assert answer == Comparison(
        verdict=Sameness.DIFFERENT,
        detail="1 of 12,000 numbers differs, by 1.0 at [3, 2] (5.25 was expected, 6.25 found)",
        largest=1.0,
    )


def test_a_small_difference_is_within_tolerance_and_measured(compared: Compared) -> None:
    one = np.array([1500.0, 2.0, 3.0])
    answer = compared("a.npy", _npy(one), _npy(np.array([1500.0, 2.0 + 3e-9, 3.0])))
    assert answer.verdict is Sameness.WITHIN_TOLERANCE
    assert answer.detail == "largest difference 3e-09, 2e-12 of the largest value"


@pytest.mark.parametrize(
    ("dtype", "within", "beyond"),
    [("f2", 5e-3, 5e-2), ("f4", 5e-6, 5e-5), ("f8", 5e-10, 5e-9), ("c8", 5e-6, 5e-5), ("c16", 5e-10, 5e-9)],
)
def test_the_tolerance_is_that_of_the_precision(compared: Compared, dtype: str, within: float, beyond: float) -> None:
    one = np.ones(3, dtype)
    assert compared("a.npy", _npy(one), _npy((one * (1 + within)).astype(dtype))).verdict is Sameness.WITHIN_TOLERANCE
    assert compared("a.npy", _npy(one), _npy((one * (1 + beyond)).astype(dtype))).verdict is Sameness.DIFFERENT


def test_at_the_edge_of_the_tolerance_too_either_file_may_be_the_expected_one(compared: Compared) -> None:
    # 11 steps apart, which is more than a hundredth of the smaller and less than a hundredth of the larger number.
    one, other = np.array([1090 / 1024], "f2"), np.array([1101 / 1024], "f2")
    for expected, found in ((one, other), (other, one)):
        assert compared("a.npy", _npy(expected), _npy(found)).verdict is Sameness.WITHIN_TOLERANCE


@pytest.mark.parametrize("dtype", ["i1", "i8", "u8", "?"])
def test_whole_numbers_are_exact(compared: Compared, dtype: str) -> None:
    one = np.array([0, 1, 1], dtype)
    answer = compared("a.npy", _npy(one), _npy(np.array([0, 0, 1], dtype)))
    assert (answer.verdict, answer.largest) == (Sameness.DIFFERENT, 1.0)


def test_neighbouring_large_integers_differ_by_one(compared: Compared) -> None:
    answer = compared("a.npy", _npy(np.array([2**63 - 1])), _npy(np.array([2**63 - 2])))
    assert "by 1.0 at [0] (9223372036854775807 was expected, 9223372036854775806 found)" in answer.detail
    answer = compared("a.npy", _npy(np.array([-(2**63)])), _npy(np.array([2**63 - 1])))
    assert answer.largest == float(2**64 - 1)


def test_nan_is_nan_and_never_a_number(compared: Compared) -> None:
    one = np.array([1.0, np.nan, np.inf])
    assert compared("a.npy", _npy(one), _npy(one.astype(">f8"))).verdict is Sameness.EQUAL
    answer = compared("a.npy", _npy(one), _npy(np.array([1.0, 2.0, np.inf])))
    assert answer.detail == "1 of 3 numbers differs, at [1] (nan was expected, 2.0 found)"
    assert answer.largest == math.inf
    assert compared("a.npy", _npy(one), _npy(np.array([1.0, np.nan, -np.inf]))).verdict is Sameness.DIFFERENT


def test_a_wrong_giant_does_not_hide_behind_its_own_size(compared: Compared) -> None:
    one = np.ones(5)
    for giant in (1e12, 1.7e308, -1.7e308):
        other = one.copy()
        other[1] = giant
        assert compared("a.npy", _npy(one), _npy(other)).verdict is Sameness.DIFFERENT
        assert compared("a.npy", _npy(other), _npy(one)).verdict is Sameness.DIFFERENT


@pytest.mark.parametrize(
    "other",
    [np.asfortranarray(np.arange(12.0).reshape(3, 4)), np.arange(12.0).reshape(3, 4).astype(">f8")],
    ids=["columns first", "big-endian"],
)
def test_the_same_numbers_in_other_bytes_are_equal(compared: Compared, other: Any) -> None:
    answer = compared("a.npy", _npy(np.arange(12.0).reshape(3, 4)), _npy(other))
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same numbers in other bytes")


def test_shape_and_type_are_compared_first(compared: Compared) -> None:
    one = np.zeros((2, 3))
    assert compared("a.npy", _npy(one), _npy(one.T)).detail == "shape (2, 3) was expected, (3, 2) found"
    assert compared("a.npy", _npy(one), _npy(one.astype("f4"))).detail == "the type float64 was expected, float32 found"


def test_fields_are_compared_each_with_its_own_tolerance(compared: Compared) -> None:
    dtype = [("name", "U8"), ("fit", [("x", "f8", (2,)), ("n", "i4")])]
    one = np.array([("a", ([1e6, 2], 3)), ("b", ([4, 5], 6))], dtype)
    other = one.copy()
    other["fit"]["x"][1, 1] += 1e-4
    assert compared("a.npy", _npy(one), _npy(other)).verdict is Sameness.WITHIN_TOLERANCE
    other["fit"]["n"][1] = 7
    assert compared("a.npy", _npy(one), _npy(other)).detail == (
        "fit.n: 1 of 2 numbers differs, by 1.0 at [1] (6 was expected, 7 found)"
    )
    other["fit"]["x"][1, 1] += 1
    other["name"][0] = "A"
    assert compared("a.npy", _npy(one), _npy(other)).detail == (
        'name: 1 of 2 texts differs, at [0] ("a" was expected, "A" found); 2 more differ'
    )


class _Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a result file was unpickled",))


def test_objects_are_never_unpickled(compared: Compared) -> None:
    one, other = np.array([_Trap()], object), np.array([_Trap(), 1], object)
    answer = compared("a.npy", _npy(one), _npy(other))
    assert answer.detail == (
        "the expected file can't be read as .npy: it holds Python objects, which are never unpickled"
    )
    answer = compared("a.npz", _npz(good=np.ones(1), bad=one), _npz(good=np.ones(1), bad=other))
    assert answer.verdict is Sameness.DIFFERENT
    assert "bad: the expected file" in answer.detail
    assert "never unpickled" in answer.detail


def _claiming(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"12345678"


def test_a_huge_claimed_shape_is_not_believed(compared: Compared) -> None:
    huge = _claiming((10**12, 10**3))
    answer = compared("a.npy", _npy(np.ones(1)), lambda path: path.write_bytes(huge))
    assert answer.detail == "the found file can't be read as .npy: it is shorter than its header says"
    for shape in ((10**17, 0), (10**18,)):
        nothing = _claiming(shape, "<U0" if 0 not in shape else "<f8")
        answer = compared(
            "a.npy", lambda path, it=nothing: path.write_bytes(it + b"1"), lambda path, it=nothing: path.write_bytes(it)
        )
        assert answer.verdict in set(Sameness)


def test_archives_differ_neither_by_time_nor_compression(compared: Compared) -> None:
    members = {"a": np.arange(5.0), "b": np.eye(3)}
    answer = compared("a.npz", _npz(**members), lambda path: np.savez_compressed(path, **members))
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same numbers in other bytes")


def test_the_worst_member_of_an_archive_speaks(compared: Compared) -> None:
    one = {"a": np.ones(5), "b": np.eye(3), "c": np.ones(2)}
    other = {"a": np.ones(5) + 1e-12, "b": np.eye(3) * 2, "c": np.ones(2) + 7}
    answer = compared("a.npz", _npz(**one), _npz(**other))
    assert answer.detail == (
        "b: 3 of 9 numbers differ, by at most 1.0 at [0, 0] (1.0 was expected, 2.0 found); 1 more differs"
    )
    assert answer.largest == 7.0
    assert compared("a.npz", _npz(a=one["a"]), _npz(a=other["a"])).verdict is Sameness.WITHIN_TOLERANCE


def test_members_that_are_missing_or_unexpected_are_named(compared: Compared) -> None:
    one, other = _npz(a=np.ones(1), b=np.ones(1)), _npz(a=np.ones(1), c=np.ones(1))
    assert compared("a.npz", one, other).detail == "b: missing from the file found; 1 more differs"
    assert compared("a.npz", _npz(a=np.ones(1)), other).detail == "c: in the file found, but not expected"


def test_a_damaged_member_is_named(compared: Compared) -> None:
    def damaged(path: Path) -> None:
        data = io.BytesIO()
        np.savez(data, a=np.arange(100.0), b=np.ones(3))
        content = bytearray(data.getvalue())
        content[200] ^= 0xFF
        path.write_bytes(content)

    answer = compared("a.npz", _npz(a=np.arange(100.0), b=np.ones(3)), damaged)
    assert answer.verdict is Sameness.DIFFERENT
    assert answer.detail.startswith("a: the found file can't be read as .npz: ")


def test_a_zip_bomb_is_not_unpacked(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurocaas.comparison.reading.UNPACKED_BYTES", 1_000_000)
    monkeypatch.setattr("neurocaas.comparison.reading.UNPACKED_RATIO", 100)

    def bomb(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", bytes(3_000_000))

    answer = compared("a.npz", _npz(a=np.ones(1)), bomb)
    assert answer.detail.startswith("the found file can't be read as .npz: the archive claims 3,000,000 bytes")


def test_a_difference_in_any_block_is_found_at_its_place(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 7)
    one = np.arange(60).reshape(4, 5, 3)
    for index in np.ndindex(one.shape):
        other = one.copy()
        other[index] += 1000
        for ordered in (other, np.asfortranarray(other)):
            place = f"[{', '.join(map(str, index))}]"
            assert (
                f"1 of 60 numbers differs, by 1000.0 at {place} (" in compared("a.npy", _npy(one), _npy(ordered)).detail
            )


@given(
    shape=st.lists(st.integers(0, 9), max_size=4),
    grain=st.lists(st.integers(1, 5), min_size=4, max_size=4),
    columns_first=st.booleans(),
    numbers=st.integers(1, 50),
)
def test_blocks_cover_every_place_once(shape: list[int], grain: list[int], columns_first: bool, numbers: int) -> None:
    covered = np.zeros(shape, int)
    for place in blocks.places(shape, grain[: len(shape)], columns_first=columns_first, numbers=numbers):
        covered[place] += 1
        assert covered[place].size <= max(numbers, math.prod(grain[: len(shape)]))
    assert np.all(covered == 1)


@QUICK
@given(array=ANY)
def test_any_array_is_equal_to_itself_in_other_bytes(tmp_path: Path, array: Any) -> None:
    assert _both(tmp_path, array, array).detail == "the same bytes"
    with (tmp_path / "found.npy").open("ab") as file:
        file.write(b"behind the numbers")
    assert compare(tmp_path / "expected.npy", tmp_path / "found.npy").verdict is Sameness.EQUAL


@QUICK
@given(data=st.data(), expected=FLOATS)
def test_the_verdict_does_not_depend_on_which_is_expected(tmp_path: Path, data: Any, expected: Any) -> None:
    noise = data.draw(arrays.arrays(np.float64, expected.shape, elements=st.floats(-1e-2, 1e-2)))
    found = expected + noise * data.draw(st.sampled_from([0, 1e-13, 1e-9, 1e-6, 1]))
    one, other = _both(tmp_path, expected, found), _both(tmp_path, found, expected)
    assert (one.verdict, one.largest) == (other.verdict, other.largest)


@QUICK
@given(data=st.data(), expected=FLOATS, share=st.floats(0, 3), sign=st.sampled_from([-1, 1]))
def test_one_changed_float_is_within_exactly_as_far_as_the_tolerance(
    tmp_path: Path, data: Any, expected: Any, share: float, sign: int
) -> None:
    assume(not 0.99 < share < 1.01)
    scale = float(np.max(np.abs(expected), initial=0))
    assume(scale > 1e-3)
    index = data.draw(st.integers(0, expected.size - 1))
    found = np.array(expected)
    found.reshape(-1)[index] += sign * share * 1e-9 * scale
    verdict = _both(tmp_path, expected, found).verdict
    if share > 1:
        assert verdict is Sameness.DIFFERENT
    else:
        assert verdict is not Sameness.DIFFERENT
