"""widefield-hemodynamics on planted blood and activity, beside brute force over all pixels and beside wfield."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.workflows import Array, Outcome, Workflow

HERE = Path(__file__).parent
RATE_HZ = 30.0

Record = Callable[[str, object], None]


class Hemodynamics(Workflow[Outcome]):
    def __call__(self, spatial: Array | Path, temporal: Array | Path, **config: Any) -> Outcome:
        paths, folder = {}, self.folder / f"given-{self.runs}"
        folder.mkdir()
        for name, given in (("spatial", spatial), ("temporal", temporal)):
            paths[name] = given if isinstance(given, Path) else folder / f"{name}.npy"
            if not isinstance(given, Path):
                np.save(paths[name], given)
        return self.run(paths, config)


@pytest.fixture
def hemodynamics(analysis_python: Path, tmp_path: Path) -> Hemodynamics:
    return Hemodynamics(analysis_python, HERE, tmp_path, Outcome)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A decomposed recording: maps that overlap, blood of two kinds, and activity in blue alone."""

    spatial: Array  # (height, width, rank)
    temporal: Array  # (rank, 2 times)
    activity: Array  # (height, width, times)
    blood: Array  # (height, width, times), in blue
    coefficients: Array  # (height, width)


def planted(times: int = 1500, *, delay: float = 0.5, noise: float = 0.0, heart_hz: float = 9.5) -> Planted:
    """Each pixel: violet = b(t), blue = r b(t) + activity, as a factorization whose parts are mixed at random."""
    random = np.random.default_rng(4)
    height, width = 14, 17
    coefficients = 1.1 + 0.3 * np.cos(np.linspace(0, 3, height))[:, None] * np.cos(np.linspace(0, 2, width))
    moments = (np.arange(times) / RATE_HZ, (np.arange(times) + delay) / RATE_HZ)
    rhythms = random.uniform(0.2, 2.5, (12, 2))

    def blood(t: Array) -> Array:
        slow = sum(np.sin(2 * np.pi * rate * t + 6 * phase) for rate, phase in rhythms) / 4
        return np.stack([np.sin(2 * np.pi * heart_hz * t + 0.4 * np.sin(t)), slow])

    maps = random.random((2, height, width)) + 0.5
    sources = 2 * random.random((5, height, width)) ** 2
    kernel = np.exp(-np.arange(60) / 10)
    events = np.stack([np.convolve(row, kernel)[:times] for row in (random.random((5, times)) < 0.04).astype(float)])
    blue_parts = np.concatenate([coefficients * maps, sources])
    courses = np.concatenate([blood(moments[0]), events]) * 0.01
    violet = blood(moments[1]) * 0.01
    blocks = np.concatenate([blue_parts, maps])  # rank 9
    joined = np.block([[courses, np.zeros_like(courses)], [np.zeros((2, times)), violet]])
    joined = joined + noise * random.normal(size=joined.shape)
    mixing = random.normal(size=(9, 9))
    return Planted(
        spatial=np.tensordot(blocks, np.linalg.inv(mixing), (0, 0)).astype(np.float64),
        temporal=mixing @ joined,
        activity=np.tensordot(sources, events * 0.01, (0, 0)),
        blood=np.tensordot(coefficients * maps, courses[:2], (0, 0)),
        coefficients=coefficients,
    )


def filtered(courses: Array, cutoff_hz: float, kind: str) -> Array:
    from scipy import signal

    b, a = signal.butter(2, cutoff_hz / (RATE_HZ / 2), btype=kind)
    return np.asarray(signal.filtfilt(b, a, courses, axis=-1, padlen=50))


def correlations(a: Array, b: Array) -> Array:
    """Pixel by pixel, over time."""
    a, b = (one - one.mean(axis=-1, keepdims=True) for one in (a, b))
    return np.asarray((a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1)))


