"""kalman against pykalman, against dense Gaussian conditioning, against planted truth, and on unusable data.

Every run is the workflow as a subprocess with the contract's variables, through `analysis_python`: a Python of an
environment built from requirements.lock and requirements-test.txt.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent


def _module(path: Path) -> ModuleType:
    """A module of this folder, imported under a name of its own: several analyses hold a generate.py."""
    name = f"kalman_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


generate = _module(HERE / "sample" / "generate.py")
dense = _module(HERE / "dense_gaussian.py")


@dataclass(frozen=True, kw_only=True)
class Run:
    exit_code: int
    output: str
    report: list[str]
    results: Path

    def arrays(self, name: str) -> dict[str, Any]:
        with np.load(self.results / name) as archive:
            return dict(archive)

    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.results / "summary.json").read_text()))

    def log_likelihood(self) -> np.ndarray:
        rows = list(csv.DictReader((self.results / "log_likelihood.csv").read_text().splitlines()))
        assert [int(row["iteration"]) for row in rows] == list(range(len(rows)))
        return np.array([float(row["log_likelihood"]) for row in rows])


def analyse(python: Path, folder: Path, observations: Path, *, parameters: Path | None = None, **config: object) -> Run:
    """One run in `folder`, its report read from a FIFO as the runner does."""
    folder.mkdir(parents=True, exist_ok=True)
    results, scratch, fifo = folder / "results", folder / "scratch", folder / "report"
    results.mkdir()
    scratch.mkdir()
    os.mkfifo(fifo)
    schema = json.loads((HERE / "parameters.schema.json").read_text())["properties"]
    complete = {name: entry["default"] for name, entry in schema.items()} | config
    (folder / "config.json").write_text(json.dumps(complete))
    variables = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NEUROCAAS_INPUT_OBSERVATIONS": str(observations),
        "NEUROCAAS_CONFIG": str(folder / "config.json"),
        "NEUROCAAS_RESULTS": str(results),
        "NEUROCAAS_SCRATCH": str(scratch),
        "NEUROCAAS_SEED": "7",
        "NEUROCAAS_CORES": "1",
        "NEUROCAAS_MEMORY_MIB": "2048",
        "NEUROCAAS_GPUS": "",
        "NEUROCAAS_REPORT": str(fifo),
    }
    if parameters is not None:
        variables["NEUROCAAS_INPUT_PARAMETERS"] = str(parameters)
    # The runner keeps the FIFO open for reading and writing, so that it lasts between the workflow's lines.
    lines: list[str] = []
    with os.fdopen(os.open(fifo, os.O_RDWR), "r") as reading, os.fdopen(os.open(fifo, os.O_WRONLY), "w") as ending:
        reader = threading.Thread(target=lambda: lines.extend(iter(lambda: reading.readline().rstrip("\n"), "end")))
        reader.start()
        done = subprocess.run(
            [str(python), str(HERE / "workflow.py")],
            cwd=scratch,
            env=variables,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        ending.write("end\n")
        ending.flush()
        reader.join()
    return Run(exit_code=done.returncode, output=done.stdout, report=lines, results=results)


def finished(run: Run) -> Run:
    assert run.exit_code == 0, run.output
    assert "Warning" not in run.output
    assert run.report[-1].startswith("progress 1.0000")
    return run


def known_model(seed: int, *, unit: float = 1.0, diagonal: bool = False) -> dict[str, np.ndarray]:
    """A 3-state, 5-channel model with full covariances. unit: what one unit of the recording is worth."""
    random = np.random.default_rng(seed)

    def covariance(size: int, scale: float) -> np.ndarray:
        root = random.normal(size=(size, size))
        return scale * (root @ root.T / size + 0.3 * np.eye(size))

    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    noise = covariance(5, 0.4)
    return {
        "F": 0.95 * rotation,
        "Q": covariance(3, 0.2),
        "H": unit * random.normal(size=(5, 3)),
        "R": unit**2 * (np.diag(np.diag(noise)) if diagonal else noise),
        "m0": random.normal(size=3),
        "P0": covariance(3, 1.0),
        "d": unit * random.normal(size=5),
    }


def sampled(known: dict[str, np.ndarray], points: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    state = random.multivariate_normal(known["m0"], known["P0"])
    rows = []
    for _ in range(points):
        noise = np.linalg.cholesky(known["R"]) @ random.normal(size=len(known["d"]))
        rows.append(known["H"] @ state + known["d"] + noise)
        state = known["F"] @ state + random.multivariate_normal(np.zeros(len(state)), known["Q"])
    return np.array(rows)


def with_gaps(values: np.ndarray, seed: int) -> np.ndarray:
    """Whole time points (the first and last among them), a stretch of one channel, and a fifth of single values."""
    gappy = values.copy()
    gappy[np.random.default_rng(seed).random(values.shape) < 0.2] = np.nan
    gappy[[0, -1]] = np.nan
    gappy[8:13] = np.nan
    gappy[15:30, 2] = np.nan
    return gappy


def saved(folder: Path, values: np.ndarray, known: dict[str, np.ndarray]) -> tuple[Path, Path]:
    np.save(folder / "recording.npy", values)
    np.savez(folder / "known.npz", allow_pickle=False, **known)
    return folder / "recording.npy", folder / "known.npz"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kalman_sample")
    generate.write(folder)
    return folder


def test_smoothed_states_agree_with_pykalman_on_complete_data(analysis_python: Path, tmp_path: Path) -> None:
    known = known_model(1)
    recording, parameters = saved(tmp_path, sampled(known, 300, seed=2), known)
    run = finished(analyse(analysis_python, tmp_path / "run", recording, parameters=parameters, fit=False))
    peer = tmp_path / "peer.npz"
    subprocess.run(
        [str(analysis_python), str(HERE / "pykalman_smoother.py"), str(recording), str(parameters), str(peer)],
        check=True,
    )
    theirs, ours = run.arrays("../../peer.npz"), run.arrays("states.npz")
    for name in ("filtered_means", "filtered_covariances", "smoothed_means", "smoothed_covariances"):
        difference = np.abs(ours[name] - theirs[name]).max()
        print(f"{name}: largest difference from pykalman {difference:.1e}")
        assert ours[name].dtype == np.float64
        assert difference < 1e-6
    assert run.log_likelihood()[-1] == pytest.approx(float(theirs["log_likelihood"]), rel=1e-9)
    assert run.summary()["converged"] is None


def test_smoothing_through_gaps_is_dense_gaussian_conditioning_also_in_tiny_units(
    analysis_python: Path, tmp_path: Path
) -> None:
    unit = 1e-6  # Microvolts in volts: variances of 1e-12, below what dynamax adds to the matrices it inverts.
    known = known_model(3, unit=unit)
    values = with_gaps(sampled(known, 50, seed=4), seed=5)
    recording, parameters = saved(tmp_path, values, known)
    run = finished(analyse(analysis_python, tmp_path / "run", recording, parameters=parameters, fit=False))
    truth, states, predictions = dense.condition(known, values), run.arrays("states.npz"), run.arrays("predictions.npz")
    differences = {
        "smoothed means": np.abs(states["smoothed_means"] - truth.z).max(),
        "smoothed covariances": np.abs(states["smoothed_covariances"] - truth.covariances).max(),
        "filled gaps": np.abs(predictions["filled"] - truth.y).max() / unit,
        "their deviations": np.abs(predictions["filled_sd"] - truth.y_sd).max() / unit,
        "log-likelihood": abs(run.log_likelihood()[-1] - truth.log_likelihood),
    }
    print({name: f"{value:.1e}" for name, value in differences.items()})
    assert max(differences.values()) < 1e-6
    assert np.array_equal(predictions["filled"][np.isfinite(values)], values[np.isfinite(values)])


@pytest.mark.parametrize("noise", ["full", "diagonal"])
def test_an_em_step_through_gaps_is_the_m_step_of_the_dense_posterior(
    analysis_python: Path, tmp_path: Path, noise: str
) -> None:
    known = known_model(6, diagonal=noise == "diagonal")
    values = with_gaps(sampled(known, 50, seed=7), seed=8)
    recording, parameters = saved(tmp_path, values, known)
    run = analyse(
        analysis_python, tmp_path / "run", recording, parameters=parameters, iterations=1, tolerance=0, noise=noise
    )
    fitted = finished(run).arrays("parameters.npz")
    expected = dense.one_em_step(known, values, diagonal=noise == "diagonal")
    differences = {name: float(np.abs(fitted[name] - value).max()) for name, value in expected.items()}
    print({name: f"{value:.1e}" for name, value in differences.items()})
    assert max(differences.values()) < 1e-6
    assert run.log_likelihood()[1] == pytest.approx(dense.condition(fitted, values).log_likelihood, abs=1e-6)


@pytest.mark.parametrize(
    ("filename", "noise"), [("complete.npy", "diagonal"), ("gaps.csv", "full"), ("trials.npy", "diagonal")]
)
def test_em_never_loses_likelihood_and_finds_the_planted_dynamics(
    analysis_python: Path, tmp_path: Path, sample: Path, filename: str, noise: str
) -> None:
    values = generate.recordings()[filename]
    run = analyse(
        analysis_python, tmp_path / "run", sample / filename, noise=noise, iterations=200, sampling_rate_hz=30
    )
    finished(run)
    curve = run.log_likelihood()
    assert np.diff(curve).min() >= -1e-9 * abs(curve[-1])
    eigenvalues = np.linalg.eigvals(run.arrays("parameters.npz")["F"])
    leading = eigenvalues[eigenvalues.imag.argmax()]
    planted = generate.MAGNITUDE * np.exp(1j * generate.ANGLE)
    print(f"{filename}: eigenvalue {leading:.4f}, planted {planted:.4f}, {len(curve) - 1} iterations")
    assert abs(leading - planted) < 0.02
    summary = run.summary()
    assert summary["converged"] is True
    assert summary["dynamics"][0]["frequency_hz"] == pytest.approx(1.0, abs=0.1)
    assert summary["missing_values"] == int(np.isnan(values).sum())
    _check_shapes(run, values)
    _check_coverage(run, values)


def _check_shapes(run: Run, values: np.ndarray) -> None:
    leading = values.shape[:-1]
    states, predictions, fitted = (run.arrays(f"{name}.npz") for name in ("states", "predictions", "parameters"))
    for name in ("filtered", "smoothed"):
        assert states[f"{name}_means"].shape == (*leading, 2)
        assert states[f"{name}_covariances"].shape == (*leading, 2, 2)
    for name in ("reconstruction", "reconstruction_sd", "filled", "filled_sd"):
        assert predictions[name].shape == values.shape
        assert np.isfinite(predictions[name]).all()
    assert np.array_equal(predictions["observed"], np.isfinite(values))
    assert {name: array.shape for name, array in fitted.items()} == {
        "F": (2, 2),
        "Q": (2, 2),
        "H": (6, 2),
        "R": (6, 6),
        "m0": (2,),
        "P0": (2, 2),
        "d": (6,),
    }
    table = list(csv.DictReader((run.results / "smoothed.csv").read_text().splitlines()))
    assert len(table) == int(np.prod(leading))
    assert list(table[0]) == ["trial", "time_s", "state_1", "state_2", "state_1_sd", "state_2_sd"]
    assert (run.results / "figure.png").read_bytes().startswith(b"\x89PNG")


def _check_coverage(run: Run, values: np.ndarray) -> None:
    """About 95 % of the observed values lie in the band of a new measurement."""
    predictions, seen = run.arrays("predictions.npz"), np.isfinite(values)
    inside = np.abs(values - predictions["reconstruction"]) < 1.96 * predictions["reconstruction_sd"]
    assert 0.93 < inside[seen].mean() < 0.99


def test_a_fitted_model_smooths_another_recording_and_a_repeat_gives_the_same_bytes(
    analysis_python: Path, tmp_path: Path
) -> None:
    known = {
        "F": generate.DYNAMICS,
        "Q": np.diag([0.04, 0.0]),  # Singular, as when one state is exactly the integral of another.
        "H": generate.WEIGHTS,
        "R": generate.NOISE,
        "m0": np.zeros(2),
        "P0": np.eye(2),
        "d": generate.OFFSET,
    }
    values = generate.recordings()["gaps.csv"][100:200]
    recording, parameters = saved(tmp_path, values, known)
    first, second = (
        finished(analyse(analysis_python, tmp_path / name, recording, parameters=parameters, fit=False))
        for name in ("first", "second")
    )
    for name in ("states.npz", "predictions.npz", "smoothed.csv", "summary.json", "figure.png"):
        assert (first.results / name).read_bytes() == (second.results / name).read_bytes(), name
    truth = dense.condition(known, values)
    assert np.abs(first.arrays("states.npz")["smoothed_means"] - truth.z).max() < 1e-6


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


def test_the_blueprint_lists_every_module_the_workflow_needs() -> None:
    declared = set(json.loads((HERE / "blueprint.json").read_text())["workflow"]["files"])
    tests_own = {"test_kalman.py", "dense_gaussian.py", "pykalman_smoother.py"}
    assert declared == {path.name for path in HERE.glob("*.py")} - tests_own
