"""Run pmd on movies of three sizes, on one core and on two, and localmd beside it (`make bench`).

Figures are printed and written to benchmarks/results/; none is judged here: analyses/pmd/test_pmd.py does that.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.pmd.environment import Environment
from benchmarks.pmd.measurement import Run, run_localmd, run_pmd

RESULTS = Path(__file__).parents[1] / "results"
ANALYSIS = Path(__file__).parents[2] / "analyses" / "pmd"


class Size(NamedTuple):
    """Of a movie, on how many cores, and whether localmd, which needs it in memory several times, does it too.

    sample_bytes: 2 as a camera stores it (uint16), 4 as motion correction hands it on (float32).
    """

    frames: int
    height: int
    width: int
    cores: tuple[int, ...] = (1, 2)
    beside_localmd: bool = False
    sample_bytes: int = 2

    @property
    def name(self) -> str:
        return f"{self.frames:,} x {self.height} x {self.width}"


# In pieces of time, so that the movie is never held.
TO_SINGLE = """
import sys, numpy as np
from pathlib import Path
stored = Path(sys.argv[1]) / "calcium.npy"
movie = np.load(stored, mmap_mode="r")
single = np.lib.format.open_memmap(stored.with_suffix(".new"), "w+", np.float32, movie.shape)
for start in range(0, len(movie), 100):
    single[start : start + 100] = movie[start : start + 100]
single.flush()
stored.with_suffix(".new").rename(stored)
"""
SIZES = (Size(600, 80, 80, beside_localmd=True), Size(1500, 120, 120, beside_localmd=True), Size(2000, 160, 160))
PAPER = Size(9000, 500, 600, cores=(2,))


def main() -> None:
    options = parse_options()
    sizes = SIZES[: options.sizes]
    if options.large or options.paper:
        sizes += (PAPER if options.paper else larger_than_a_tenth_of_memory(),)
    environment = Environment(Path(__file__).parents[2] / ".tools" / "bench-pmd")
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="neurocaas-bench-", dir=options.folder) as folder:
        for size in sizes:
            runs += measure(size, environment, Path(folder))
    report = table(runs)
    print(report)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pmd.txt").write_text(report + "\n")
    (RESULTS / "pmd.json").write_text(json.dumps([run._asdict() for run in runs], indent=2) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.pmd", description=__doc__)
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of the three sizes, smallest first")
    parser.add_argument("--large", action="store_true", help="also a movie larger than a tenth of the memory")
    parser.add_argument("--paper", action="store_true", help="also the paper's 500 x 600 x 9,000: hours on two cores")
    parser.add_argument("--folder", type=Path, help="where the movies are written (default: the temporary folder)")
    return parser.parse_args()


def larger_than_a_tenth_of_memory() -> Size:
    """As many frames as the paper's, and of its shape, in float32."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    pixels = 1.05 * memory / 10 / (4 * PAPER.frames)
    height = math.ceil(math.sqrt(pixels * PAPER.height / PAPER.width))
    return Size(PAPER.frames, height, math.ceil(pixels / height), cores=(2,), sample_bytes=4)


def measure(size: Size, environment: Environment, folder: Path) -> list[Run]:
    """One after the other, on the same movie in the same folder."""
    generate = f"import sys; sys.path.insert(0, {str(ANALYSIS / 'sample')!r}); from pathlib import Path; "
    generate += f"from generate import write; write(Path({str(folder)!r}), *{size[:3]!r}, truth=True)"
    subprocess.run([environment.python, "-B", "-c", generate], check=True)
    if size.sample_bytes == 4:
        subprocess.run([environment.python, "-B", "-c", TO_SINGLE, folder], check=True)
    runs = [run_pmd(environment, folder, size.name, cores) for cores in size.cores]
    if size.beside_localmd:
        runs.append(run_localmd(environment, folder, size.name))
    for run in runs:
        print(f"{run.contender:>14}  {run.size:>18}  {run.seconds:8.1f} s", file=sys.stderr, flush=True)
    return runs


def table(runs: list[Run]) -> str:
    lines = [
        "Penalized matrix decomposition, blocks of 40 x 40; MB of the recording as it is stored",
        (
            f"{'movie':>18}  {'by':>14}  {'seconds':>8}  {'MB/s':>6}  {'1 core / this':>13}  "
            f"{'memory MiB':>10}  {'3 rows MiB':>10}  {'error':>7}  {'rank':>5}  {'compression':>11}"
        ),
    ]
    alone = {run.size: run.seconds for run in runs if run.contender == "pmd, 1 core"}
    nan = float("nan")
    lines += [
        f"{run.size:>18}  {run.contender:>14}  {run.seconds:8.1f}  {run.megabytes / run.seconds:6.2f}  "
        f"{alone.get(run.size, nan) / run.seconds:13.2f}  {run.peak_mib:10.0f}  {run.three_rows_mib:10.0f}  "
        f"{run.error:7.4f}  {run.rank:5d}  {run.compression:11.1f}"
        for run in runs
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
