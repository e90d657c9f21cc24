"""How the tests run pmd: as the platform does, with its memory watched; and a planted movie beside its truth."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from support import workflows
from support.workflows import Array, Workflow

HERE = Path(__file__).parent
QUICK = {"block_height": 20, "block_width": 20}  # the blocks of the small movies here


class Outcome(workflows.Outcome):
    @cached_property
    def denoised(self) -> Array:
        movie: Array = np.moveaxis(
            self.load("mean.npy")[..., None] + self.load("spatial.npy") @ self.load("temporal.npy"), 2, 0
        )
        return movie

    @property
    def own_seconds(self) -> float:
        """Of the analysis as its log tells it, without starting Python."""
        return float(self.stdout.rsplit("; ", 1)[1].split(" in all")[0])


class Pmd(Workflow[Outcome]):
    def __call__(self, movie: Path, *, cores: int = 2, seed: int = 0, watched: bool = False, **config: Any) -> Outcome:
        """watched: for the memory of all its processes together, which takes a quarter of a core."""
        return self.run({"movie": movie}, config, cores=cores, seed=seed, watch=most_memory_mib if watched else None)


def most_memory_mib(process: subprocess.Popen[str]) -> float:
    """What it and its children hold, what they share counted once, looked at until it ends."""
    most = 0.0
    while process.poll() is None:
        most = max(most, memory_mib(process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
    return most


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
