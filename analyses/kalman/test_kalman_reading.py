"""What kalman reads: tables as they are meant, and in one sentence what it cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .testing import Run, analyse, finished, known_model, saved

GOOD = np.random.default_rng(0).normal(size=(40, 3))
EMPTY_CHANNEL, INFINITE, EMPTY_TRIAL = GOOD.copy(), GOOD.copy(), np.stack([GOOD, GOOD])
EMPTY_CHANNEL[:, 1] = np.nan
INFINITE[4, 2] = np.inf
EMPTY_TRIAL[1] = np.nan

UNUSABLE: list[tuple[str, Any, str]] = [
    ("flat.npy", GOOD[:, 0], "flat.npy has 1 dimension (shape 40)"),
    ("deep.npy", GOOD[None, None], "deep.npy has 4 dimensions"),
    ("words.npy", np.array([["a", "b"]]), "words.npy holds values of type <U1"),
    ("complex.npy", GOOD * 1j, "complex.npy holds values of type complex128"),
    ("objects.npy", np.array([{}]), "objects.npy could not be read"),
    ("nothing.npy", np.zeros((0, 3)), "nothing.npy holds no values"),
    ("silent.npy", EMPTY_CHANNEL, "silent.npy has no observed value in channel 2"),
    ("infinite.npy", INFINITE, "infinite.npy holds 1 infinite value, the first at time point 5, channel 3"),
    ("trial.npy", EMPTY_TRIAL, "trial.npy has no observed value in trial 2"),
    ("short.npy", GOOD[:9], "short.npy is too short: it has 9 observed time points"),
    ("broken.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "broken.npy could not be read"),
    ("empty.npy", b"", "empty.npy is empty"),
    ("words.csv", b"a,b\n1,2\n3,four\n", "words.csv holds 'four' in row 3, column 2"),
    ("ragged.csv", b"1,2\n3\n", "ragged.csv has 1 columns in row 2 but 2 in row 1"),
    ("header.csv", b"a,b\n", "header.csv has a header but no values"),
    ("silent.csv", b"left,right\n" + b"1,\n2,nan\n" * 20, "silent.csv has no observed value in right"),
    ("binary.csv", b"\xff\xfe\x00\x01", "binary.csv is not a text file"),
    ("movie.mp4", b"mp4", "movie.mp4 is of kind '.mp4'"),
]


@pytest.mark.parametrize(("filename", "content", "sentence"), UNUSABLE, ids=[row[0] for row in UNUSABLE])
def test_unusable_recordings_fail_with_one_sentence_that_names_the_file(
    analysis_python: Path, tmp_path: Path, filename: str, content: Any, sentence: str
) -> None:
    path = tmp_path / filename
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    _check_refused(analyse(analysis_python, tmp_path / "run", path), sentence)


def _check_refused(run: Run, sentence: str) -> None:
    assert run.exit_code != 0
    assert sentence in run.output
    assert len(run.output.strip().splitlines()) == 1, run.output
    assert run.report[-1] == f"failure {run.output.strip()}"
    assert not list(run.results.iterdir())


BAD_PARAMETERS: list[tuple[str, dict[str, np.ndarray | None], str]] = [
    ("lacking", {"Q": None, "R": None}, "known.npz lacks Q, R"),
    ("shape", {"H": np.zeros((4, 3))}, "H in known.npz has the shape 4 × 3; 5 × 3 is needed"),
    ("lopsided", {"Q": np.triu(np.ones((3, 3)))}, "Q in known.npz is not symmetric"),
    ("negative", {"R": -np.eye(5)}, "R in known.npz has the eigenvalue -1"),
    ("nan", {"F": np.full((3, 3), np.nan)}, "F in known.npz holds values that are not finite"),
]


@pytest.mark.parametrize(
    ("changes", "sentence"), [row[1:] for row in BAD_PARAMETERS], ids=[r[0] for r in BAD_PARAMETERS]
)
def test_unusable_parameters_fail_with_one_sentence(
    analysis_python: Path, tmp_path: Path, changes: dict[str, np.ndarray | None], sentence: str
) -> None:
    known = {name: array for name, array in (known_model(1) | changes).items() if array is not None}
    recording, parameters = saved(tmp_path, np.zeros((20, 5)), known)
    _check_refused(analyse(analysis_python, tmp_path / "run", recording, parameters=parameters), sentence)


def test_smoothing_without_parameters_is_refused(analysis_python: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", GOOD)
    run = analyse(analysis_python, tmp_path / "run", tmp_path / "good.npy", fit=False)
    _check_refused(run, "fit is false but no parameters were given")


def test_a_table_with_a_time_column_and_empty_cells_is_read_as_meant(analysis_python: Path, tmp_path: Path) -> None:
    rows = ["time;left;right", *(f"{t / 10};{'' if t in (5, 6) else np.sin(t / 3)};NaN" for t in range(20))]
    rows += [f"{t / 10};{np.sin(t / 3)};{np.cos(t / 3)}" for t in range(20, 60)]
    (tmp_path / "table.csv").write_text("\ufeff" + "\r\n".join(rows) + "\r\n")
    # More states than channels: the start is then taken from several time points at once.
    run = finished(analyse(analysis_python, tmp_path / "run", tmp_path / "table.csv", state_dim=3, iterations=5))
    predictions = run.arrays("predictions.npz")
    assert list(predictions["channels"]) == ["left", "right"]
    assert np.array_equal(np.flatnonzero(~predictions["observed"][:, 0]), [5, 6])
    assert any("counts time" in line for line in run.report)
    assert np.diff(run.log_likelihood()).min() >= -1e-9 * abs(run.log_likelihood()[-1])
