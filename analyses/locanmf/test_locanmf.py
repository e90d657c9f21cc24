"""locanmf on planted regional maps, on the same movie told differently, on atlases of two kinds, on unusable data."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "parameters.schema.json").read_text())
DEFAULTS = {name: value["default"] for name, value in SCHEMA["properties"].items()}
REAL_ATLAS = Path(os.environ.get("NEUROCAAS_REAL_DATA", "/nonexistent")) / "allen-dorsal"
SMALL = {"min_region_px": 40}  # regions of the sample are small

Array = np.ndarray[Any, Any]
Figures = Callable[[str, object], None]


def _module(path: Path) -> ModuleType:
    """A module of this folder, imported under a name of its own: several analyses hold a generate.py."""
    name = f"locanmf_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


generate = _module(HERE / "sample" / "generate.py")
placement = _module(HERE / "placement.py")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one analysis left behind. sentence: of a failure, else empty."""

    sentence: str
    results: Path
    report: str
    output: str

    @property
    def failure(self) -> str:
        assert self.sentence, self.output
        assert not list(self.results.iterdir())
        return self.sentence

    def path(self, name: str) -> Path:
        assert not self.sentence, self.sentence
        return self.results / name

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.path("summary.json").read_text())
        return summary

    def load(self, name: str) -> Array:
        array: Array = np.load(self.path(name))
        return array

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(self.path(name).read_text().splitlines()))

    @property
    def archive(self) -> dict[str, Array]:
        with np.load(self.path("locanmf.npz")) as archive:
            return dict(archive)

    @property
    def maps(self) -> Array:
        """(K, H, W)"""
        return self.load("A.npy").transpose(2, 0, 1)

    @property
    def names(self) -> list[tuple[str, str]]:
        return [(row["region"], row["side"]) for row in self.rows("regions.csv")]


