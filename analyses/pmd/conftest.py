"""What pmd's tests share: a planted movie, what one core makes of it, one movie in many kinds of files, localmd."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .testing import HERE, PLANT, QUICK, Outcome, Planted, Pmd


@pytest.fixture
def pmd(analysis_python: Path, tmp_path: Path) -> Pmd:
    return Pmd(analysis_python, HERE, tmp_path, Outcome)


@pytest.fixture(scope="session")
def planted(python_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    shape = ("600", "40", "50")
    subprocess.run([python_of("pmd"), "-B", "-c", PLANT, HERE, folder, *shape], check=True)
    return Planted(movie=folder / "calcium.npy", clean=np.load(folder / "clean.npy"))


@pytest.fixture(scope="session")
def ours(python_of: Callable[[str], Path], planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What one core makes of the planted movie."""
    return Pmd(python_of("pmd"), HERE, tmp_path_factory.mktemp("ours"), Outcome)(planted.movie, cores=1, **QUICK)


@pytest.fixture(scope="session")
def localmd(python_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with localmd alone; requirements-test.txt brings what it imports."""
    import uv

    folder = tmp_path_factory.mktemp("localmd")
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", folder, "localmd==0.0.4"]
    subprocess.run([*install, "--python", python_of("pmd")], check=True)
    return folder


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


@pytest.fixture(scope="session")
def encoded(python_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One movie of 100 frames of 24 x 30 in several files; volumes.tif is no movie."""
    folder = tmp_path_factory.mktemp("encoded")
    random = np.random.default_rng(2)
    y, x = np.mgrid[:24, :30]
    blob = np.exp(-(((y - 12) / 5) ** 2) - ((x - 15) / 6) ** 2)
    light = 100 + 40 * np.sin(np.arange(100) / 8)[:, None, None] * blob + 4 * random.normal(size=(100, 24, 30))
    np.save(folder / "plain.npy", light.astype(np.uint8))
    subprocess.run([python_of("pmd"), "-B", "-c", ENCODE, folder], check=True)
    return folder
