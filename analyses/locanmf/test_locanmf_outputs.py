"""What locanmf leaves: tables, NWB and .mat beside .npy, the small copies for the page, figures, its sample."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from .testing import (
    HERE,
    LocaNmf,
    Outcome,
    Sample,
)


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


def test_progress_only_grows_and_figures_are_drawn(found: Outcome) -> None:
    lines = found.report
    told = [float(line.split()[1]) for line in lines]
    assert told == sorted(told)
    assert lines[-1].startswith("progress 1.000")
    for name in ("SummaryComponents.png", "fit.png"):
        assert (found.results / name).read_bytes().startswith(b"\x89PNG")


def test_the_files_a_blueprint_names_are_there() -> None:
    blueprint = json.loads((HERE / "blueprint.json").read_text())
    for file in (*blueprint["workflow"]["files"], blueprint["environment"]["lock"], blueprint["sample"]["generator"]):
        assert (HERE / file).is_file()


def test_the_sample_generator_writes_what_it_says(analysis_python: Path, sample: Sample, tmp_path: Path) -> None:
    subprocess.run([analysis_python, "-B", HERE / "sample" / "generate.py", tmp_path], check=True)
    for path in sample.inputs.values():
        assert (tmp_path / path.name).is_file()
    assert np.load(tmp_path / "truth.npz")["A"].shape == (80, 96, len(sample.A))


IDENTIFIERS = """
import numpy as np
from types import SimpleNamespace
from nwb import identifier
one = SimpleNamespace(maps=np.ones((2, 3)), courses=np.arange(8.0).reshape(2, 4))
other = SimpleNamespace(maps=np.ones((2, 3)), courses=one.courses + 1)
assert identifier(one) == identifier(one)
assert identifier(one) != identifier(other)
"""


def test_two_results_have_two_identifiers_in_nwb(analysis_python: Path) -> None:
    subprocess.run([analysis_python, "-B", "-c", IDENTIFIERS], cwd=HERE, check=True)
