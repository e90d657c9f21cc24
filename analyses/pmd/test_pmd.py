"""pmd on planted movies, beside localmd, within little memory, on any number of cores and on a real movie."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "parameters.schema.json").read_text())
DEFAULTS = {name: value["default"] for name, value in SCHEMA["properties"].items()}
QUICK = {"block_height": 20, "block_width": 20}  # the blocks of the small movies here

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of the workflow left behind."""

    status: int
    results: Path
    report: list[str]
    stdout: str
    stderr: str
    peak_mib: float  # of all its processes together; what they share counts once

    @property
    def failure(self) -> str:
        assert self.status == 1, self.stderr
        assert "Traceback" not in self.stderr
        (line,) = [line for line in self.report if line.startswith("failure ")]
        return line.removeprefix("failure ")

    @property
    def summary(self) -> dict[str, Any]:
        assert self.status == 0, self.stderr
        summary: dict[str, Any] = json.loads((self.results / "summary.json").read_text())
        return summary

    def load(self, name: str) -> Array:
        assert self.status == 0, self.stderr
        array: Array = np.load(self.results / f"{name}.npy")
        return array

    @cached_property
    def denoised(self) -> Array:
        movie: Array = np.moveaxis(self.load("mean")[..., None] + self.load("spatial") @ self.load("temporal"), 2, 0)
        return movie

    @property
    def seconds(self) -> float:
        """Of the analysis as its log tells it, without starting Python."""
        return float(self.stdout.rsplit("; ", 1)[1].split(" in all")[0])


class Pmd:
    """Runs the workflow as the platform does, by the contract's variables alone."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder, self.runs = python, folder, 0

    def __call__(self, movie: Path, *, cores: int = 2, seed: int = 0, **config: Any) -> Outcome:
        self.runs += 1
        home = self.folder / f"run-{self.runs}"
        results = home / "results"
        results.mkdir(parents=True)
        report = home / "report"
        report.touch()
        (home / "config.json").write_text(json.dumps(DEFAULTS | config))
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(home),
            "NEUROCAAS_INPUT_MOVIE": str(movie),
            "NEUROCAAS_CONFIG": str(home / "config.json"),
            "NEUROCAAS_RESULTS": str(results),
            "NEUROCAAS_SEED": str(seed),
            "NEUROCAAS_CORES": str(cores),
            "NEUROCAAS_REPORT": str(report),
            "OPENBLAS_NUM_THREADS": str(cores),  # as the platform sets it; the workflow wants 1 and has to see to it
            "PYTHONDONTWRITEBYTECODE": "1",  # the version's folder is read-only in the sandbox, and clean here
        }
        with (home / "stdout").open("w") as out, (home / "stderr").open("w") as err:
            command = [str(self.python), str(HERE / "workflow.py")]
            process = subprocess.Popen(command, env=variables, cwd=home, stdout=out, stderr=err)
            peak = 0.0
            while True:
                try:
                    status = process.wait(timeout=0.02)
                    break
                except subprocess.TimeoutExpired:
                    peak = max(peak, memory_mib(process.pid))
        return Outcome(
            status=status,
            results=results,
            report=report.read_text().splitlines(),
            stdout=(home / "stdout").read_text(),
            stderr=(home / "stderr").read_text(),
            peak_mib=peak,
        )


def memory_mib(pid: int) -> float:
    """Proportional set size of a process and its children, which end at any time."""
    total = 0.0
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, StopIteration):
        return total
    return total + sum(memory_mib(int(child)) for child in children)


@pytest.fixture
def pmd(analysis_python: Path, tmp_path: Path) -> Pmd:
    return Pmd(analysis_python, tmp_path)


PLANT = """
import sys
sys.path.insert(0, sys.argv[1] + "/sample")
from pathlib import Path
from generate import write
write(Path(sys.argv[2]), *map(int, sys.argv[3:6]), truth=True)
"""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A movie of the sample's generator, and the truth."""

    movie: Path
    clean: Array

    def error(self, movie: Array) -> float:
        """Mean squared error, in units of the noise's variance."""
        noise = np.mean((np.load(self.movie) - self.clean) ** 2)
        return float(np.mean((movie - self.clean) ** 2) / noise)


