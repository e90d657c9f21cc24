"""How the tests run pmd: as the platform does, with its memory watched; and a planted movie beside its truth."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

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
