"""kalman against pykalman, against dense Gaussian conditioning, and against planted truth."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from .testing import HERE, Run, analyse, dense, finished, generate, known_model, sampled, saved, with_gaps


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


def test_the_blueprint_lists_every_module_the_workflow_needs() -> None:
    declared = set(json.loads((HERE / "blueprint.json").read_text())["workflow"]["files"])
    tests_own = {"dense_gaussian.py", "pykalman_smoother.py", *(path.name for path in HERE.glob("test*.py"))}
    assert declared == {path.name for path in HERE.glob("*.py")} - tests_own
