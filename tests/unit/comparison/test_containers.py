"""Containers of HDF5, NWB among them, and MATLAB's .mat."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from neurocaas.comparison import Sameness, blocks
from unit.comparison.conftest import Compared

FRAMES = np.arange(2000.0).reshape(20, 10, 10)


def _h5(change: Callable[[Any], None] = lambda file: None, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("fit/frames", data=FRAMES, **options)
            file["fit/names"] = ["a", "größe"]
            file["fit/n"] = 3
            file["fit"].attrs["rate"] = 30.0
            file["fit/frames"].attrs["unit"] = "dF/F"
            file["soft"] = h5py.SoftLink("/fit/n")
            change(file)

    return write


def _set(path: str, place: Any, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        file[path][place] = value

    return change


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (3, 4, 5)},
        {"compression": "gzip"},
        {"track_times": True},
        {"chunks": (20, 1, 1)},
        {"maxshape": (None, 10, 10)},
    ],
)
def test_layout_and_times_of_the_container_do_not_count(compared: Compared, options: Any) -> None:
    answer = compared("a.h5", _h5(), _h5(**options))
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same numbers in other bytes")


def test_small_differences_are_within_tolerance(compared: Compared) -> None:
    answer = compared("a.hdf5", _h5(), _h5(_set("fit/frames", (0, 0, 1), 1 + 1e-7)))
    assert answer.verdict is Sameness.WITHIN_TOLERANCE
    assert answer.detail == "/fit/frames: largest difference 1e-07, 5e-11 of the largest value"


def test_one_changed_number_is_named_by_path_and_place(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 130)
    for options in ({}, {"chunks": (3, 4, 5)}):
        answer = compared("a.h5", _h5(**options), _h5(_set("fit/frames", (19, 9, 8), 0.0)))
        assert answer.detail == (
            "/fit/frames: 1 of 2,000 numbers differs, by 1998.0 at [19, 9, 8] (1998.0 was expected, 0.0 found)"
        )


def _delete(path: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[path]

    return change


def _replace(path: str, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[path]
        file[path] = value

    return change


def _attribute(path: str, name: str, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        file[path].attrs[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (
            _set("fit/names", 1, "grösse"),
            '/fit/names: 1 of 2 texts differs, at [1] ("größe" was expected, "grösse" found)',
        ),
        (_set("fit/n", (), 4), "/fit/n: 1 of 1 number differs, by 1.0 (3 was expected, 4 found)"),
        (
            _attribute("fit", "rate", 31.0),
            "/fit, attribute rate: 1 of 1 number differs, by 1.0 (30.0 was expected, 31.0 found)",
        ),
        (_attribute("fit/frames", "unit", "V"), '/fit/frames, attribute unit: "dF/F" was expected, "V" found'),
        (_attribute("fit", "new", 1), "/fit, attributes: new: in the file found, but not expected"),
        (_delete("fit/n"), "/fit: n: missing from the file found"),
        (_replace("fit/n", [1, 2]), "/fit/n: shape () was expected, (2,) found"),
        (_replace("fit/n", 3.0), "/fit/n: the type int64 was expected, float64 found"),
        (_replace("soft", h5py.SoftLink("/etc")), "/soft: a link to /fit/n was expected, /etc found"),
        (
            _replace("soft", h5py.ExternalLink("/etc/passwd", "/x")),
            "/soft: a link to /fit/n was expected, /etc/passwd:/x found",
        ),
        (_replace("soft", 3), "/soft: a link was expected, a data set found"),
    ],
)
def test_every_other_difference_is_named_by_path(compared: Compared, change: Any, detail: str) -> None:
    answer = compared("a.h5", _h5(), _h5(change))
    assert (answer.verdict, answer.detail) == (Sameness.DIFFERENT, detail)


def _nwb(number: int, file_id: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.attrs["nwb_version"] = "2.8.0"
            file.attrs["object_id"] = file_id
            file["file_create_date"] = [file_id]
            series = file.create_dataset("acquisition/data", data=np.arange(5))
            series.attrs["object_id"] = file_id
            series.attrs["source"] = series.ref
            rows = np.array(
                [(0, number, series.ref)], np.dtype([("start", "i4"), ("count", "i4"), ("series", h5py.ref_dtype)])
            )
            file["epochs"] = rows
            ragged = file.create_dataset("ragged", (2,), h5py.vlen_dtype("f8"))
            ragged[0], ragged[1] = [1.0, 2.0], [float(number)]

    return write


def test_what_nwb_draws_anew_in_every_file_does_not_count(compared: Compared) -> None:
    assert compared("a.nwb", _nwb(5, "1"), _nwb(5, "2")).verdict is Sameness.EQUAL
    answer = compared("a.nwb", _nwb(5, "1"), _nwb(6, "2"))
    assert answer.detail == (
        "/epochs.count: 1 of 1 number differs, by 1.0 at [0] (5 was expected, 6 found); 1 more differs"
    )


def test_a_group_that_holds_itself_is_walked_once(compared: Compared) -> None:
    def loop(file: Any) -> None:
        file["fit/again"] = file["fit"]

    assert compared("a.h5", _h5(loop), _h5(loop, compression="gzip")).verdict is Sameness.EQUAL


def _shaped(shape: tuple[int, ...], fill: float, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("huge", shape, "f8", fillvalue=fill, chunks=(1024,), **options)

    return write


def test_a_huge_shape_that_holds_nothing_is_not_read(compared: Compared) -> None:
    began = time.monotonic()
    assert compared("a.h5", _shaped((10**15,), 1), _shaped((10**15,), 1, compression="gzip")).verdict is Sameness.EQUAL
    assert compared("a.h5", _shaped((10**15,), 1), _shaped((10**15,), 2)).verdict is Sameness.DIFFERENT

    def one_written(path: Path) -> None:
        _shaped((10**15,), 1)(path)
        with h5py.File(path, "r+") as file:
            file["huge"][0] = 5

    answer = compared("a.h5", one_written, _shaped((10**15,), 1))
    assert "claims 8,000,000,000,000,000 bytes" in answer.detail
    assert time.monotonic() - began < 2


def test_numbers_in_another_file_are_not_followed(compared: Compared, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(800))

    def outside(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("x", (100,), "f8", external=[(str(tmp_path / "secret"), 0, 800)])

    def inside(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file["x"] = np.zeros(100)

    answer = compared("a.h5", inside, outside)
    assert answer.detail == (
        "/x: the found file can't be read as .h5: its numbers lie in another file, which is not followed"
    )


def test_a_damaged_chunk_is_named(compared: Compared) -> None:
    def damaged(path: Path) -> None:
        _h5(chunks=(20, 10, 10), compression="gzip")(path)
        with h5py.File(path) as file:
            at = file["fit/frames"].id.get_chunk_info(0).byte_offset
        content = bytearray(path.read_bytes())
        content[at + 2 : at + 40] = bytes(38)
        path.write_bytes(content)

    answer = compared("a.h5", _h5(), damaged)
    assert answer.detail.startswith("/fit/frames: the found file can't be read as .h5: ")


def _mat(change: Callable[[dict[str, Any]], None] = lambda content: None, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content: dict[str, Any] = {
            "x": np.arange(12.0).reshape(3, 4),
            "name": "mouse",
            "fit": {"rate": 30.5, "cells": np.array([np.ones(2), "text"], object)},
            "s": scipy.sparse.csc_matrix(np.eye(3)),
        }
        change(content)
        scipy.io.savemat(path, content, **options)

    return write


def test_the_date_and_compression_of_a_mat_do_not_count(compared: Compared) -> None:
    answer = compared("a.mat", _mat(), _mat(do_compression=True))
    assert (answer.verdict, answer.detail) == (Sameness.EQUAL, "the same numbers in other bytes")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (
            lambda c: c["x"].__setitem__((2, 1), 0),
            "x: 1 of 12 numbers differs, by 9.0 at [2, 1] (9.0 was expected, 0.0 found)",
        ),
        (lambda c: c.update(name="Mouse"), 'name: 1 of 1 text differs, at [0] ("mouse" was expected, "Mouse" found)'),
        (
            lambda c: c["fit"].update(rate=31.5),
            "fit.rate: 1 of 1 number differs, by 1.0 at [0, 0] (30.5 was expected, 31.5 found)",
        ),
        (
            lambda c: c["fit"]["cells"].__setitem__(0, np.ones(3)),
            "fit.cells[0, 0]: shape (1, 2) was expected, (1, 3) found",
        ),
        (
            lambda c: c.update(s=scipy.sparse.csc_matrix(np.eye(3) * [1, 1, 2])),
            "s: 1 of 3 stored numbers differs, by 1.0 at [2] (1.0 was expected, 2.0 found)",
        ),
        (lambda c: c.pop("x"), "x: missing from the file found"),
        (lambda c: c["fit"].pop("rate"), "fit: rate: missing from the file found"),
    ],
)
def test_a_difference_in_a_mat_is_named(compared: Compared, change: Any, detail: str) -> None:
    answer = compared("a.mat", _mat(), _mat(change))
    assert (answer.verdict, answer.detail) == (Sameness.DIFFERENT, detail)


def test_a_small_difference_in_a_mat_is_within_tolerance(compared: Compared) -> None:
    answer = compared("a.mat", _mat(), _mat(lambda c: c["x"].__iadd__(1e-9)))
    assert answer.verdict is Sameness.WITHIN_TOLERANCE


def test_matlab_7_3_is_hdf5_behind_a_date(compared: Compared) -> None:
    def write(date: bytes, value: float) -> Callable[[Path], None]:
        def to(path: Path) -> None:
            with h5py.File(path, "w", userblock_size=512) as file:
                file["x"] = np.full((2, 2), value)
            with path.open("r+b") as file:
                file.write(b"MATLAB 7.3 MAT-file, " + date)

        return to

    assert compared("a.mat", write(b"Monday", 1), write(b"Friday", 1)).verdict is Sameness.EQUAL
    assert compared("a.mat", write(b"Monday", 1), write(b"Monday", 2)).detail.startswith("/x: 4 of 4 numbers differ")
    assert compared("a.mat", write(b"Monday", 1), _mat()).detail == (
        "the format of MATLAB 7.3 was expected, that of an older MATLAB found"
    )


def test_a_bomb_in_a_mat_is_not_unpacked(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurocaas.comparison.matlab.LARGEST_BYTES", 1_000_000)
    monkeypatch.setattr("neurocaas.comparison.matlab.AT_ONCE_BYTES", 1_000_000)

    def bomb(path: Path) -> None:
        _mat()(path)
        squeezed = zlib.compress(bytes(50_000_000))
        path.write_bytes(path.read_bytes()[:128] + b"\x0f\0\0\0" + len(squeezed).to_bytes(4, "little") + squeezed)

    answer = compared("a.mat", _mat(), bomb)
    assert answer.detail.startswith("the found file can't be read as .mat: it claims ")
