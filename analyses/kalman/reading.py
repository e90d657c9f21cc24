"""Read observations (.npy, .csv) and known parameters (.npz); refuse what cannot be analysed, with one sentence."""

from __future__ import annotations

import csv
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from job import Failure
from model import Model
from numpy.typing import NDArray

Array = NDArray[np.float64]
INDEX_NAMES = {"", "time", "t", "frame", "index", "sample", "time_s"}


@dataclass(frozen=True, kw_only=True)
class Observations:
    """values: (trials, time, channels), NaN = gap. single: the file held one recording, not a stack of trials."""

    values: Array
    channels: tuple[str, ...]
    single: bool
    filename: str
    notes: tuple[str, ...] = ()


def read_observations(path: Path) -> Observations:
    """One recording or a stack of trials. Raises Failure naming the file and what would be right."""
    if not path.is_file():
        raise Failure(f"{path.name} does not exist or is not a file.")
    if path.stat().st_size == 0:
        raise Failure(f"{path.name} is empty.")
    match path.suffix.lower():
        case ".npy":
            observations = _from_npy(path)
        case ".csv":
            observations = _from_csv(path)
        case other:
            raise Failure(f"{path.name} is of kind '{other}'; observations are .npy or .csv files.")
    _check_values(observations)
    return observations


def _from_npy(path: Path) -> Observations:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Failure(f"{path.name} could not be read as a .npy array of numbers: {_one_line(error)}.") from error
    if not isinstance(array, np.ndarray):
        raise Failure(f"{path.name} holds several arrays; one .npy array of time × channels is needed.")
    if array.dtype.kind not in "fiub":
        raise Failure(f"{path.name} holds values of type {array.dtype}; real numbers are needed.")
    if array.ndim not in (2, 3):
        raise Failure(
            f"{path.name} has {array.ndim} dimension{'s' * (array.ndim != 1)} (shape {_shape(array)}); "
            "time × channels or trials × time × channels is needed."
        )
    if array.size == 0:
        raise Failure(f"{path.name} holds no values (shape {_shape(array)}).")
    values = array.astype(np.float64)
    return Observations(
        values=values if values.ndim == 3 else values[None],
        channels=tuple(f"channel {n + 1}" for n in range(values.shape[-1])),
        single=values.ndim == 2,
        filename=path.name,
    )


def _from_csv(path: Path) -> Observations:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(f"{path.name} is not a text file in UTF-8; comma-separated numbers are needed.") from error
    first_line = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ",;\t" if mark in first_line), ",")
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise Failure(f"{path.name} could not be read as comma-separated text: {_one_line(error)}.") from error
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        raise Failure(f"{path.name} holds no values.")
    has_header = any(_number(cell) is None for cell in rows[0])
    names = [cell.strip() for cell in rows[0]] if has_header else []
    values = _table(path.name, rows[has_header:], first_row=1 + has_header, width=len(rows[0]))
    notes: tuple[str, ...] = ()
    if names and names[0].lower() in INDEX_NAMES and values.shape[1] > 1 and bool(np.all(np.diff(values[:, 0]) > 0)):
        notes = (f"The first column of {path.name} ('{names[0]}') counts time and is not analysed.",)
        names, values = names[1:], values[:, 1:]
    channels = tuple(name or f"channel {n + 1}" for n, name in enumerate(names)) or tuple(
        f"channel {n + 1}" for n in range(values.shape[1])
    )
    return Observations(values=values[None], channels=channels, single=True, filename=path.name, notes=notes)


def _table(filename: str, rows: list[list[str]], *, first_row: int, width: int) -> Array:
    """Cells as numbers, (time, channels). Raises Failure naming row and column, both counted from 1."""
    if not rows:
        raise Failure(f"{filename} has a header but no values.")
    values = np.empty((len(rows), width))
    for index, row in enumerate(rows):
        cells = row if row or width > 1 else [""]  # In a single column, an empty line is an empty cell.
        if len(cells) != width:
            raise Failure(
                f"{filename} has {len(cells)} columns in row {first_row + index} but {width} in row 1; "
                "every row needs the same number, with an empty cell for a gap."
            )
        for column, cell in enumerate(cells):
            number = _number(cell)
            if number is None:
                raise Failure(
                    f"{filename} holds '{cell[:40]}' in row {first_row + index}, column {column + 1}; "
                    "a number or an empty cell (a gap) is needed."
                )
            values[index, column] = number
    return values