def test_blood_is_taken_off_and_activity_stays(hemodynamics: Hemodynamics, record_property: Record) -> None:
    data = planted()
    outcome = hemodynamics(data.spatial, data.temporal)
    movie = outcome.load("U.npy") @ outcome.load("SVTcorr.npy")
    truth = filtered(data.activity, 0.1, "highpass")
    before = correlations(filtered(data.activity + data.blood, 0.1, "highpass"), truth)
    after = correlations(movie, truth)
    error = np.abs(outcome.load("rcoeffs.npy") / data.coefficients - 1)
    record_property("correlation with the planted activity, before", round(float(np.median(before)), 3))
    record_property("correlation with the planted activity, after", round(float(np.median(after)), 4))
    assert np.median(after) > 0.98
    assert np.median(after) > np.median(before) + 0.1
    # Chance correlations of blood and activity are all that is left of the error.
    assert np.median(error) < 0.1
    summary = outcome.summary
    assert summary["heart_beat_hz"] == pytest.approx(9.5, abs=0.2)
    assert summary["heart_beat_left"] < 0.03


def test_it_agrees_with_a_regression_on_every_pixel_of_the_movie(hemodynamics: Hemodynamics) -> None:
    """Maps that overlap and are not orthogonal, as pmd's are."""
    data = planted(400, noise=1e-4)
    outcome = hemodynamics(data.spatial, data.temporal, violet_delay=0)
    blue = filtered(data.spatial @ data.temporal[:, :400], 0.1, "highpass")
    violet = filtered(filtered(data.spatial @ data.temporal[:, 400:], 0.1, "highpass"), 14, "lowpass")
    blue, violet = (one - one.mean(axis=-1, keepdims=True) for one in (blue, violet))
    slope = (blue * violet).sum(-1) / (violet * violet).sum(-1)
    np.testing.assert_allclose(outcome.load("rcoeffs.npy"), slope, rtol=1e-4)
    # The corrected movie is the nearest to this one among those that the maps can show.
    maps = data.spatial.reshape(-1, data.spatial.shape[2])
    wanted = np.linalg.lstsq(maps, (blue - slope[..., None] * violet).reshape(len(maps), -1), rcond=None)[0]
    np.testing.assert_allclose(maps @ outcome.load("SVTcorr.npy"), maps @ wanted, atol=2e-6)
    np.testing.assert_allclose(outcome.load("SVTcorr.npy").mean(axis=1), 0, atol=1e-6)


def test_it_agrees_with_wfield_where_they_do_the_same(
    hemodynamics: Hemodynamics, python_of: Callable[[str], Path], tmp_path: Path, record_property: Record
) -> None:
    data = planted(600, noise=1e-4)
    outcome = hemodynamics(data.spatial, data.temporal, violet_delay=0)
    np.savez(tmp_path / "given.npz", spatial=data.spatial, blue=data.temporal[:, :600], violet=data.temporal[:, 600:])
    script = (
        "import numpy as np, wfield; g = np.load('given.npz');"
        "c, r, t = wfield.hemodynamic_correction(g['spatial'], g['blue'], g['violet'], fs=30., run_parallel=False);"
        "np.savez('answer.npz', courses=c, coefficients=r, transform=t)"
    )
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    command = [str(python_of("widefield-motion")), "-c", script]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "answer.npz") as answer:
        theirs = dict(answer)
    maps = data.spatial.reshape(-1, data.spatial.shape[2])
    ours, others = maps @ outcome.load("SVTcorr.npy"), maps @ theirs["courses"]
    difference = float(np.abs(ours - others).max() / np.abs(others).max())
    record_property("largest difference from wfield, relative", f"{difference:.1e}")
    assert difference < 1e-4
    np.testing.assert_allclose(outcome.load("rcoeffs.npy"), theirs["coefficients"], rtol=1e-3, atol=1e-4)


def test_a_heart_beat_needs_violet_at_blues_times(hemodynamics: Hemodynamics, record_property: Record) -> None:
    data = planted()
    left = {d: hemodynamics(data.spatial, data.temporal, violet_delay=d).summary["heart_beat_left"] for d in (0, 0.5)}
    record_property("heart beat left, without and with the delay", f"{left[0]:.3f}, {left[0.5]:.4f}")
    assert left[0.5] < 0.03 < 0.2 < left[0]


