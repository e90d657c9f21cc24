"""pmd on planted movies, beside localmd, within little memory and on any number of cores."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .testing import HERE, QUICK, Outcome, Planted, Pmd


def test_it_comes_closer_to_the_truth_than_localmd(
    ours: Outcome, planted: Planted, localmd: Path, analysis_python: Path, tmp_path: Path, record_property: Any
) -> None:
    peer = subprocess.run(
        [analysis_python, "-B", HERE / "peer_localmd.py", planted.movie, tmp_path, "20", "20"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(localmd), "HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(peer.stdout.splitlines()[-1])
    error, their_error = planted.error(ours.denoised), planted.error(np.load(tmp_path / "denoised.npy"))
    summary = ours.summary
    record_property(
        "figures",
        f"mean squared error over noise variance: pmd {error:.4f}, localmd {their_error:.4f}; "
        f"rank {summary['rank']} and {theirs['rank']}; compression {summary['compression_ratio']:.1f}; "
        f"seconds {ours.own_seconds:.1f} (figures included) and {theirs['seconds']:.1f}, "
        f"ratio {ours.own_seconds / theirs['seconds']:.2f}",
    )
    assert error <= their_error
    assert error < 0.05


def test_the_residual_of_a_planted_movie_is_noise(
    pmd: Pmd, ours: Outcome, planted: Planted, record_property: Any
) -> None:
    left = ours.summary["residual"]
    correlations = np.array(left["temporal_autocorrelation"] + left["spatial_autocorrelation"])
    record_property(
        "figures",
        f"residual variance over noise variance {left['variance_over_noise_variance']:.3f}, "
        f"largest autocorrelation {np.abs(correlations).max():.4f}",
    )
    # Independent of what the workflow says: the planted noise itself is what is left, pixel by pixel.
    movie = np.load(planted.movie)
    residual, noise = movie - ours.denoised, movie - planted.clean
    assert np.corrcoef(residual.ravel(), noise.ravel())[0, 1] > 0.98
    assert left["variance_over_noise_variance"] == pytest.approx(1, abs=0.04)
    assert np.abs(correlations).max() < 0.012
    kurtosis = np.mean((residual / residual.std(axis=0)) ** 4)
    assert kurtosis == pytest.approx(3, abs=0.1)
    # The same measure does tell signal from noise: with one component for each block, much is left.
    poor = pmd(planted.movie, max_components=1, **QUICK).summary["residual"]
    assert max(poor["spatial_autocorrelation"]) > 0.015


def test_the_result_is_the_same_to_the_byte_on_any_number_of_cores(pmd: Pmd, ours: Outcome, planted: Planted) -> None:
    three = pmd(planted.movie, cores=3, **QUICK)
    names = sorted(path.name for path in ours.results.iterdir())
    assert names == [
        "before-after.mp4",
        "figure.png",
        "mean.npy",
        "noise.npy",
        "residual.png",
        "spatial.npy",
        "summary.json",
        "temporal.npy",
    ]
    for name in names:
        assert (ours.results / name).read_bytes() == (three.results / name).read_bytes(), name


def test_the_results_are_what_the_blueprint_says(ours: Outcome, analysis_python: Path) -> None:
    spatial, temporal = ours.load("spatial.npy"), ours.load("temporal.npy")
    rank = ours.summary["rank"]
    assert (spatial.shape, spatial.dtype) == ((40, 50, rank), np.float32)
    assert (temporal.shape, temporal.dtype) == ((rank, 600), np.float32)
    scaled = (spatial / ours.load("noise.npy")[..., None]).reshape(-1, rank)
    np.testing.assert_allclose(scaled.T @ scaled, np.eye(rank), atol=1e-3)
    told = [float(line.split()[1]) for line in ours.report if line.startswith("progress")]
    assert told == sorted(told)
    assert told[-1] == 1
    look = "import av, sys; s = av.open(sys.argv[1]).streams.video[0]; print(s.codec_context.name, s.frames, s.pix_fmt)"
    film = ours.results / "before-after.mp4"
    said = subprocess.run([analysis_python, "-c", look, film], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["h264", "200", "yuv420p"]  # what browsers play
    assert film.stat().st_size < 2 * 2**20


@pytest.mark.parametrize("cores", [1, 2])
def test_memory_stays_below_three_rows_of_blocks(pmd: Pmd, tmp_path: Path, cores: int, record_property: Any) -> None:
    random = np.random.default_rng(1)
    frames, height, width, block = 6000, 64, 160, 16
    tiny, large = tmp_path / "tiny.npy", tmp_path / "large.npy"
    activity = random.normal(size=frames).cumsum() / 10
    movie = np.lib.format.open_memmap(large, "w+", np.uint16, (frames, height, width))
    for start in range(0, frames, 500):
        light = 1000 + 20 * activity[start : start + 500, None, None] + 50 * random.normal(size=(500, height, width))
        movie[start : start + 500] = light
    np.save(tiny, movie[:300, :20, :20])
    size_mib, row_mib = movie.nbytes / 2**20, block * width * frames * 4 / 2**20
    del movie
    config = {"block_height": block, "block_width": block, "overlapping": False, "max_components": 2}
    config |= {"consec_failures": 1, "max_iters_main": 2}
    libraries = pmd(tiny, cores=cores, watched=True, **config).peak_mib
    peak = pmd(large, cores=cores, watched=True, **config).peak_mib - libraries
    record_property(
        "figures",
        f"{cores} core(s): {peak:.0f} MiB beside the libraries' {libraries:.0f}; a row of blocks is {row_mib:.0f} MiB "
        f"in a movie of {size_mib:.0f} MiB ({2 * size_mib:.0f} MiB in single precision)",
    )
    assert peak < 3 * row_mib


def test_the_background_is_part_of_the_result(pmd: Pmd, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    flicker = 30 * np.sin(np.arange(200) / 3)[:, None, None] * np.linspace(0.5, 1.5, 36)
    clean = 500 + flicker * np.ones((1, 36, 1))
    np.save(tmp_path / "flicker.npy", (clean + 5 * random.normal(size=clean.shape)).astype(np.float32))
    outcome = pmd(tmp_path / "flicker.npy", background_rank=1, **QUICK)
    assert outcome.summary["rank"] >= 1
    assert np.mean((outcome.denoised - clean) ** 2) < 0.05 * 25


def test_the_files_a_blueprint_names_are_there() -> None:
    blueprint = json.loads((HERE / "blueprint.json").read_text())
    for file in (*blueprint["workflow"]["files"], blueprint["environment"]["lock"], blueprint["sample"]["generator"]):
        assert (HERE / file).is_file()