def _number(cell: str) -> float | None:
    """A cell's value: NaN for a gap, None for what is not a number."""
    stripped = cell.strip()
    if stripped.lower() in ("", "nan", "na", "n/a", "null"):
        return math.nan
    try:
        return float(stripped)
    except ValueError:
        return None


def _check_values(observations: Observations) -> None:
    values, filename = observations.values, observations.filename
    infinite = np.argwhere(np.isinf(values))
    if infinite.size:
        trial, point, channel = (int(i) for i in infinite[0])
        where = f"time point {point + 1}, {observations.channels[channel]}"
        where += "" if observations.single else f", trial {trial + 1}"
        raise Failure(
            f"{filename} holds {len(infinite)} infinite value{'s' * (len(infinite) > 1)}, the first at {where}; "
            "mark gaps with NaN or an empty cell."
        )
    observed = np.isfinite(values)
    silent = [observations.channels[n] for n in np.flatnonzero(~observed.any(axis=(0, 1)))]
    if silent:
        listed = ", ".join(silent[:5]) + (f" and {len(silent) - 5} more" if len(silent) > 5 else "")
        raise Failure(f"{filename} has no observed value in {listed}; remove channels that are gaps throughout.")
    empty = np.flatnonzero(~observed.any(axis=(1, 2)))
    if empty.size:
        raise Failure(
            f"{filename} has no observed value in trial {empty[0] + 1}; remove trials that are gaps throughout."
        )


def check_length(observations: Observations, *, state_dim: int, fit: bool) -> None:
    """Refuse recordings too short for what is asked: 5 observed time points per state for a fit, else 2."""
    values = observations.values
    points = int(np.isfinite(values).any(axis=2).sum())
    needed = max(10, 5 * state_dim) if fit else 2
    if values.shape[1] < 2 or points < needed:
        raise Failure(
            f"{observations.filename} is too short: it has {points} observed time point{'s' * (points != 1)} in "
            f"{values.shape[0]} trial{'s' * (values.shape[0] != 1)} (shape {_shape(values[0])} each), and "
            f"{needed} are needed for {state_dim} state{'s' * (state_dim != 1)}; time goes along the rows."
        )


def read_parameters(path: Path, *, channels: int) -> Model:
    """A known model from an .npz of F, Q, H, R, m0, P0 and (optionally) d, in the recording's units."""
    if not path.is_file():
        raise Failure(f"{path.name} does not exist or is not a file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], dtype=np.float64) for name in archive.files}
    except (ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise Failure(f"{path.name} could not be read as an .npz of numbers: {_one_line(error)}.") from error
    missing = [name for name in ("F", "Q", "H", "R", "m0", "P0") if name not in arrays]
    if missing:
        raise Failure(
            f"{path.name} lacks {', '.join(missing)}; it needs F, Q, H, R, m0 and P0 (and d, if there is an offset)."
        )
    states = arrays["F"].shape[0] if arrays["F"].ndim else 0
    shapes = {
        "F": (states, states),
        "Q": (states, states),
        "H": (channels, states),
        "R": (channels, channels),
        "m0": (states,),
        "P0": (states, states),
        "d": (channels,),
    }
    arrays.setdefault("d", np.zeros(channels))
    for name, shape in shapes.items():
        if arrays[name].shape != shape or 0 in shape:
            raise Failure(
                f"{name} in {path.name} has the shape {_shape(arrays[name])}; {' × '.join(map(str, shape))} is needed "
                f"for {states} states and the recording's {channels} channels."
            )
        if not np.isfinite(arrays[name]).all():
            raise Failure(f"{name} in {path.name} holds values that are not finite.")
    for name, strict in (("Q", False), ("R", True), ("P0", False)):
        _check_covariance(path.name, name, arrays[name], strict=strict)
    return Model(**{name: arrays[name] for name in shapes})


def _check_covariance(filename: str, name: str, matrix: Array, *, strict: bool) -> None:
    scale = np.abs(matrix).max()
    if np.abs(matrix - matrix.T).max() > 1e-8 * scale:
        raise Failure(f"{name} in {filename} is not symmetric; it must be a covariance.")
    smallest = np.linalg.eigvalsh(matrix).min()
    if smallest < -1e-10 * scale or (strict and smallest <= 0):
        wanted = "positive definite" if strict else "positive semi-definite"
        raise Failure(f"{name} in {filename} has the eigenvalue {smallest:.3g}; a {wanted} covariance is needed.")


def _shape(array: NDArray[np.generic]) -> str:
    return " × ".join(str(n) for n in array.shape) or "a single number"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
