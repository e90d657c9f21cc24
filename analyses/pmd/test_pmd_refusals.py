"""pmd at the edges of what it takes: blocks no larger than asked for, and files that are no movies."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import numpy as np

from support.refusals import Case, said_of

HERE = Path(__file__).parent
CHECK_SIZES = """
import sys
sys.path.insert(0, sys.argv[1])
from blocks import tile
for block in range(6, 30):
    for side in range(5, 130):
        for overlapping in (True, False):
            tiling = tile(side, 10, block_height=block, block_width=10, overlapping=overlapping)
            largest = max(one.shape[0] for one in tiling.blocks)
            assert largest <= block, f"a side of {side} in blocks of {block} has one of {largest}"
"""


def test_no_block_is_larger_than_asked_for(analysis_python: Path) -> None:
    answer = subprocess.run(
        [analysis_python, "-B", "-c", CHECK_SIZES, HERE], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_what_is_no_movie_is_refused_in_one_sentence(analysis_python: Path, tmp_path: Path) -> None:
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps({"not": "an array"}))
    np.save(tmp_path / "objects.npy", np.full((20, 8, 8), None), allow_pickle=True)
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**7, 10**6, 10**3)}
    with (tmp_path / "endless.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    movie = np.random.default_rng(0).standard_normal((40, 8, 8))
    movie[7, 3, 2] = np.nan
    np.save(tmp_path / "holed.npy", movie)
    with (tmp_path / "long.npy").open("wb") as file:
        shape = (200_000, 40, 600)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 200_000 * 40 * 600)  # takes no space on disk
    cases = {
        "long": Case(inputs={"movie": tmp_path / "long.npy"}),
        "pickled": Case(inputs={"movie": tmp_path / "pickled.npy"}),
        "objects": Case(inputs={"movie": tmp_path / "objects.npy"}),
        "endless": Case(inputs={"movie": tmp_path / "endless.npy"}),
        "holed": Case(inputs={"movie": tmp_path / "holed.npy"}, config={"background_rank": 2}),
    }
    said = said_of(analysis_python, HERE, cases, tmp_path, module="pipeline")
    unread = "cannot be read as a .npy file, it may be cut short:"
    assert said["pickled"] == f"pickled.npy {unread} This file contains pickled (object) data."
    assert "one row of blocks takes 18,311 MiB of memory and 2,048 are granted" in said["long"]
    assert said["objects"] == f"objects.npy {unread} Array can't be memory-mapped: Python objects in dtype."
    assert said["endless"].startswith(f"endless.npy {unread} mmap length is greater than file size")
    assert said["holed"].startswith("holed.npy holds a value that is not a finite number, first in frame 7 of row 3")


CHECK_LOSS = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, pipeline
from job import Failure
from pathlib import Path
from scipy.sparse import csr_array
from types import SimpleNamespace
pipeline.assembled = lambda movie, found: csr_array(np.eye(9, 2))
courses = pipeline.Courses(Path("courses.raw"), 20)
courses.append(np.ones((2, 20)))
movie = SimpleNamespace(name="weak.npy", height=3, width=3, frames=20)
try:
    pipeline.write_factors(Path("."), movie, SimpleNamespace(courses=courses), 100)
except Failure as failure:
    print(failure)
"""


def test_a_loss_by_merging_that_loses_everything_is_named(analysis_python: Path, tmp_path: Path) -> None:
    """It is not said that the movie holds nothing but noise."""
    answer = subprocess.run(
        [analysis_python, "-B", "-c", CHECK_LOSS, HERE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("merge_loss is 100 %, which loses all 2 components found in weak.npy")
