"""Run overview, motion correction and hemodynamic correction on widefield recordings of three sizes (`make bench`).

Figures are printed and written to benchmarks/results/; none is judged here: the tests in analyses/widefield-* do that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ANALYSES = ROOT / "analyses"
MOTION = ANALYSES / "widefield-motion"
RESULTS = ROOT / "benchmarks" / "results"
VENV = ROOT / ".tools" / "bench-widefield"
RATE_HZ = 30
RANK = 100

DECOMPOSITION = """
import sys
import numpy as np
folder, height, width, times, rank = sys.argv[1], *map(int, sys.argv[2:])
random = np.random.default_rng(0)
np.save(folder + "/spatial.npy", random.standard_normal((height, width, rank), np.float32))
np.save(folder + "/temporal.npy", random.standard_normal((rank, 2 * times), np.float32))
"""


class Size(NamedTuple):
    """Of a recording, and whether wfield has to do it too."""

    height: int
    width: int
    times: int
    beside_wfield: bool

    @property
    def name(self) -> str:
        return f"{self.height} x {self.width} x {self.times:,}"

    @property
    def megabytes(self) -> float:
        return self.height * self.width * self.times * 2 * 2 / 1e6


SIZES = (Size(120, 140, 1000, True), Size(250, 300, 500, False), Size(500, 600, 250, False))
PAPER = Size(500, 600, 9000, False)


class Run(NamedTuple):
    size: str
    step: str
    by: str
    seconds: float
    megabytes: float


def main() -> None:
    options = parse_options()
    python = environment()
    runs: list[Run] = []
    for size in SIZES[: options.sizes] + ((PAPER,) if options.paper else ()):
        with tempfile.TemporaryDirectory(prefix="neurocaas-widefield-", dir=options.folder) as folder:
            for run in measured(python, size, Path(folder)):
                print(f"{run.size:>18}  {run.step:>13}  {run.by:>8}  {run.seconds:7.1f} s", file=sys.stderr, flush=True)
                runs.append(run)
    text = table(runs)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "widefield.txt").write_text(text + "\n")
    (RESULTS / "widefield.json").write_text(json.dumps([run._asdict() for run in runs], indent=2) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.widefield", description=__doc__)
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of the three sizes, smallest first")
    parser.add_argument("--paper", action="store_true", help="also the paper's 500 x 600 x 9,000: 10.8 GB")
    parser.add_argument("--folder", type=Path, help="where recordings are written (default: the temporary folder)")
    return parser.parse_args()


def environment() -> Path:
    """The interpreter of what widefield-motion locks, which holds all that the others import, and of wfield."""
    import uv

    lock, extra = MOTION / "requirements.lock", MOTION / "requirements-test.txt"
    python, complete = VENV / "bin" / "python", VENV / "complete"
    wanted = lock.read_text() + extra.read_text()
    if complete.is_file() and complete.read_text() == wanted:
        return python
    into = ["--python", str(python)]
    for arguments in (
        ["venv", "--clear", "--python", "3.11", str(VENV)],
        ["pip", "install", *into, "--require-hashes", "-r", str(lock)],
        ["pip", "install", *into, "-r", str(extra), "--constraint", str(lock)],
    ):
        subprocess.run([uv.find_uv_bin(), "--quiet", *arguments], check=True)
    complete.write_text(wanted)
    return python


def measured(python: Path, size: Size, folder: Path) -> Iterator[Run]:
    sides = [str(side) for side in size[:3]]
    generate = [str(python), "-B", str(MOTION / "sample" / "generate.py"), str(folder), "--size", *sides]
    subprocess.run(generate, check=True)
    subprocess.run([str(python), "-c", DECOMPOSITION, str(folder), *sides, str(RANK)], check=True)
    (recording,) = folder.glob("*.dat")
    movie = {"recording": recording}
    decomposition = {"spatial": folder / "spatial.npy", "temporal": folder / "temporal.npy"}
    for step, inputs in (("overview", movie), ("motion", movie), ("hemodynamics", decomposition)):
        for cores in (1, 2):
            seconds = seconds_of(python, step, folder, cores, inputs)
            yield Run(size.name, step, f"{cores} core{'s' * (cores > 1)}", seconds, size.megabytes)
    if size.beside_wfield:
        peer = [str(python), "-B", str(MOTION / "peer_wfield.py"), str(recording), str(folder), str(RATE_HZ)]
        subprocess.run(peer, check=True, stderr=subprocess.DEVNULL, env=os.environ | {"HOME": str(folder)})
        taken = json.loads((folder / "seconds.json").read_text())
        for step in ("motion", "hemodynamics"):
            yield Run(size.name, step, "wfield", taken[step], size.megabytes)


def seconds_of(python: Path, step: str, folder: Path, cores: int, inputs: dict[str, Path]) -> float:
    """Of the whole program. What it wrote is removed again."""
    analysis = ANALYSES / f"widefield-{step}"
    schema = json.loads((analysis / "parameters.schema.json").read_text())
    config = folder / "config.json"
    config.write_text(json.dumps({name: one["default"] for name, one in schema["properties"].items()}))
    with tempfile.TemporaryDirectory(dir=folder) as results:
        variables = {f"NEUROCAAS_INPUT_{name.upper()}": str(path) for name, path in inputs.items()}
        variables |= {"NEUROCAAS_CONFIG": str(config), "NEUROCAAS_RESULTS": results, "NEUROCAAS_REPORT": os.devnull}
        variables |= {"NEUROCAAS_CORES": str(cores), "OPENBLAS_NUM_THREADS": str(cores)}
        command = [str(python), "-B", str(analysis / "workflow.py")]
        began = time.monotonic()
        subprocess.run(command, check=True, env=os.environ | variables, stdout=subprocess.DEVNULL)
        return time.monotonic() - began


def table(runs: list[Run]) -> str:
    alone = {(run.size, run.step): run.seconds for run in runs if run.by == "1 core"}
    return "\n".join(
        [
            "Widefield preprocessing; MB of the recording as it is stored (uint16, two channels)",
            f"{'recording':>18}  {'step':>13}  {'by':>8}  {'seconds':>8}  {'MB/s':>7}  {'1 core / this':>13}",
            *(
                f"{run.size:>18}  {run.step:>13}  {run.by:>8}  {run.seconds:8.1f}  {run.megabytes / run.seconds:7.1f}  "
                f"{alone[run.size, run.step] / run.seconds:13.2f}"
                for run in runs
            ),
        ]
    )


if __name__ == "__main__":
    main()