def test_without_filters_slow_changes_stay(hemodynamics: Hemodynamics) -> None:
    data = planted(600)
    drift = np.linspace(-1, 1, 600) * 0.05
    spatial = np.concatenate([data.spatial, np.ones((14, 17, 1))], axis=2)
    temporal = np.concatenate([data.temporal, np.concatenate([drift, np.zeros(600)])[None]])
    kept, gone = (hemodynamics(spatial, temporal, highpass_hz=hz, lowpass_hz=0) for hz in (0, 0.1))
    ends = [
        float((one.load("U.npy") @ one.load("SVTcorr.npy")).mean(axis=(0, 1))[-100:].mean()) for one in (kept, gone)
    ]
    assert ends[0] > 0.02 > 0.01 > abs(ends[1])


def test_pixels_without_anything_get_no_coefficient(hemodynamics: Hemodynamics) -> None:
    data = planted(300)
    spatial = data.spatial.copy()
    spatial[:4] = 0
    outcome = hemodynamics(spatial, data.temporal)
    assert not outcome.load("rcoeffs.npy")[:4].any()
    assert np.isfinite(outcome.load("SVTcorr.npy")).all()
    np.testing.assert_array_equal(outcome.load("SVT.npy"), data.temporal[:, :300].astype(np.float32))
    np.testing.assert_array_equal(outcome.load("U.npy"), spatial.astype(np.float32))


def test_the_same_input_gives_the_same_bytes(hemodynamics: Hemodynamics) -> None:
    data = planted(300)
    first, again = (hemodynamics(data.spatial, data.temporal) for _ in range(2))
    names = sorted(path.name for path in first.results.iterdir())
    assert names == ["SVT.npy", "SVTcorr.npy", "T.npy", "U.npy", "figure.png", "rcoeffs.npy", "summary.json"]
    for name in names:
        assert (first.results / name).read_bytes() == (again.results / name).read_bytes(), name


MAPS, COURSES = np.ones((4, 5, 3)), np.random.default_rng(0).normal(size=(3, 128))


@pytest.mark.parametrize(
    ("spatial", "temporal", "config", "said"),
    [
        (np.ones((20, 3)), COURSES, {}, "spatial.npy has the shape (20, 3); height x width x rank"),
        (MAPS, COURSES[0], {}, "temporal.npy has the shape (128,); rank x frames"),
        (MAPS, COURSES[:2], {}, "spatial.npy holds 3 components and temporal.npy 2"),
        (MAPS, COURSES[:, :127], {}, "temporal.npy has 127 columns"),
        (MAPS, COURSES[:, :40], {}, "temporal.npy has 40 columns"),
        (MAPS * np.nan, COURSES, {}, "spatial.npy holds values that are not finite"),
        (MAPS, COURSES * np.inf, {}, "temporal.npy holds values that are not finite"),
        (MAPS * 1j, COURSES, {}, "real numbers are needed"),
        (np.empty((0, 5, 3)), COURSES, {}, "holds 0 values"),
        (MAPS, COURSES, {"highpass_hz": 20}, "highpass_hz is 20; less than 15"),
    ],
)
def test_bad_input_fails_by_name(
    hemodynamics: Hemodynamics, spatial: Array, temporal: Array, config: dict[str, Any], said: str
) -> None:
    with np.errstate(invalid="ignore"):
        outcome = hemodynamics(spatial, temporal, **config)
    assert said in outcome.failure
    assert outcome.failure.endswith(".")


def test_files_that_are_no_arrays_fail_by_name(hemodynamics: Hemodynamics, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", MAPS)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:-9])
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "several.npz", a=MAPS)
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    for name in ("cut.npy", "text.npy", "several.npy"):
        assert name in hemodynamics(tmp_path / name, COURSES).failure


def test_the_blueprint_lists_every_module_the_workflow_needs() -> None:
    listed = set(json.loads((HERE / "blueprint.json").read_text())["workflow"]["files"])
    assert listed == {path.name for path in HERE.glob("*.py") if not path.name.startswith("test_")}
