"""Arrays of NumPy, HDF5 and MATLAB: how each shape and type is shown, and what is never read."""

from __future__ import annotations

import io
import pickle
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocaas.server.viewers.readers import numpy_files
from neurocaas.server.viewers.readers.windows import in_words, taken, windows
from neurocaas.server.viewers.sizes import READ_BYTES
from unit.server.viewers.conftest import Seen

See = Callable[..., Seen]
RANDOM = np.random.default_rng(2)
STACK = RANDOM.integers(0, 4000, (6, 40, 50), np.uint16)


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that old versions of NumPy can't read some names
        np.save(out, array)
    return out.getvalue()


def header(shape: str, descr: str = "'<f8'", order: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    padded = text + " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


@pytest.mark.parametrize(
    ("array", "how", "block"),
    [
        (np.arange(500.0), "traces", (1, 500)),
        (np.arange(90_000), "traces", (1, 2000)),
        (np.zeros((1, 300, 1), np.float32), "traces", (1, 300)),
        (RANDOM.normal(size=(3, 5000)), "traces", (3, 1667)),
        (RANDOM.normal(size=(5000, 3)), "traces", (3, 1667)),
        (RANDOM.normal(size=(50, 60)), "heat map", (50, 60)),
        (RANDOM.random((50, 60)) > 0.5, "heat map", (50, 60)),
        (STACK, "images", (40, 50)),
        (np.asfortranarray(STACK), "images", (40, 50)),
        (STACK.astype(">f4"), "images", (40, 50)),
        (STACK[None, :, None], "images", (40, 50)),
        (RANDOM.integers(0, 255, (40, 50, 3), np.uint8), "images", (40, 50, 3)),
        (RANDOM.integers(0, 255, (4, 40, 50, 4), np.uint8), "images", (40, 50, 3)),
        (np.float16(RANDOM.normal(size=(20, 30))), "heat map", (20, 30)),
        (np.full((20, 30), 7), "heat map", (20, 30)),
        (np.full(100, np.finfo(float).max), "traces", (1, 100)),
    ],
)
def test_shape_and_type_say_how_an_array_is_shown(see: See, array: Any, how: str, block: tuple[int, ...]) -> None:
    seen = see("a.npy", npy(array))
    assert (seen.preview.how, seen.block.shape) == (how, block)
    assert seen.preview.chosen.shape == array.shape
    assert all(png.startswith(b"\x89PNG") for png in seen.draw())


def test_the_note_says_which_of_the_numbers_are_shown(see: See) -> None:
    assert see("a.npy", npy(np.zeros(90_000))).preview.note == "Axis 0: 2,000 of 90,000, every 45th."


def test_a_stack_is_stepped_through_along_its_first_axis(see: See) -> None:
    seen = see("a.npy", npy(STACK), index=4)
    assert (seen.preview.slices, seen.preview.index) == (6, 4)
    assert np.array_equal(np.frombuffer(seen.numbers).reshape(40, 50), STACK[4])
    assert see("a.npy", npy(STACK), index=10**18).preview.index == 5


def test_nan_and_infinity_are_counted_and_left_out_of_the_range(see: See) -> None:
    array = np.arange(600.0).reshape(20, 30)
    array[0, :3] = np.nan, np.inf, -np.inf
    seen = see("a.npy", npy(array))
    assert (seen.preview.not_finite, seen.preview.minimum, seen.preview.maximum) == (3, 3.0, 599.0)
    assert "3 of the 600 numbers shown are NaN or infinite." in seen.preview.note
    everything = see("a.npy", npy(np.full((20, 30), np.nan)))
    assert (everything.preview.minimum, everything.preview.not_finite) == (None, 600)
    assert all(everything.draw())


def test_complex_numbers_are_drawn_by_their_absolute_value(see: See) -> None:
    seen = see("a.npy", npy(np.full(100, 3 + 4j)))
    assert (seen.preview.minimum, seen.preview.maximum) == (5.0, 5.0)
    assert "absolute value" in seen.preview.note


@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0, 10**12)])
def test_an_empty_array_is_said_to_be_empty(see: See, shape: tuple[int, ...]) -> None:
    seen = see("a.npy", header(str(shape)))
    assert (seen.preview.how, seen.preview.note, seen.block) == ("nothing", "It is empty.", None)


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (np.array(3.5), ("3.5",)),
        (np.array([[7]]), ("7",)),
        (np.array(["mouse", "<b>é\n"]), ("mouse", "<b>é ")),
        (np.array([b"ab", b"\xff"]), ("ab", "�")),
        (np.array(["2026-01-02"], "M8[D]"), ("2026-01-02",)),
        (np.array([(1, 2.5)], "i4,f8"), ("(1, 2.5)",)),
    ],
)
def test_what_is_no_row_of_numbers_is_written(see: See, array: Any, values: tuple[str, ...]) -> None:
    seen = see("a.npy", npy(array))
    assert (seen.preview.how, seen.preview.values, seen.preview.picture) == ("values", values, False)


