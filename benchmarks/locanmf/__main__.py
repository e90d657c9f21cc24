"""Split planted widefield recordings of three sizes into localized components, on one core and on two, and print MB/s.

The figure is what the recording would be as pixels x frames in 16 bits, the form in which cameras write it, over the
time from reading U and V to the found components; start of Python, files and figures are left out. Figures are printed
and written to benchmarks/results/; none is judged here.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ANALYSIS = ROOT / "analyses" / "locanmf"
RESULTS = ROOT / "benchmarks" / "results"
VENV = ROOT / ".tools" / "bench-locanmf"
SIZES = ((80, 96, 900, 26), (160, 192, 3000, 50), (320, 384, 6000, 100))  # height, width, frames, rank

# In the analysis' own environment: makes a sample of one size, or analyses it and says how long that took.
GENERATE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1] + "/sample")
import generate
height, width, frames, rank = map(int, sys.argv[3:])
size = generate.Size(height=height, width=width, frames=frames, rank=rank)
generate.save(Path(sys.argv[2]), generate.plant(size), rank)
"""
ANALYSE = """
import contextlib, json, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from job import Job
from workflow import analyse
folder = Path(sys.argv[2])
schema = json.loads(Path(sys.argv[1], "parameters.schema.json").read_text())["properties"]
config = {name: one["default"] for name, one in schema.items()} | json.loads((folder / "config.json").read_text())
files = {"spatial": "U.npy", "temporal": "SVTcorr.npy", "atlas": "atlas.json", "mask": "mask.npy"}
job = Job(inputs={name: folder / file for name, file in files.items()}, config=config | {"min_region_px": 40},
          results=folder, seed=0, memory_mib=16384)
began = time.perf_counter()
with contextlib.redirect_stdout(sys.stderr):
    result = analyse(job)
print(json.dumps({"seconds": time.perf_counter() - began, "components": result.count, "r2": result.r2,
                  "pixels": result.movie.pixels, "sweeps": sum(len(phase.objective) for phase in result.phases)}))
"""


def main() -> None:
    options = parse_options()
    python = environment()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="neurocaas-locanmf-", dir=options.folder) as name:
        for size in SIZES[: options.sizes]:
            folder = Path(name) / "x".join(map(str, size))
            run(python, GENERATE, str(folder), *map(str, size))
            rows += [row(size, cores, measured(python, folder, cores, options.repetitions)) for cores in (1, 2)]
    if options.json:
        print(json.dumps(rows))
        return
    text = report(rows)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "locanmf.txt").write_text(text + "\n")
    (RESULTS / "locanmf.json").write_text(json.dumps(rows, indent=2) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.locanmf", description=__doc__)
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of the three, the smallest first")
    parser.add_argument("--repetitions", type=int, default=3, help="of each; the fastest is told")
    parser.add_argument("--folder", type=Path, help="where samples are written (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON alone")
    return parser.parse_args()


def environment() -> Path:
    """The Python of an environment with what the analysis locks."""
    import uv

    VENV.parent.mkdir(exist_ok=True)
    with VENV.with_suffix(".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not VENV.exists():
            subprocess.run([uv.find_uv_bin(), "--quiet", "venv", str(VENV)], check=True)
        install = [uv.find_uv_bin(), "--quiet", "pip", "sync", "--require-hashes", "--python", str(VENV / "bin/python")]
        subprocess.run([*install, str(ANALYSIS / "requirements.lock")], check=True)
    return VENV / "bin" / "python"


def run(python: Path, program: str, *arguments: str, cores: int = 2) -> str:
    variables = os.environ | {"NEUROCAAS_CORES": str(cores), "OPENBLAS_NUM_THREADS": str(cores)}
    kept = sorted(os.sched_getaffinity(0))[:cores]
    command = ["taskset", "--cpu-list", ",".join(map(str, kept)), str(python), "-B", "-c", program, str(ANALYSIS)]
    done = subprocess.run([*command, *arguments], env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def measured(python: Path, folder: Path, cores: int, repetitions: int) -> dict[str, Any]:
    """The fastest of some runs."""
    answers = [json.loads(run(python, ANALYSE, str(folder), cores=cores)) for _ in range(repetitions)]
    return dict(min(answers, key=lambda one: float(one["seconds"])))


def row(size: tuple[int, int, int, int], cores: int, answer: dict[str, Any]) -> dict[str, Any]:
    height, width, frames, _ = size
    return {"size": size, "cores": cores, **answer, "mb_per_s": 2e-6 * height * width * frames / answer["seconds"]}


def report(rows: list[dict[str, Any]]) -> str:
    lines = [
        "LocaNMF of planted recordings: MB/s of the recording in 16 bits; from reading U and V to the components.",
        f"  {'pixels':>9} {'frames':>6} {'rank':>4} {'cores':>5} {'seconds':>8} {'MB/s':>7} {'faster':>7}   found",
    ]
    for one in rows:
        height, width, frames, rank = one["size"]
        single = next(each for each in rows if each["size"] == one["size"] and each["cores"] == 1)
        lines.append(
            f"  {f'{height} x {width}':>9} {frames:6} {rank:4} {one['cores']:5} {one['seconds']:8.2f} "
            f"{one['mb_per_s']:7.0f} {single['seconds'] / one['seconds']:6.2f}x   "
            f"{one['components']} components, {one['sweeps']} sweeps, R² {one['r2']:.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
