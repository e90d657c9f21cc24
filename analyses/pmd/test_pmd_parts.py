"""The parts of pmd by themselves: its denoisers beside an exact solver, its blocks."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from .testing import HERE

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


CHECK_MERGING = """
import sys, tracemalloc
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from merging import Courses, merge
from scipy.sparse import csr_array

random = np.random.default_rng(0)
maps = csr_array(random.normal(size=(500, 300)) * (random.random((500, 300)) < 0.1))
courses = (random.normal(size=(300, 8)) @ random.normal(size=(8, 20_000))).astype(np.float32)
kept = Courses(Path(sys.argv[2]), 20_000)
kept.append(courses[:100])
kept.append(courses[100:])
tracemalloc.start()
merged = merge(maps, kept, loss=1.0)
peak = tracemalloc.get_traced_memory()[1]
assert len(merged.temporal) == 8
whole = maps @ courses
assert np.linalg.norm(maps @ merged.mixing @ merged.temporal - whole) < 1e-5 * np.linalg.norm(whole)
assert peak < 0.6 * courses.nbytes, f"{peak / courses.nbytes} times the courses"
"""


def test_merging_finds_the_rank_and_never_holds_all_courses(analysis_python: Path, tmp_path: Path) -> None:
    subprocess.run([analysis_python, "-B", "-c", CHECK_MERGING, HERE, tmp_path / "courses.raw"], check=True)
