"""Kinds whose libraries a damaged file can crash are compared in another process."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from neurocaas.comparison import Comparison, Sameness, compare
from neurocaas.comparison.kinds import compare_here
from neurocaas.comparison.reading import Source


def _hdf5(path: Path, value: int) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.full((2, 3), value)


WRITERS = {
    ".h5": _hdf5,
    ".mat": lambda path, value: scipy.io.savemat(path, {"x": np.full((2, 3), value)}),
    ".tif": lambda path, value: tifffile.imwrite(path, np.full((2, 3), value, np.uint8)),
    ".png": lambda path, value: Image.new("L", (3, 2), value).save(path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_another_process_says_what_this_one_would(tmp_path: Path, kind: str) -> None:
    one, other = tmp_path / f"one{kind}", tmp_path / f"größe {kind}"
    WRITERS[kind](one, 5)
    WRITERS[kind](other, 9)
    answer = compare(one, other)
    assert answer == compare_here(Source(one, "expected", kind), Source(other, "found", kind))
    assert (answer.verdict, answer.largest) == (Sameness.DIFFERENT, 4.0)


def test_infinite_differences_and_names_that_are_no_text_come_through(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mat"))
    scipy.io.savemat(tmp_path / "one.mat", {"x": np.nan})
    scipy.io.savemat(odd, {"x": 1.0})
    assert compare(tmp_path / "one.mat", odd).largest == float("inf")


def test_a_crash_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which damaged files crash HDF5 or SciPy changes with their releases, so the crash is made here."""
    _hdf5(tmp_path / "one.h5", 1)
    _hdf5(tmp_path / "other.h5", 2)
    # The process imports this module from the path it is given, in place of the library.
    (tmp_path / "h5py.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert compare(tmp_path / "one.h5", tmp_path / "other.h5") == Comparison(
        verdict=Sameness.DIFFERENT,
        detail="one of the files can't be read as .h5: reading it ended its process (SIGSEGV)",
    )


def test_a_file_that_is_read_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hdf5(tmp_path / "one.h5", 1)
    _hdf5(tmp_path / "other.h5", 2)
    (tmp_path / "h5py.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "took longer than any file of its size should" in compare(tmp_path / "one.h5", tmp_path / "other.h5").detail


def test_nothing_is_imported_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hdf5(tmp_path / "one.h5", 1)
    _hdf5(tmp_path / "other.h5", 2)
    (tmp_path / "h5py.py").write_text("raise SystemExit('a result was imported')\n")
    monkeypatch.chdir(tmp_path)
    assert compare(Path("one.h5"), Path("other.h5")).largest == 1.0
