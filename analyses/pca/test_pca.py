"""pca against numpy's exact SVD, on planted movies, on damaged files, within little memory and on real recordings."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import workflows
from support.workflows import Array, Workflow

HERE = Path(__file__).parent


class Outcome(workflows.Outcome):
    @property
    def route(self) -> str:
        return str(self.summary["method"]["route"])

    @property
    def table(self) -> Array:
        """component, variance, ratio, cumulative"""
        return np.loadtxt(self.path("explained_variance.csv"), delimiter=",", skiprows=1, ndmin=2)


class Pca(Workflow[Outcome]):
    def __call__(self, recording: Path, *, memory_mib: int = 1024, seed: int = 0, **config: Any) -> Outcome:
        return self.run({"recording": recording}, config, memory_mib=memory_mib, seed=seed)


@pytest.fixture
def pca(analysis_python: Path, tmp_path: Path) -> Pca:
    return Pca(analysis_python, HERE, tmp_path, Outcome)


@pytest.fixture(scope="module")
def sample(analysis_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    subprocess.run([analysis_python, "-B", HERE / "sample" / "generate.py", folder], check=True)
    return folder


def exact(data: Array, count: int) -> tuple[Array, Array, Array]:
    """variances (K,), ratios (K,) and components (K, N) by numpy's full SVD of (T, N) data."""
    left = data - data.mean(axis=0)
    _, lengths, components = np.linalg.svd(left, full_matrices=False)
    variances = lengths**2 / (len(data) - 1)
    return variances[:count], (variances / variances.sum())[:count], components[:count]


def largest_angle(a: Array, b: Array) -> float:
    """Largest principal angle in radians between the row spaces of a and b, both with orthonormal rows."""
    out_of_plane = b - b @ a.T @ a
    return float(np.linalg.norm(out_of_plane, 2))


def planted(frames: int, height: int, width: int, noise: float) -> tuple[Array, Array]:
    """A float32 movie of three separate squares that flicker independently, and their maps (3, pixels)."""
    random = np.random.default_rng(1)
    maps = np.zeros((3, height, width))
    for k in range(3):
        maps[k, 4 + 10 * k : 12 + 10 * k, 5:15] = 1
    maps = maps.reshape(3, -1) / np.linalg.norm(maps[0])
    courses = random.normal(size=(frames, 3)) * (40, 20, 10)
    movie = 100 + courses @ maps + noise * random.normal(size=(frames, height * width))
    return movie.reshape(frames, height, width).astype(np.float32), maps