def run_workflow(python: Path, home: Path, inputs: dict[str, Path], *, cores: int = 2, **config: Any) -> Outcome:
    """The whole workflow as the platform runs it, by the contract's variables alone."""
    results = home / "results"
    results.mkdir(parents=True)
    report = home / "report"
    report.touch()
    (home / "config.json").write_text(json.dumps(DEFAULTS | config))
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "NEUROCAAS_CONFIG": str(home / "config.json"),
        "NEUROCAAS_RESULTS": str(results),
        "NEUROCAAS_SEED": "0",
        "NEUROCAAS_CORES": str(cores),
        "NEUROCAAS_MEMORY_MIB": "2048",
        "NEUROCAAS_REPORT": str(report),
        "PYTHONDONTWRITEBYTECODE": "1",  # the version's folder is read-only in the sandbox, and clean here
        "PYTHONWARNINGS": "error::RuntimeWarning",  # no division by zero, no overflow
    } | {f"NEUROCAAS_INPUT_{name.upper()}": str(path) for name, path in inputs.items()}
    done = subprocess.run(
        [str(python), str(HERE / "workflow.py")],
        env=variables,
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = report.read_text().splitlines()
    failures = [line.removeprefix("failure ") for line in lines if line.startswith("failure ")]
    assert (done.returncode == 1) == bool(failures), done.stdout
    assert "Traceback" not in done.stdout
    return Outcome(sentence="".join(failures), results=results, report="\n".join(lines), output=done.stdout)


# Starting a Python with these libraries takes longer than an analysis, so one process makes many: line in, line out.
WORKER = """
import contextlib, io, json, os, sys, warnings
from pathlib import Path
warnings.simplefilter("error", RuntimeWarning)
sys.path.insert(0, sys.argv[1])
from explore import write_explore
from job import Failure, Job
from results import write_arrays
from workflow import analyse
for line in sys.stdin:
    asked, answer, output = json.loads(line), {"sentence": ""}, io.StringIO()
    os.environ["NEUROCAAS_CORES"] = str(asked["cores"])
    results = Path(asked["results"])
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            result = analyse(Job(
                inputs={name: Path(path) for name, path in asked["inputs"].items()}, config=asked["config"],
                results=results, seed=asked["seed"], memory_mib=asked["memory_mib"],
            ))
            write_arrays(results, result)
            write_explore(results / "explore", result)
        except Failure as failure:
            answer["sentence"] = str(failure)
    print(json.dumps(answer | {"output": output.getvalue()}), flush=True)
"""


class LocaNmf:
    """Analyses in one process of the analysis' own Python, without NWB and figures."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder, self.runs = folder, 0
        command = [str(python), "-B", "-c", WORKER, str(HERE)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(
        self, inputs: dict[str, Path], *, seed: int = 0, cores: int = 2, memory_mib: int = 2048, **config: Any
    ) -> Outcome:
        self.runs += 1
        results = self.folder / f"results-{self.runs}"
        results.mkdir()
        asked = {
            "inputs": {name: str(path) for name, path in inputs.items()},
            "config": DEFAULTS | config,
            "results": str(results),
            "seed": seed,
            "cores": cores,
            "memory_mib": memory_mib,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the worker ended; its traceback is on standard error"
        answer = json.loads(line)
        return Outcome(sentence=answer["sentence"], results=results, report="", output=answer["output"])

    def end(self) -> None:
        with self.process:  # closes its pipes and waits
            pass
        assert self.process.returncode == 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    inputs: dict[str, Path]
    config: dict[str, Any]
    A: Array  # (K, H, W), zero outside the mask
    C: Array
    names: list[tuple[str, str]]

    def with_input(self, **changed: Path) -> dict[str, Path]:
        return self.inputs | changed


@pytest.fixture(scope="module")
def locanmf(analysis_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocaNmf]:
    worker = LocaNmf(analysis_python, tmp_path_factory.mktemp("locanmf"))
    yield worker
    worker.end()


def _sample(folder: Path, seed: int) -> Sample:
    size = generate.Size()
    planted = generate.plant(size, seed=seed)
    generate.save(folder, planted, size.rank)
    config = json.loads((folder / "config.json").read_text()) | SMALL
    files = {"spatial": "U.npy", "temporal": "SVTcorr.npy", "atlas": "atlas.json", "mask": "mask.npy"}
    return Sample(
        inputs={name: folder / file for name, file in files.items()},
        config=config,
        A=planted.maps * planted.mask,
        C=planted.courses,
        names=planted.regions,
    )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return _sample(tmp_path_factory.mktemp("sample"), generate.SEED)


@pytest.fixture(scope="module")
def found(analysis_python: Path, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The sample analysed by the whole workflow, once for all tests that look at it."""
    return run_workflow(analysis_python, tmp_path_factory.mktemp("found"), sample.inputs, **sample.config)


def matched(sample: Sample, outcome: Outcome) -> tuple[Array, Array]:
    """Correlation of each planted map, and of its time course, with its region's found component that is most like it.

    No component may stand for two planted ones.
    """
    brain = outcome.archive["brain"]
    maps, courses, used = outcome.maps, outcome.load("C.npy"), set()
    similar, together = [], []
    for A, C, name in zip(sample.A, sample.C, sample.names, strict=True):
        own = [k for k, one in enumerate(outcome.names) if one == name]
        correlations = [np.corrcoef(A[brain], maps[k][brain])[0, 1] for k in own]
        best = own[int(np.argmax(correlations))]
        assert best not in used, f"one component stands for two planted ones of {name}"
        used.add(best)
        similar.append(max(correlations))
        together.append(np.corrcoef(C, courses[best])[0, 1])
    return np.array(similar), np.array(together)


@pytest.mark.parametrize("seed", [generate.SEED, 1, 2])
def test_each_planted_component_is_found_in_its_region(
    locanmf: LocaNmf, tmp_path: Path, seed: int, record_property: Figures
) -> None:
    sample = _sample(tmp_path / "sample", seed)
    outcome = locanmf(sample.inputs, **sample.config)
    similar, together = matched(sample, outcome)
    summary = outcome.summary
    figures = (
        f"planted {seed}: {len(sample.A)} components in 16 regions, found {summary['components']}; correlation of maps "
        f"{similar.min():.4f} to {similar.max():.4f}, of time courses {together.min():.4f} to {together.max():.4f}; "
        f"localization at least {summary['smallest_localization']:.1f} % (80 asked); R² {summary['r2']:.4f}"
    )
    record_property("figures", figures)
    print(figures)
    assert similar.min() >= 0.9
    assert together.min() >= 0.95
    assert summary["smallest_localization"] >= 80
    assert summary["components"] == len(sample.A)


def test_the_objective_never_increases_while_the_penalties_stay(found: Outcome, record_property: Figures) -> None:
    rows = found.rows("objective.csv")
    rises = [
        float(later["relative"]) - float(earlier["relative"])
        for earlier, later in pairwise(rows)
        if (earlier["round"], earlier["step"]) == (later["round"], later["step"])
    ]
    phases = {(row["round"], row["step"]) for row in rows}
    figures = f"objective: {len(rises)} sweeps in {len(phases)} phases, largest change {max(rises):.1e} of the energy"
    record_property("figures", figures)
    print(figures)
    assert len(phases) > 2
    assert max(rises) <= 1e-13  # rounding
    # Between phases it may rise: a penalty was raised, or all began again with more components.


def test_the_objective_is_that_of_the_delivered_files(sample: Sample, found: Outcome) -> None:
    """||UV - AC||^2 + sum_k lambda_k <d_k, a_k>, computed here from pixels and frames."""
    with np.load(found.results / "locanmf.npz") as archive:
        A, C, brain, atlas, label, penalty = (archive[name] for name in ("A", "C", "brain", "atlas", "label", "lambda"))
    movie = np.load(sample.inputs["spatial"])[brain].astype(float) @ np.load(sample.inputs["temporal"]).astype(float)
    maps = A[brain].astype(float)
    pixels = np.argwhere(brain)
    distances = []
    for one in label:
        own = np.argwhere(brain & (atlas == one))
        distances.append(np.sqrt(((pixels[:, None] - own[None]) ** 2).sum(axis=2).min(axis=1)))
    objective = ((movie - maps @ C) ** 2).sum() + (penalty * (np.stack(distances, axis=1) * maps).sum(axis=0)).sum()
    assert objective == pytest.approx(float(found.rows("objective.csv")[-1]["objective"]), rel=1e-5)
    residual = ((movie - maps @ C) ** 2).sum()
    assert 1 - residual / ((movie - movie.mean(axis=1, keepdims=True)) ** 2).sum() == pytest.approx(
        found.summary["r2"], abs=1e-5
    )


@pytest.mark.parametrize("loc_thresh", [95, 99])
def test_components_are_as_localized_as_asked(
    locanmf: LocaNmf, sample: Sample, loc_thresh: float, record_property: Figures
) -> None:
    outcome = locanmf(sample.inputs, **sample.config | {"loc_thresh": loc_thresh})
    brain = outcome.archive["brain"]
    squares = outcome.maps**2 * brain
    own = outcome.archive["atlas"][None] == outcome.archive["label"][:, None, None]
    inside = 100 * (squares * own).sum(axis=(1, 2)) / squares.sum(axis=(1, 2))
    told = [float(row["localization_percent"]) for row in outcome.rows("regions.csv")]
    raised = max(float(row["lambda_relative"]) for row in outcome.rows("regions.csv")) / DEFAULTS["lambda_init"]
    np.testing.assert_allclose(inside, told, rtol=1e-4)
    figures = (
        f"localization {inside.min():.2f} % to {inside.max():.2f} % where {loc_thresh} % are asked; "
        f"penalties raised up to {raised:.1f} times; R² {outcome.summary['r2']:.4f}"
    )
    record_property("figures", figures)
    print(figures)
    assert inside.min() >= loc_thresh
    assert outcome.summary["not_localized"] == []
    assert matched(sample, outcome)[0].min() >= 0.9


def test_what_cannot_be_localized_is_named(locanmf: LocaNmf, sample: Sample) -> None:
    outcome = locanmf(sample.inputs, **sample.config | {"loc_thresh": 100, "maxiter_lambda": 2, "max_rank": 2})
    assert outcome.summary["not_localized"]
    assert "not localized" in outcome.output


def test_left_and_right_are_kept_apart(found: Outcome) -> None:
    brain = found.archive["brain"]
    by_side = {side: sum(one[1] == side for one in found.names) for side in ("left", "right")}
    assert by_side == {"left": 11, "right": 11}
    column = np.argwhere(brain)[:, 1].mean()
    for (_, side), one in zip(found.names, found.maps, strict=True):
        centre = (one.sum(axis=0) * np.arange(one.shape[1])).sum() / one.sum()
        assert (centre < column) == (side == "left")


def test_nothing_is_outside_of_mask_and_atlas(sample: Sample, found: Outcome) -> None:
    mask = np.load(sample.inputs["mask"])
    archive = found.archive
    assert not archive["brain"][~mask].any()
    assert not archive["brain"][archive["atlas"] == 0].any()
    assert not archive["A"][~archive["brain"]].any()
    assert found.maps.max(axis=(1, 2)) == pytest.approx(1)
    assert found.maps.min() == 0


def test_values_outside_the_mask_change_nothing(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path
) -> None:
    U = np.load(sample.inputs["spatial"])
    U[~np.load(sample.inputs["mask"])] = np.nan
    np.save(tmp_path / "U.npy", U)
    outcome = locanmf(sample.with_input(spatial=tmp_path / "U.npy"), **sample.config)
    np.testing.assert_array_equal(outcome.load("A.npy"), found.load("A.npy"))


def test_neither_seed_nor_cores_change_a_byte(
    locanmf: LocaNmf, sample: Sample, found: Outcome, record_property: Figures
) -> None:
    outcome = locanmf(sample.inputs, seed=12345, cores=1, **sample.config)
    for name in ("A.npy", "C.npy", "regions.csv", "objective.csv", "summary.json", "locanmf.npz", "explore/U.npy"):
        assert (outcome.results / name).read_bytes() == (found.results / name).read_bytes(), name
    record_property("figures", "seed 0 on 2 cores and seed 12345 on 1 core: the same bytes")


def test_the_same_movie_from_other_components_gives_the_same(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path, record_property: Figures
) -> None:
    """U M and M⁻¹ V are the same movie: which low-rank decomposition came first must not matter."""
    mixing = np.random.default_rng(3).normal(size=(26, 26))
    np.save(tmp_path / "U.npy", np.load(sample.inputs["spatial"]).astype(float) @ mixing)
    np.save(tmp_path / "V.npy", np.linalg.solve(mixing, np.load(sample.inputs["temporal"]).astype(float)))
    outcome = locanmf(sample.with_input(spatial=tmp_path / "U.npy", temporal=tmp_path / "V.npy"), **sample.config)
    difference = float(np.abs(outcome.load("A.npy") - found.load("A.npy")).max())
    record_property("figures", f"the same movie from mixed components: maps differ by at most {difference:.1e}")
    assert difference < 1e-4


@pytest.mark.parametrize(("scale", "repeats", "rate"), [(1e-3, 1, 15), (1, 3, 30)], ids=["scaled", "repeated"])
def test_units_of_signal_and_time_change_no_map(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path, scale: float, repeats: int, rate: int
) -> None:
    V = np.load(sample.inputs["temporal"]).astype(float)
    np.save(tmp_path / "V.npy", np.repeat(scale * V, repeats, axis=1))
    outcome = locanmf(sample.with_input(temporal=tmp_path / "V.npy"), **sample.config | {"sampling_rate_hz": rate})
    np.testing.assert_allclose(outcome.load("A.npy"), found.load("A.npy"), atol=1e-4)
    expected = np.repeat(scale * found.load("C.npy"), repeats, axis=1)
    np.testing.assert_allclose(outcome.load("C.npy"), expected, atol=1e-4 * np.abs(expected).max())


COORDINATES = st.floats(-50, 50)
POINTS = st.lists(st.complex_numbers(max_magnitude=20, allow_nan=False), min_size=2, max_size=8).map(np.array)
APART = POINTS.filter(lambda points: bool(np.abs(points - points[0]).max() > 0.1))


@given(points=APART, scale=st.floats(0.1, 200), angle=st.floats(-3.1, 3.1), shift=st.complex_numbers(max_magnitude=500))
def test_any_similarity_transform_is_recovered(points: Array, scale: float, angle: float, shift: complex) -> None:
    turn = scale * np.exp(1j * angle)
    fitted = placement.nearest_similarity(points, turn * points + shift)
    assert not fitted.mirrored
    assert fitted.turn == pytest.approx(turn, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(fitted(points), turn * points + shift, atol=1e-6 * (1 + abs(shift) + scale))
    assert fitted.rms_px == pytest.approx(0, abs=1e-6 * (1 + abs(shift) + scale))


@given(points=APART, noise=st.lists(st.complex_numbers(max_magnitude=3), min_size=8, max_size=8), small=st.booleans())
def test_no_similarity_transform_near_the_fitted_one_is_nearer(
    points: Array, noise: list[complex], small: bool
) -> None:
    target = (3 - 2j) * points + np.array(noise)[: len(points)]
    fitted = placement.fit_similarity(points, target)
    step = 1e-3 if small else 0.1
    for turn, shift in ((1, 0), (-1, 0), (1j, 0), (-1j, 0), (0, 1), (0, -1), (0, 1j), (0, -1j)):
        moved = (fitted.turn + step * turn) * points + fitted.shift + step * shift
        assert np.sqrt(np.mean(np.abs(moved - target) ** 2)) >= fitted.rms_px - 1e-9


def test_a_mirrored_image_is_told_by_its_landmarks() -> None:
    points = np.array([complex(*place) for place in generate.LANDMARKS.values()])
    mirrored = placement.nearest_similarity(points, 9j * np.conj(points) + (40 + 30j))
    assert mirrored.mirrored
    assert mirrored.rms_px == pytest.approx(0, abs=1e-9)
    on_a_line = placement.nearest_similarity(points[:3], 9j * np.conj(points[:3]) + (40 + 30j))
    assert not on_a_line.mirrored


def test_a_mirrored_recording_gives_the_mirrored_result(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path
) -> None:
    np.save(tmp_path / "U.npy", np.load(sample.inputs["spatial"])[:, ::-1])
    np.save(tmp_path / "mask.npy", np.load(sample.inputs["mask"])[:, ::-1])
    marks = [one | {"x": 95 - one["x"]} for one in sample.config["landmarks"]]
    outcome = locanmf(
        sample.with_input(spatial=tmp_path / "U.npy", mask=tmp_path / "mask.npy"),
        **sample.config | {"landmarks": marks},
    )
    assert outcome.summary["atlas"]["mirrored"]
    assert outcome.names == found.names
    np.testing.assert_allclose(outcome.load("A.npy")[:, ::-1], found.load("A.npy"), atol=1e-3)


def test_without_landmarks_the_atlas_is_centred_and_that_is_said(locanmf: LocaNmf, sample: Sample) -> None:
    outcome = locanmf(sample.inputs, **sample.config | {"landmarks": [], "max_rank": 1})
    assert outcome.summary["atlas"]["placement"] == "centred"
    assert "it is not aligned" in outcome.output
    atlas = outcome.archive["atlas"]
    rows, columns = np.nonzero(atlas)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(39.5, abs=1)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(47.5, abs=1)


def test_regions_that_are_too_small_are_left_out_and_named(locanmf: LocaNmf, sample: Sample, found: Outcome) -> None:
    archive = found.archive
    sizes = {name: int((archive["atlas"][archive["brain"]] == name).sum()) for name in np.unique(archive["label"])}
    least = sorted(sizes.values())[2] + 1
    outcome = locanmf(sample.inputs, **sample.config | {"min_region_px": least, "max_rank": 1})
    small = {name for name, size in sizes.items() if size < least}
    left_out = outcome.summary["regions_left_out"]
    numbers = {"left": 1, "right": -1}
    named = {numbers[one["side"]] * int(one["region"][1:]): one["pixels"] for one in left_out["regions"]}
    assert named == {name: sizes[name] for name in small}
    assert left_out["reason"] == f"fewer than {least} pixels in the brain (min_region_px)"
    assert small.isdisjoint(outcome.archive["label"].tolist())
    about = json.loads(outcome.path("explore/explore.json").read_text())
    assert about["min_region_px"] == least
    assert [one["pixels"] for one in about["left_out"]] == [one["pixels"] for one in left_out["regions"]]
    first = left_out["regions"][0]
    assert f"(min_region_px): {first['region']} {first['side']} ({first['pixels']})" in outcome.output
    assert found.summary["regions_left_out"]["regions"] == []


def test_a_table_for_people_names_every_component(found: Outcome) -> None:
    rows = found.rows("regions.csv")
    assert [int(row["component"]) for row in rows] == list(range(len(found.maps)))
    for row, one in zip(rows, found.maps, strict=True):
        assert one[int(row["peak_y"]), int(row["peak_x"])] == 1
    assert sum(float(row["explained_variance"]) for row in rows) == pytest.approx(1, abs=0.2)


READ_BACK = """
import json, sys
import numpy as np
from pynwb import NWBHDF5IO, validate
from scipy.io import loadmat
folder = sys.argv[1]
answer = validate(path=folder + "/locanmf.nwb")
errors = answer[0] if isinstance(answer, tuple) else answer
with NWBHDF5IO(folder + "/locanmf.nwb", "r") as io:
    module = io.read().processing["ophys"]
    series = module["DfOverF"]["C"]
    plane = series.rois.table
    nwb = {
        "C": bool(np.array_equal(series.data[:].T, np.load(folder + "/C.npy"))),
        "A": bool(np.array_equal(np.stack(plane["image_mask"][:], axis=2), np.load(folder + "/A.npy"))),
        "region": list(plane["region"][:]), "side": list(plane["side"][:]), "rate": series.rate,
    }
mat = loadmat(folder + "/locanmf.mat")
print(json.dumps({
    "errors": [str(one) for one in errors], "nwb": nwb,
    "mat": {
        "A": bool(np.array_equal(mat["A"], np.load(folder + "/A.npy"))),
        "C": bool(np.array_equal(mat["C"], np.load(folder + "/C.npy"))),
        "region": [str(one[0][0]) for one in mat["region"]], "lambda": mat["lambda"].ravel().tolist(),
    },
}))
"""


def test_nwb_is_valid_and_nwb_and_mat_hold_the_same_as_npy(analysis_python: Path, found: Outcome) -> None:
    done = subprocess.run(
        [analysis_python, "-B", "-c", READ_BACK, found.results], capture_output=True, text=True, check=True
    )
    read = json.loads(done.stdout.splitlines()[-1])
    regions, sides = zip(*found.names, strict=True)
    assert read["errors"] == []
    assert read["nwb"] == {"A": True, "C": True, "region": list(regions), "side": list(sides), "rate": 15.0}
    assert read["mat"]["A"]
    assert read["mat"]["C"]
    assert read["mat"]["region"] == list(regions)
    np.testing.assert_allclose(read["mat"]["lambda"], found.archive["lambda"])
    assert found.archive["region"].tolist() == list(regions)


def test_the_small_copies_give_correlation_maps_and_time_courses(sample: Sample, found: Outcome) -> None:
    document = json.loads((found.results / "explore" / "explore.json").read_text())
    assert (document["step"], document["map_height"], document["map_width"]) == (1, 80, 96)
    U, V, maps = (found.load(f"explore/{name}.npy") for name in "UVA")
    brain = found.archive["brain"]
    movie = np.load(sample.inputs["spatial"])[brain] @ np.load(sample.inputs["temporal"])
    rows = np.random.default_rng(0).integers(0, len(movie), 50)
    directions = U[brain][rows]
    cosines = directions @ directions.T / np.outer(*2 * [np.linalg.norm(directions, axis=1)])
    np.testing.assert_allclose(cosines, np.corrcoef(movie[rows]), atol=0.02)
    centred = movie[rows] - movie[rows].mean(axis=1, keepdims=True)
    assert np.linalg.norm(directions @ V - centred) < 0.1 * np.linalg.norm(centred)
    scales = np.array([one["scale"] for one in document["components"]])
    np.testing.assert_allclose(maps * scales[:, None, None], found.maps, atol=0.003)
    assert not U[~brain].any()


def test_large_images_and_long_recordings_are_made_small(locanmf: LocaNmf, sample: Sample, tmp_path: Path) -> None:
    U, V = np.load(sample.inputs["spatial"]), np.load(sample.inputs["temporal"])
    large = U.repeat(4, axis=0).repeat(4, axis=1)[:, :-1]  # 320 x 383, so that the last column of squares is smaller
    np.save(tmp_path / "U.npy", large)
    np.save(tmp_path / "V.npy", np.tile(V, (1, 23)))  # 20,700 frames
    marks = [one | {"x": 4 * one["x"] + 1.5, "y": 4 * one["y"] + 1.5} for one in sample.config["landmarks"]]
    inputs = {"spatial": tmp_path / "U.npy", "temporal": tmp_path / "V.npy", "atlas": sample.inputs["atlas"]}
    outcome = locanmf(inputs, **sample.config | {"landmarks": marks, "max_rank": 1, "maxiter_lambda": 2})
    document = json.loads((outcome.results / "explore" / "explore.json").read_text())
    assert (document["step"], document["map_height"], document["map_width"]) == (3, 107, 128)
    assert document["sample_step"] == 2
    assert outcome.load("explore/C.npy").shape == (document["components"][-1]["index"] + 1, 10_350)
    assert outcome.load("explore/V.npy").shape[1] == 10_350
    x, y = document["components"][0]["peak"]
    assert outcome.load("explore/A.npy")[0, y // 3, x // 3] > 200


def _as_wfield(atlas: dict[str, Any]) -> list[dict[str, Any]]:
    """The planted atlas in the form of wfield's dorsal_cortex_ccf_labels.json."""
    found: dict[str, dict[str, Any]] = {}
    for one in atlas["regions"]:
        entry = found.setdefault(one["acronym"], {key: one[key] for key in ("acronym", "name", "label")})
        entry |= {f"{one['side']}_x": one["x"], f"{one['side']}_y": one["y"]}
    return list(found.values())


def test_an_atlas_in_the_form_of_wfield_gives_the_same(
    locanmf: LocaNmf, sample: Sample, found: Outcome, tmp_path: Path
) -> None:
    labels, marks = tmp_path / "labels.json", tmp_path / "landmarks.json"
    labels.write_text(json.dumps(_as_wfield(json.loads(sample.inputs["atlas"].read_text()))))
    x, y = zip(*generate.LANDMARKS.values(), strict=True)
    marks.write_text(json.dumps({"landmarks": {"name": list(generate.LANDMARKS), "x": x, "y": y}}))
    outcome = locanmf(sample.with_input(atlas=labels, atlas_landmarks=marks), **sample.config)
    assert sorted(outcome.names) == sorted(found.names)
    # Regions come in another order here, and with them the updates.
    np.testing.assert_allclose(outcome.load("A.npy").sum(axis=2), found.load("A.npy").sum(axis=2), atol=0.02)


def test_the_allen_atlas_as_wfield_ships_it_is_read_and_placed(
    locanmf: LocaNmf, sample: Sample, record_property: Figures
) -> None:
    if not REAL_ATLAS.is_dir():
        record_property("figures", "stand-in: the planted atlas (set NEUROCAAS_REAL_DATA to use the Allen atlas)")
        return
    labels, marks = REAL_ATLAS / "dorsal_cortex_ccf_labels.json", REAL_ATLAS / "dorsal_cortex_landmarks.json"
    inputs = sample.with_input(atlas=labels, atlas_landmarks=marks)
    outcome = locanmf(inputs, **sample.config | {"max_rank": 1})
    known = {name for name, _ in outcome.names}
    assert {"MOp", "MOs", "VISp", "RSPd", "SSp-bfd"} <= known
    assert outcome.summary["smallest_localization"] >= 80
    record_property("figures", f"Allen atlas: {len(known)} areas with components, on a recording of other regions")


def test_progress_only_grows_and_figures_are_drawn(found: Outcome) -> None:
    lines = found.report.splitlines()
    told = [float(line.split()[1]) for line in lines]
    assert told == sorted(told)
    assert lines[-1].startswith("progress 1.000")
    for name in ("SummaryComponents.png", "fit.png"):
        assert (found.results / name).read_bytes().startswith(b"\x89PNG")


LANDMARK = {"name": "OB_left", "x": 10.0, "y": 10.0}
SQUARE = {"acronym": "Q", "side": "left", "label": 1, "x": [0, 1, 1], "y": [0, 0, 1]}
ELSEWHERE = np.arange(80 * 96).reshape(80, 96) < 10


def _holed(shape: tuple[int, ...], place: tuple[int, ...]) -> Array:
    array = np.ones(shape)
    array[place] = np.nan
    return array


def _regions(**changed: Any) -> dict[str, Any]:
    return {"regions": [SQUARE | changed]}


BAD_FILES: list[tuple[str, Any, str]] = [  # input, what is in the file, what is said
    ("spatial", np.ones((7680, 26)), "bad.npy has the shape (7680, 26); height x width x rank is right"),
    ("temporal", np.ones((2, 3, 4)), "bad.npy has the shape (2, 3, 4); rank x frames is right"),
    ("temporal", np.ones((900, 26)), "U.npy (80, 96, 26) and bad.npy (900, 26) do not belong together"),
    ("temporal", np.ones((26, 1)), "at least 2 are needed"),
    ("spatial", _holed((80, 96, 26), (50, 30, 2)), "in 1 pixel(s) of the brain, first at row 50, column 30"),
    ("temporal", _holed((26, 900), (3, 70)), "bad.npy holds a value that is no finite number, first in frame 70"),
    ("spatial", np.ones((80, 96, 26)) * 1j, "does not hold an array of real numbers"),
    ("spatial", np.zeros((80, 96, 26)), "is zero in every pixel"),
    ("spatial", "hello", "bad.npy cannot be read as a .npy file"),
    ("temporal", "", "bad.npy cannot be read as a .npy file"),
    ("mask", np.ones((96, 80)), "bad.npy has the shape (96, 80); the image's, (80, 96), is right"),
    ("mask", np.zeros((80, 96)), "holds no pixel that is not 0"),
    ("mask", ELSEWHERE, "No pixel is in both the atlas and bad.npy"),
    ("atlas", "{", "bad.json is not a JSON file"),
    ("atlas", {"a": 1}, "bad.json is no atlas"),
    ("atlas", [1, 2], "bad.json is no atlas that can be read"),
    ("atlas", 1, "bad.json is no atlas"),
    ("atlas", {"landmarks": {}}, "belongs to the input atlas_landmarks"),
    ("atlas", {"regions": []}, "holds no region"),
    ("atlas", {"regions": [{"side": "left"}]}, "'x' is missing"),
    ("atlas", _regions(side="up"), 'region Q: side: found \'up\'; "left" or "right" is right'),
    ("atlas", _regions(x=[0, 1]), "its outline has 2 x and 3 y values"),
    ("atlas", _regions() | {"units": "px"}, "units: found 'px'; \"mm\" is right"),
    ("atlas_landmarks", [1], "bad.json holds no landmarks"),
]


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES, ids=[says[:40] for _, _, says in BAD_FILES])
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    locanmf: LocaNmf, sample: Sample, tmp_path: Path, name: str, content: Any, says: str
) -> None:
    path = tmp_path / ("bad.json" if name.startswith("atlas") else "bad.npy")
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    failure = locanmf(sample.with_input(**{name: path}), **sample.config).failure
    assert says in failure
    assert str(tmp_path) not in failure
    assert failure.endswith(".")


def test_a_failure_reaches_the_platform_as_one_sentence(analysis_python: Path, sample: Sample, tmp_path: Path) -> None:
    outcome = run_workflow(analysis_python, tmp_path, sample.inputs, **sample.config | {"landmarks": [LANDMARK]})
    assert outcome.failure.startswith("landmarks: found 1;")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"landmarks": [LANDMARK]}, "landmarks: found 1; at least 2 are needed"),
        ({"landmarks": [LANDMARK, LANDMARK | {"name": "RSP_base"}]}, "all lie within one pixel"),
        ({"landmarks": [LANDMARK, LANDMARK | {"x": 50}]}, "OB_left is given 2 times"),
        ({"landmarks": [LANDMARK, LANDMARK | {"name": "nose"}]}, "no landmark nose; it has: OB_left, OB_center"),
        (
            {"landmarks": [LANDMARK | {"x": 5e4, "y": 5e4}, {"name": "OB_right", "x": 6e4, "y": 5e4}]},
            "lies outside of the image of 80 x 96 pixels",
        ),
        ({"min_rank": 5, "max_rank": 2}, "min_rank is 5 and max_rank 2"),
        ({"min_region_px": 5000}, "No region has 5000 pixels in the brain"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused_in_one_sentence(
    locanmf: LocaNmf, sample: Sample, config: dict[str, Any], says: str
) -> None:
    failure = locanmf(sample.inputs, **sample.config | config).failure
    assert says in failure


def test_what_needs_more_memory_than_granted_is_refused_at_once(locanmf: LocaNmf, sample: Sample) -> None:
    assert "MiB of memory" in locanmf(sample.inputs, memory_mib=200, **sample.config).failure


def test_the_files_a_blueprint_names_are_there() -> None:
    blueprint = json.loads((HERE / "blueprint.json").read_text())
    for file in (*blueprint["workflow"]["files"], blueprint["environment"]["lock"], blueprint["sample"]["generator"]):
        assert (HERE / file).is_file()


def test_the_sample_generator_writes_what_it_says(analysis_python: Path, sample: Sample, tmp_path: Path) -> None:
    subprocess.run([analysis_python, "-B", HERE / "sample" / "generate.py", tmp_path], check=True)
    for path in sample.inputs.values():
        assert (tmp_path / path.name).is_file()
    assert np.load(tmp_path / "truth.npz")["A"].shape == (80, 96, len(sample.A))