def test_of_many_texts_the_first_are_written(see: See) -> None:
    seen = see("a.npy", npy(np.arange(30_000).astype("U").reshape(3, 10_000)))
    assert seen.preview.values == tuple(map(str, range(100)))
    assert seen.preview.note == "The first 100 of 30,000 values."


class Sprung:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_python_objects_are_never_unpickled(see: See, name: str) -> None:
    content = header("(1,)", "'|O'") + pickle.dumps(np.array([Sprung()], object))
    if name == "a.npz":
        content = zipped({"x.npy": content})
    seen = see(name, content)
    assert seen.preview.form == "not shown"
    assert "Python objects, which are never unpickled" in seen.preview.sentence


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (header("(1000000000000,)"), "shorter than its header says"),
        (header("(1000000000000,)") + bytes(800), "shorter than its header says"),
        (header(f"({2**62}, 4)"), "can't be read"),
        (header("(-3,)"), "a shape that no array has"),
        (header("(3.5,)"), "shape"),
        (header("(3,)", "'no such type'"), "descr"),
        (b"\x93NUMPY\x01\x00\xff\xff{" + b"(" * 65534, "eader"),
        (b"\x93NUMPY", "magic"),
        (b"", "magic"),
        (b"GIF89a", "magic"),
        (npy(np.arange(9.0))[:-1], "shorter than its header says"),
    ],
)
def test_a_header_that_lies_is_a_sentence(see: See, content: bytes, why: str) -> None:
    preview = see("a.npy", content).preview
    assert preview.form == "not shown"
    assert why in preview.sentence
    assert preview.sentence.startswith("The result file can't be read as .npy: ")


@pytest.mark.parametrize("descr", ["'<U0'", "'|S0'", "'|V0'"])
def test_texts_without_letters_cost_nothing_however_many_are_claimed(see: See, descr: str) -> None:
    assert see("a.npy", header("(1000000000000,)", descr)).preview.how == "values"


def sparse_npy(path: Path, shape: tuple[int, ...]) -> None:
    with path.open("wb") as file:
        file.write(header(str(shape)))
        file.truncate(file.tell() + int(np.prod(shape)) * 8)


@pytest.mark.parametrize("shape", [(625_000_000,), (25_000, 25_000), (10_000, 250, 250), (5, 125_000_000)])
def test_of_five_gigabytes_only_what_is_shown_is_read(see: See, shape: tuple[int, ...]) -> None:
    started = time.monotonic()
    seen = see("a.npy", lambda path: sparse_npy(path, shape), index=3)
    assert seen.preview.picture
    assert time.monotonic() - started < 2


@pytest.mark.thorough
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.nested_dtypes()).filter(lambda one: not one.hasobject),
        hnp.array_shapes(min_dims=0, max_dims=6, min_side=0, max_side=5),
    )
)
def test_any_array_is_shown_in_one_way_or_the_other(see: See, array: Any) -> None:
    seen = see("a.npy", npy(array))
    assert seen.preview.form == "array"
    assert seen.preview.chosen.shape == array.shape
    if seen.block is not None:
        assert seen.draw()[0].startswith(b"\x89PNG")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 127), byte=st.integers(0, 255))
def test_a_flipped_byte_in_the_header_is_never_more_than_a_sentence(see: See, at: int, byte: int) -> None:
    content = bytearray(npy(np.arange(40.0).reshape(8, 5)))
    content[at] = byte
    assert see("a.npy", bytes(content)).preview.form in ("array", "not shown")