@pytest.mark.parametrize("shape", [(300, 40), (60, 500)])
def test_a_matrix_agrees_with_numpys_svd(pca: Pca, tmp_path: Path, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    data = random.normal(size=shape) @ np.diag(1.2 ** -np.arange(shape[1], dtype=float)) + 50
    np.save(tmp_path / "matrix.npy", data)
    outcome = pca(tmp_path / "matrix.npy", components=8)
    variances, ratios, components = exact(data, 8)
    assert outcome.route.startswith("exact")
    np.testing.assert_allclose(outcome.table[:, 1], variances, rtol=1e-9)
    np.testing.assert_allclose(outcome.table[:, 2], ratios, rtol=1e-9)
    np.testing.assert_allclose(outcome.table[:, 3], np.cumsum(ratios), rtol=1e-9)
    assert largest_angle(components, outcome.load("components.npy").astype(float)) < 1e-5  # maps are float32
    np.testing.assert_allclose(outcome.load("mean.npy"), data.mean(axis=0), rtol=1e-6)


def test_a_movie_is_rebuilt_from_all_its_components(pca: Pca, tmp_path: Path) -> None:
    movie = np.random.default_rng(2).normal(size=(12, 9, 7))
    np.save(tmp_path / "movie.npy", movie)
    outcome = pca(tmp_path / "movie.npy", components=11)
    maps, courses, mean = (outcome.load(f"{name}.npy") for name in ("components", "time_courses", "mean"))
    assert maps.shape == (11, 9, 7)
    np.testing.assert_allclose(mean + np.tensordot(courses, maps, axes=1), movie, atol=1e-5)
    assert outcome.table[-1, 3] == pytest.approx(1, abs=1e-9)


def test_a_planted_movie_gives_back_its_parts_in_order(pca: Pca, tmp_path: Path) -> None:
    movie, maps = planted(400, 36, 30, noise=0.1)
    np.save(tmp_path / "planted.npy", movie)
    outcome = pca(tmp_path / "planted.npy", components=3)
    found = outcome.load("components.npy").reshape(3, -1)
    overlap = np.abs(found @ maps.T)
    # First-order perturbation theory: the noise turns the weakest part's map by about this angle, in any exact PCA.
    expected = 0.1 / 10 * np.sqrt(maps.shape[1] / len(movie))
    assert largest_angle(maps, found.astype(float)) < 1.2 * expected
    assert overlap.argmax(axis=1).tolist() == [0, 1, 2]
    assert (np.abs(found).max(axis=1) == found.max(axis=1)).all()  # the sign convention
    courses = outcome.load("time_courses.npy")
    np.testing.assert_allclose(courses.var(axis=0, ddof=1), outcome.table[:, 1], rtol=1e-9)
    np.testing.assert_allclose(np.corrcoef(courses.T), np.eye(3), atol=1e-6)


def test_a_movie_larger_than_its_memory_is_streamed_and_agrees_with_numpy(pca: Pca, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    frames, height, width = 600, 160, 160
    parts = random.normal(size=(14, height * width)).astype(np.float32)
    courses = (random.normal(size=(frames, 14)) * np.linspace(20, 2, 14)).astype(np.float32)
    movie = 1000 + courses @ parts + 8 * random.standard_normal((frames, height * width), dtype=np.float32)
    np.save(tmp_path / "long.npy", movie.reshape(frames, height, width))
    outcome = pca(tmp_path / "long.npy", components=6, memory_mib=256)
    # Numpy's exact values by the small side; the full SVD of this movie takes half a minute.
    left = movie.astype(float) - movie.mean(axis=0, dtype=float)
    squares, vectors = np.linalg.eigh(left @ left.T)
    components = (vectors[:, -6:].T @ left) / np.sqrt(squares[-6:, None])
    assert outcome.route == "streamed"
    np.testing.assert_allclose(outcome.table[:, 1], squares[-6:][::-1] / (frames - 1), rtol=1e-5)
    np.testing.assert_allclose(outcome.table[:, 2], squares[-6:][::-1] / squares.sum(), rtol=1e-5)
    assert largest_angle(components, outcome.load("components.npy").reshape(6, -1).astype(float)) < 0.01
    assert outcome.peak_mib < 256


def test_the_same_seed_gives_the_same_bytes(pca: Pca, tmp_path: Path) -> None:
    movie, _ = planted(200, 160, 160, noise=1)
    np.save(tmp_path / "movie.npy", movie)
    first, again = (pca(tmp_path / "movie.npy", components=3, seed=7, memory_mib=192) for _ in range(2))
    assert first.route == "streamed"
    names = sorted(path.name for path in first.results.iterdir())
    assert names == [
        "components.npy",
        "explained_variance.csv",
        "figure.png",
        "mean.npy",
        "summary.json",
        "time_courses.npy",
    ]
    for name in names:
        assert (first.results / name).read_bytes() == (again.results / name).read_bytes(), name


def test_detrending_and_standardizing_do_what_their_descriptions_say(pca: Pca, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    times = np.arange(200.0)
    data = random.normal(size=(200, 12)) * np.arange(1, 13) + np.outer(times, random.normal(size=12))
    np.save(tmp_path / "drift.npy", data)
    outcome = pca(tmp_path / "drift.npy", components=5, detrend="linear", standardize=True)
    design = np.stack([np.ones(200), times], axis=1)
    left = data - design @ np.linalg.lstsq(design, data, rcond=None)[0]
    variances, ratios, _ = exact(left / left.std(axis=0, ddof=1), 5)
    np.testing.assert_allclose(outcome.table[:, 1], variances, rtol=1e-9)
    np.testing.assert_allclose(outcome.table[:, 2], ratios, rtol=1e-9)


def test_binning_averages_squares_and_drops_the_edge(pca: Pca, tmp_path: Path) -> None:
    movie = np.random.default_rng(5).integers(0, 255, (30, 11, 13), dtype=np.uint8)
    np.save(tmp_path / "movie.npy", movie)
    outcome = pca(tmp_path / "movie.npy", components=4, spatial_bin=2)
    small = movie[:, :10, :12].reshape(30, 5, 2, 6, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(outcome.load("mean.npy"), small.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(outcome.table[:, 1], exact(small.reshape(30, -1), 4)[0], rtol=1e-6)


def test_colour_is_read_as_brightness(pca: Pca, tmp_path: Path) -> None:
    movie = np.random.default_rng(6).integers(0, 255, (20, 8, 9, 3), dtype=np.uint8)
    np.save(tmp_path / "colour.npy", movie)
    outcome = pca(tmp_path / "colour.npy", components=2)
    np.testing.assert_allclose(outcome.load("mean.npy"), (movie @ [0.299, 0.587, 0.114]).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("header", ["", "a,b,c,d\n"])
def test_a_table_with_or_without_header_is_the_same_matrix(pca: Pca, tmp_path: Path, header: str) -> None:
    data = np.random.default_rng(7).normal(size=(50, 4))
    rows = "\n".join(",".join(map(repr, row)) for row in data.tolist())
    (tmp_path / "with spaces é.csv").write_text(header + rows)
    outcome = pca(tmp_path / "with spaces é.csv", components=2)
    np.testing.assert_allclose(outcome.table[:, 1], exact(data, 2)[0], rtol=1e-9)
    assert outcome.summary["frames"] == 50


def test_the_sample_movies_are_analysed_and_the_maps_show_what_moves(pca: Pca, sample: Path) -> None:
    behaviour = pca(sample / "behaviour.mp4")
    assert (behaviour.summary["frames"], behaviour.summary["frame_rate_hz"]) == (200, 50)
    moving = np.abs(behaviour.load("components.npy")[:6]).max(axis=0)
    paws, tail, body = moving[110:135, 60:165], moving[60:130, :60], moving[55:95, 85:135]
    assert min(paws.max(), tail.max()) > 20 * body.max()
    cells = pca(sample / "two-photon.tif")
    assert cells.summary["frame_rate_hz"] == pytest.approx(15)
    waves = pca(sample / "widefield.npy")
    assert waves.summary["frame_rate_hz"] is None
    assert waves.table[2, 3] > 0.8 > 100 * waves.table[3, 2]  # three patterns were put in
    for outcome in (behaviour, cells, waves):
        assert (outcome.results / "figure.png").read_bytes().startswith(b"\x89PNG")
        assert outcome.report[-1].startswith("progress 1.000")
        told = [float(line.split()[1]) for line in outcome.report]
        assert told == sorted(told)


ENCODE = """
import av, numpy as np, sys, tifffile
movie = np.random.default_rng(0).integers(0, 255, (40, 48, 64), dtype=np.uint8)
with av.open(sys.argv[1] + "/clip.avi", "w") as container:
    stream = container.add_stream("mjpeg", rate=20, width=64, height=48, pix_fmt="yuvj420p")
    for image in movie:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
    container.mux(stream.encode())
with tifffile.TiffWriter(sys.argv[1] + "/pages.tif") as tiff:
    for image in movie:
        tiff.write(image, contiguous=False, compression="zlib")
tifffile.imwrite(sys.argv[1] + "/colour.tif", np.repeat(movie[..., None], 3, axis=3), photometric="rgb")
tifffile.imwrite(sys.argv[1] + "/volumes.tif", movie.reshape(10, 4, 48, 64), imagej=True, metadata={"axes": "TZYX"})
"""


@pytest.fixture(scope="module")
def encoded(analysis_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One movie of 40 frames of 48 x 64 in several files; volumes.tif is no movie."""
    folder = tmp_path_factory.mktemp("encoded")
    subprocess.run([analysis_python, "-B", "-c", ENCODE, folder], check=True)
    return folder


@pytest.mark.parametrize("name", ["clip.avi", "pages.tif", "colour.tif"])
def test_every_kind_of_movie_is_read_whole(pca: Pca, encoded: Path, name: str) -> None:
    outcome = pca(encoded / name, components=3)
    assert (outcome.summary["frames"], outcome.summary["frame_shape"]) == (40, [48, 64])


@pytest.mark.parametrize("part", [0.999, 0.5, 0.1])
@pytest.mark.parametrize("name", ["behaviour.mp4", "two-photon.tif", "widefield.npy", "clip.avi", "pages.tif"])
def test_a_file_cut_short_fails_by_name(
    pca: Pca, sample: Path, encoded: Path, tmp_path: Path, name: str, part: float
) -> None:
    whole = next(folder / name for folder in (sample, encoded) if (folder / name).exists()).read_bytes()
    part = 0.9 if (name, part) == ("clip.avi", 0.999) else part  # its last thousandth is an index, not frames
    (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
    outcome = pca(tmp_path / name)
    assert outcome.failure.startswith(f"{name} ")
    if (name, part) == ("behaviour.mp4", 0.5):
        assert "of the 200 frames it declares" in outcome.failure  # a decoder alone would play it to its middle
    assert not list(outcome.results.iterdir())


def _write(path: Path, content: Array | bytes) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)


NOISE = np.random.default_rng(8).normal(size=(20, 6, 5))
HOLED = np.where(np.arange(20)[:, None, None] == 13, np.nan, NOISE)


@pytest.mark.parametrize(
    ("name", "content", "config", "says"),
    [
        ("holed.npy", HOLED, {}, "first in frame 13"),
        ("one.npy", NOISE[:1], {"components": 1}, "holds 1 frame(s); at least 2"),
        ("line.npy", NOISE[:, 0, 0], {}, "has the shape (20,)"),
        ("deep.npy", NOISE.reshape(2, 10, 6, 1, 5), {}, "has the shape (2, 10, 6, 1, 5)"),
        ("complex.npy", NOISE * 1j, {}, "complex128"),
        ("still.npy", np.ones((20, 6, 5)), {}, "no value changes"),
        ("few.npy", NOISE, {"components": 20}, "enough for 19 component(s), but 20"),
        ("drift.npy", NOISE, {"components": 19, "detrend": "linear"}, "enough for 18 component(s), but 19"),
        ("flat.npy", NOISE.reshape(20, -1)[:, :2] @ np.ones((2, 30)), {}, "holds 1 independent component(s)"),
        ("small.npy", NOISE, {"spatial_bin": 6}, "too small for a spatial_bin of 6"),
        ("empty.npy", b"", {}, "cannot be read as a .npy file"),
        ("text.npy", b"hello", {}, "cannot be read as a .npy file"),
        ("text.mp4", b"hello", {}, "cannot be read as a .mp4 file"),
        ("text.tif", b"hello", {}, "cannot be read as a .tif file"),
        ("words.csv", b"a,b\n1,2\n3,four\n5,6\n", {"components": 1}, "four"),
        ("ragged.csv", b"1,2\n3,5\n5\n", {"components": 1}, "ragged.csv is damaged"),
        ("gaps.csv", b"1,2\n3,nan\n5,6\n", {"components": 1}, "first in frame 1"),
        ("notes.docx", b"PK", {}, "is not a recording"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_one_sentence(
    pca: Pca, tmp_path: Path, name: str, content: Array | bytes, config: dict[str, Any], says: str
) -> None:
    _write(tmp_path / name, content)
    failure = pca(tmp_path / name, **config).failure
    assert failure.startswith(name)
    assert says in failure
    assert str(tmp_path) not in failure


def test_volumes_are_not_taken_for_frames(pca: Pca, encoded: Path) -> None:
    assert "axes TZYX" in pca(encoded / "volumes.tif").failure


def test_frames_too_large_for_the_memory_are_refused_before_they_are_read(pca: Pca, tmp_path: Path) -> None:
    np.lib.format.open_memmap(tmp_path / "huge.npy", "w+", np.uint16, (100, 2048, 2048))  # sparse
    failure = pca(tmp_path / "huge.npy", memory_mib=512).failure
    assert "MiB of memory" in failure
    assert "larger spatial_bin" in failure


def test_the_files_a_blueprint_names_are_there() -> None:
    blueprint = json.loads((HERE / "blueprint.json").read_text())
    for file in (*blueprint["workflow"]["files"], blueprint["environment"]["lock"], blueprint["sample"]["generator"]):
        assert (HERE / file).is_file()


def test_real_recordings_show_the_moving_mouse(pca: Pca, sample: Path) -> None:
    data = Path(os.environ.get("NEUROCAAS_REAL_DATA", "/nonexistent"))
    mouse, cells = data / "mirror-mouse/videos/test_vid.mp4", data / "two-photon/example.tif"
    if not (mouse.exists() and cells.exists()):
        print("stand-in: the sample's movies (set NEUROCAAS_REAL_DATA to use real ones)")
        assert pca(sample / "behaviour.mp4", spatial_bin=2).status == 0
        return
    print("real recordings")
    outcome = pca(mouse, spatial_bin=2)
    assert (outcome.summary["frames"], outcome.summary["frame_rate_hz"]) == (994, 250)
    moving = np.abs(outcome.load("components.npy")[:6]).max(axis=0)
    legs, wheel = moving[15:50, 25:175], moving[52:82, 60:140]
    assert legs.mean() > 3 * wheel.mean()
    assert pca(cells).summary["frames"] == 20