@pytest.fixture(scope="module")
def planted(analysis_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    shape = ("600", "40", "50")
    subprocess.run([analysis_python, "-B", "-c", PLANT, HERE, folder, *shape], check=True)
    return Planted(movie=folder / "calcium.npy", clean=np.load(folder / "clean.npy"))


@pytest.fixture(scope="module")
def ours(analysis_python: Path, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What one core makes of the planted movie."""
    return Pmd(analysis_python, tmp_path_factory.mktemp("ours"))(planted.movie, cores=1, **QUICK)


@pytest.fixture(scope="module")
def localmd(analysis_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with localmd alone; requirements-test.txt brings what it imports."""
    import uv

    folder = tmp_path_factory.mktemp("localmd")
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", folder, "localmd==0.0.4"]
    subprocess.run([*install, "--python", analysis_python], check=True)
    return folder


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
        f"seconds {ours.seconds:.1f} (figures included) and {theirs['seconds']:.1f}, "
        f"ratio {ours.seconds / theirs['seconds']:.2f}",
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
    spatial, temporal = ours.load("spatial"), ours.load("temporal")
    rank = ours.summary["rank"]
    assert (spatial.shape, spatial.dtype) == ((40, 50, rank), np.float32)
    assert (temporal.shape, temporal.dtype) == ((rank, 600), np.float32)
    scaled = (spatial / ours.load("noise")[..., None]).reshape(-1, rank)
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
    libraries = pmd(tiny, cores=cores, **config).peak_mib
    peak = pmd(large, cores=cores, **config).peak_mib - libraries
    record_property(
        "figures",
        f"{cores} core(s): {peak:.0f} MiB beside the libraries' {libraries:.0f}; a row of blocks is {row_mib:.0f} MiB "
        f"in a movie of {size_mib:.0f} MiB ({2 * size_mib:.0f} MiB in single precision)",
    )
    assert peak < 3 * row_mib


CHECK_DENOISERS = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from denoising import TrendFilter, total_variation
from scipy.optimize import lsq_linear

def reference(y, operator, weight):
    # The dual of min 1/2 |y - x|^2 + weight |D x|_1 is a least squares problem within bounds.
    answer = lsq_linear(operator.T, y, (-weight, weight), method="bvls", tol=1e-14)
    return y - operator.T @ answer.x

random = np.random.default_rng(0)
worst = 0.0
for trial in range(4):
    y = np.cumsum(random.normal(size=70) * (random.random(70) < 0.1)) * 3 + random.normal(size=70)
    trend_filter = TrendFilter(70)
    found = trend_filter.denoise(y, 0.8)
    assert abs(np.mean((y - found) ** 2) / 0.8 - 1) < 0.03
    exact = reference(y, np.diff(np.eye(70), 2, axis=0), trend_filter.weight)
    worst = max(worst, np.mean((found - exact) ** 2) / 0.8)

    image = np.zeros((9, 8)); image[2:6, 3:7] = 4; image += random.normal(size=image.shape)
    found, weight = total_variation(image, 0.5)
    assert abs(np.mean((image - found) ** 2) / 0.5 - 1) < 0.03
    eye = np.eye(image.size).reshape(-1, *image.shape)
    operator = np.concatenate([np.diff(eye, axis=axis).reshape(image.size, -1) for axis in (1, 2)], axis=1).T
    exact = reference(image.ravel(), operator, weight)
    worst = max(worst, np.mean((found.ravel() - exact) ** 2) / 0.5)
print(worst)
"""


def test_both_denoisers_agree_with_an_exact_solver(analysis_python: Path, record_property: Any) -> None:
    check = [analysis_python, "-B", "-c", CHECK_DENOISERS, HERE]
    worst = float(subprocess.run(check, capture_output=True, text=True, check=True).stdout)
    record_property("figures", f"mean squared distance from the exact solution over the noise allowed: {worst:.1e}")
    assert worst < 0.01


CHECK_TILING = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from blocks import tile

random = np.random.default_rng(0)
for trial in range(200):
    height, width = random.integers(5, 130, 2)
    tall, wide = random.integers(6, 60, 2)
    for overlapping in (True, False):
        tiling = tile(height, width, block_height=tall, block_width=wide, overlapping=overlapping)
        total = np.zeros((height, width))
        for block, weight in zip(tiling.blocks, tiling.weights(height, width), strict=True):
            assert block.shape[0] <= tall + 1 and block.shape[1] <= wide + 1
            assert block.last_half - block.first_half <= 1  # so two halves in memory are enough
            total[block.rows, block.columns] += weight
        assert np.allclose(total, 1, atol=1e-5)
        assert [b for half in range(len(tiling.halves)) for b in tiling.ready(half)] == tiling.blocks
"""


def test_blocks_cover_every_field_of_view_with_weights_that_add_up_to_one(analysis_python: Path) -> None:
    subprocess.run([analysis_python, "-B", "-c", CHECK_TILING, HERE], check=True)


ENCODE = """
import av, numpy as np, sys, tifffile
folder = sys.argv[1]
movie = np.load(folder + "/plain.npy")
np.save(folder + "/fortran.npy", np.asfortranarray(movie))
np.save(folder + "/colour.npy", np.repeat(movie[..., None], 3, axis=3))
tifffile.imwrite(folder + "/imagej.tif", movie, imagej=True, metadata={"axes": "TYX", "finterval": 0.1})
with tifffile.TiffWriter(folder + "/pages.tif") as tiff:
    for image in movie:
        tiff.write(image, contiguous=False, compression="zlib")
with av.open(folder + "/clip.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=20, options={"crf": "15"})
    stream.height, stream.width, stream.pix_fmt = *movie.shape[1:], "yuv420p"
    for image in movie:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
    container.mux(stream.encode())
tifffile.imwrite(folder + "/volumes.tif", movie.reshape(50, 2, 24, 30), imagej=True, metadata={"axes": "TZYX"})
"""


@pytest.fixture(scope="module")
def encoded(analysis_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One movie of 100 frames of 24 x 30 in several files; volumes.tif is no movie."""
    folder = tmp_path_factory.mktemp("encoded")
    random = np.random.default_rng(2)
    y, x = np.mgrid[:24, :30]
    blob = np.exp(-(((y - 12) / 5) ** 2) - ((x - 15) / 6) ** 2)
    light = 100 + 40 * np.sin(np.arange(100) / 8)[:, None, None] * blob + 4 * random.normal(size=(100, 24, 30))
    np.save(folder / "plain.npy", light.astype(np.uint8))
    subprocess.run([analysis_python, "-B", "-c", ENCODE, folder], check=True)
    return folder


def test_every_kind_of_movie_is_read_alike(pmd: Pmd, encoded: Path) -> None:
    config = {"block_height": 30, "block_width": 30, "max_components": 3}
    plain = pmd(encoded / "plain.npy", **config)
    for name in ("fortran.npy", "imagej.tif", "pages.tif"):
        other = pmd(encoded / name, **config)
        assert (other.results / "spatial.npy").read_bytes() == (plain.results / "spatial.npy").read_bytes(), name
        if name == "imagej.tif":
            assert other.summary["frame_rate_hz"] == pytest.approx(10)
    colour = pmd(encoded / "colour.npy", **config)
    assert np.corrcoef(colour.denoised.ravel(), plain.denoised.ravel())[0, 1] > 0.98


def test_the_background_is_part_of_the_result(pmd: Pmd, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    flicker = 30 * np.sin(np.arange(200) / 3)[:, None, None] * np.linspace(0.5, 1.5, 36)
    clean = 500 + flicker * np.ones((1, 36, 1))
    np.save(tmp_path / "flicker.npy", (clean + 5 * random.normal(size=clean.shape)).astype(np.float32))
    outcome = pmd(tmp_path / "flicker.npy", background_rank=1, **QUICK)
    assert outcome.summary["rank"] >= 1
    assert np.mean((outcome.denoised - clean) ** 2) < 0.05 * 25


NOISE = np.random.default_rng(8).normal(size=(40, 12, 10))
HOLED = np.where(np.arange(40)[:, None, None] == 13, np.nan, NOISE)


@pytest.mark.parametrize(
    ("name", "content", "config", "says"),
    [
        ("noise.npy", NOISE, {}, "nothing smoother than white noise"),
        ("holed.npy", HOLED, {}, "first in frame 13 of row 0"),
        ("short.npy", NOISE[:12], {}, "has 12 frames; at least 16"),
        ("narrow.npy", NOISE[:, :4], {}, "frames of 4 x 10 pixels; at least 5"),
        ("background.npy", NOISE[:20], {"background_rank": 20}, "too few for a background_rank of 20"),
        ("matrix.npy", NOISE[:, 0], {}, "has the shape (40, 10)"),
        ("complex.npy", NOISE * 1j, {}, "complex128"),
        ("empty.npy", b"", {}, "cannot be read as a .npy file"),
        ("text.mp4", b"hello", {}, "cannot be read as a .mp4 file"),
        ("text.tif", b"hello", {}, "cannot be read as a .tif file"),
        ("notes.docx", b"PK", {}, "is not a recording"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_one_sentence(
    pmd: Pmd, tmp_path: Path, name: str, content: Array | bytes, config: dict[str, Any], says: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content)
    outcome = pmd(tmp_path / name, cores=1, **config)
    assert outcome.failure.startswith(name)
    assert says in outcome.failure
    assert str(tmp_path) not in outcome.failure


@pytest.mark.parametrize("name", ["pages.tif", "clip.mp4", "plain.npy", "imagej.tif"])
def test_a_file_cut_short_fails_by_name(pmd: Pmd, encoded: Path, tmp_path: Path, name: str) -> None:
    whole = (encoded / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    outcome = pmd(tmp_path / name, cores=1)
    assert outcome.failure.startswith(f"{name} ")
    assert not list(outcome.results.iterdir())


def test_volumes_are_not_taken_for_frames(pmd: Pmd, encoded: Path) -> None:
    assert "axes TZYX" in pmd(encoded / "volumes.tif").failure


def test_the_files_a_blueprint_names_are_there() -> None:
    blueprint = json.loads((HERE / "blueprint.json").read_text())
    for file in (*blueprint["workflow"]["files"], blueprint["environment"]["lock"], blueprint["sample"]["generator"]):
        assert (HERE / file).is_file()


CUT = """
import av, numpy as np, sys
with av.open(sys.argv[1]) as container:
    frames = [frame.to_ndarray(format="gray") for frame, _ in zip(container.decode(video=0), range(300))]
np.save(sys.argv[2], np.stack(frames)[:, 120:280, 120:280])
"""


def test_frames_of_a_real_movie_pass_without_failure(
    pmd: Pmd, encoded: Path, analysis_python: Path, tmp_path: Path, record_property: Any
) -> None:
    """Of a mouse on a wheel: 300 frames of 160 x 160 pixels; where the shared data are not there, the clip above."""
    shared = Path(os.environ.get("NEUROCAAS_REAL_DATA", HERE.parents[2] / "shared" / "data"))
    mouse = shared / "mirror-mouse/videos/test_vid.mp4"
    which, movie = ("the real movie", mouse) if mouse.exists() else ("a stand-in", encoded / "clip.mp4")
    if mouse.exists():
        movie = tmp_path / "frames.npy"
        subprocess.run([analysis_python, "-B", "-c", CUT, mouse, movie], check=True)
    outcome = pmd(movie, overlapping=False, max_components=8, max_iters_main=3)
    left = outcome.summary["residual"]
    figures = (
        f"{which}: rank {outcome.summary['rank']}, compression {outcome.summary['compression_ratio']:.1f}, "
        f"residual variance over noise variance {left['variance_over_noise_variance']:.2f}, autocorrelation at lag 1 "
        f"{left['temporal_autocorrelation'][0]:.2f} in time, {left['spatial_autocorrelation'][0]:.2f} in space"
    )
    record_property("figures", figures)
    print(figures)
    assert outcome.results.joinpath("residual.png").read_bytes().startswith(b"\x89PNG")