@given(st.data())
def test_windows_read_no_more_than_they_may(data: st.DataObject) -> None:
    dimensions = data.draw(st.integers(1, 3))
    shape = data.draw(st.lists(st.integers(1, 10**9), min_size=dimensions, max_size=dimensions))
    grain = [data.draw(st.integers(1, 2 * length)) for length in shape]
    most = {axis: data.draw(st.integers(1, 2000)) for axis in range(dimensions)}
    size = data.draw(st.sampled_from([0, 1, 4096, 2**22]))
    parts = windows(shape, most, grain, size)
    touched = 1
    for axis, part in parts.items():
        assert 1 <= taken(part) <= most[axis]
        assert part.stop <= shape[axis]
        touched *= -(-part.stop // max(part.step, grain[axis]))
    assert touched * size <= READ_BYTES or touched == 1


def test_what_is_left_out_is_said_in_words() -> None:
    assert in_words(slice(0, 10, 1), 10) == ""
    assert in_words(slice(0, 2000, 1), 90_000) == "the first 2,000 of 90,000"
    assert in_words(slice(0, 4000, 2), 90_000) == "2,000 of the first 4,000 of 90,000, every 2nd"


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("array", [STACK, np.asfortranarray(STACK)])
def test_an_archive_lists_its_arrays_and_shows_the_largest(see: See, save: Any, array: Any) -> None:
    def write(path: Path) -> None:
        save(path, scores=np.arange(30.0), stack=array, names=np.array(["long name"] * 50_000), empty=np.zeros(0))

    seen = see("a.npz", write, index=2)
    assert [one.path for one in seen.preview.datasets] == ["scores", "stack", "names", "empty"]
    assert seen.preview.chosen.path == "stack"
    assert np.array_equal(np.frombuffer(seen.numbers).reshape(40, 50), STACK[2])
    assert seen.preview.note == ""
    chosen = see("a.npz", write, dataset="scores")
    assert chosen.block.shape == (1, 30)
    unknown = see("a.npz", write, dataset="../../etc/passwd")
    assert unknown.preview.note.startswith("It holds no ../../etc/passwd; another array is shown.")


def test_of_a_large_compressed_array_the_beginning_is_unpacked(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_files, "MEMORY_BYTES", 256 * 1024)
    content = header("(600, 32, 32)", "'|u1'") + bytes(600 * 1024)
    seen = see("a.npz", zipped({"zeros.npy": content}, zipfile.ZIP_DEFLATED), index=599)
    assert (seen.preview.slices, seen.preview.index) == (256, 255)
    assert "only the first 256 slices are read" in seen.preview.note
    flat = zipped({"x.npy": header("(4096, 100)", order="True") + bytes(4096 * 800)}, zipfile.ZIP_DEFLATED)
    assert "only its first 262,144 bytes are unpacked" in see("a.npz", flat).preview.note


def test_a_member_that_claims_more_than_it_holds_is_a_sentence(see: See) -> None:
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        content = zipped({"x.npy": header("(100000, 1000)") + bytes(800)}, compression)
        assert "shorter than its header says" in see("a.npz", content).preview.sentence
    one_slice = zipped({"x.npy": header(f"({2**33},)", "'|u1'", "True") + bytes(9)}, zipfile.ZIP_DEFLATED)
    assert see("a.npz", one_slice).preview.form == "not shown"
    broken = zipped({"x.npy": npy(np.arange(9.0))})
    assert see("a.npz", broken[:-30]).preview.form == "not shown"
    assert "it holds no array" in see("a.npz", zipped({})).preview.sentence


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("session/movie", data=STACK, chunks=(1, 40, 50), compression="gzip")
        file["session/times"] = np.arange(6) / 30
        file["note"] = "a mouse"
        file["nothing"] = h5py.Empty("f4")
        file["texts"] = np.array(["one", "two"], h5py.string_dtype())
        file["again"] = file["session"]
        file["loop"] = file["/"]
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
        file["dangling"] = h5py.SoftLink("/no/such")


def test_a_container_lists_each_data_set_once_and_follows_no_link_out(see: See) -> None:
    seen = see("a.h5", hdf5, index=3)
    paths = {one.path.rpartition("/")[2] for one in seen.preview.datasets}
    assert paths == {"movie", "times", "note", "nothing", "texts"}
    assert len(seen.preview.datasets) == 5
    assert np.array_equal(np.frombuffer(seen.numbers).reshape(40, 50), STACK[3])
    assert see("a.h5", hdf5, dataset="texts").preview.values == ("one", "two")
    assert see("a.h5", hdf5, dataset="note").preview.values == ("a mouse",)
    assert see("a.h5", hdf5, dataset="nothing").preview.how == "nothing"
    assert see("a.h5", hdf5, dataset="elsewhere").preview.chosen.path != "elsewhere"


def test_numbers_in_another_file_are_not_followed(see: See) -> None:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("secret", (8,), "u1", external=[("/etc/passwd", 0, 8)])

    assert "its numbers lie in another file" in see("a.hdf5", write).preview.sentence


def test_of_many_chunks_only_as_many_are_unpacked_as_are_allowed(see: See) -> None:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:  # nothing is written, so nothing is stored: 8 TB are claimed
            file.create_dataset("x", (10**6, 10**6), "f8", chunks=(1000, 1000), compression="gzip")

    started = time.monotonic()
    seen = see("a.nwb", write)
    assert time.monotonic() - started < 2
    assert "of the first" in seen.preview.note


def test_a_chunk_too_large_for_a_preview_is_a_sentence(see: See) -> None:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("x", (60_000, 10_000), "u1", chunks=(60_000, 10_000))

    assert "a chunk of it has 600,000,000 bytes" in see("a.h5", write).preview.sentence


@pytest.mark.parametrize("step", [97, 333])
def test_a_damaged_container_is_never_more_than_a_sentence(see: See, tmp_path: Path, step: int) -> None:
    hdf5(tmp_path / "whole.h5")
    whole = (tmp_path / "whole.h5").read_bytes()
    assert see("a.h5", whole[:700]).preview.form == "not shown"
    assert see("a.h5", b"").preview.form == "not shown"
    damaged = bytearray(whole)
    damaged[2048::step] = bytes(len(damaged[2048::step]))
    assert see("b.h5", bytes(damaged)).preview.form in ("array", "not shown")


def matlab(path: Path) -> None:
    scipy.io.savemat(
        path,
        {
            "A": np.moveaxis(STACK, 0, -1),
            "session": {"times": np.arange(6) / 30, "mouse": {"name": "M1"}},
            "sparse": scipy.sparse.csc_matrix(np.eye(30)),
            "cells": np.array([[1, "two"]], object),
        },
    )


def test_matlab_stacks_are_stepped_through_along_their_last_axis(see: See) -> None:
    seen = see("a.mat", matlab, index=4)
    assert {one.path for one in seen.preview.datasets} == {
        "A",
        "session.times",
        "session.mouse.name",
        "sparse",
        "cells",
    }
    assert (seen.preview.chosen.path, seen.preview.slices) == ("A", 6)
    assert np.array_equal(np.frombuffer(seen.numbers).reshape(40, 50), STACK[4])
    assert see("a.mat", matlab, dataset="session.mouse.name").preview.values == ("M1",)
    assert see("a.mat", matlab, dataset="sparse").preview.how == "heat map"
    assert see("a.mat", matlab, dataset="cells").preview.how == "values"


def test_matlab_7_3_has_the_axes_that_matlab_counts(see: See) -> None:
    def write(path: Path) -> None:
        with h5py.File(path, "w", userblock_size=512) as file:
            file["A"] = STACK.transpose(0, 2, 1)  # as MATLAB writes an array of (40, 50, 6)
            file["#refs#/a"] = np.arange(3)

    seen = see("a.mat", write, index=4)
    assert [(one.path, one.shape) for one in seen.preview.datasets] == [("A", (40, 50, 6))]
    assert np.array_equal(np.frombuffer(seen.numbers).reshape(40, 50), STACK[4])


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file" + bytes(300), bytes(200), b"\xff" * 4096])
def test_a_damaged_matlab_file_is_a_sentence(see: See, content: bytes) -> None:
    assert see("a.mat", content).preview.form == "not shown"
