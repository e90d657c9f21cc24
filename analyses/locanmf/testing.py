"""How the tests run locanmf: as the platform does, or many times in one process; and the sample with what it holds."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from support import workflows
from support.workflows import Array, Workflow, defaults, imported

HERE = Path(__file__).parent
DEFAULTS = defaults(HERE)
REAL_ATLAS = Path(os.environ.get("NEUROCAAS_REAL_DATA", "/nonexistent")) / "allen-dorsal"
SMALL = {"min_region_px": 40}  # regions of the sample are small

Figures = Callable[[str, object], None]

generate = imported(HERE / "sample" / "generate.py")
placement = imported(HERE / "placement.py")


class Outcome(workflows.Outcome):
    @property
    def failure(self) -> str:
        assert not list(self.results.iterdir())
        return super().failure

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(self.path(name).read_text().splitlines()))

    @property
    def archive(self) -> dict[str, Array]:
        with np.load(self.path("locanmf.npz")) as archive:
            return dict(archive)

    @property
    def maps(self) -> Array:
        """(K, H, W)"""
        return self.load("A.npy").transpose(2, 0, 1)

    @property
    def names(self) -> list[tuple[str, str]]:
        return [(row["region"], row["side"]) for row in self.rows("regions.csv")]


def run_workflow(python: Path, folder: Path, inputs: dict[str, Path], **config: Any) -> Outcome:
    """The whole workflow as the platform runs it."""
    strictly = {"PYTHONWARNINGS": "error::RuntimeWarning"}  # no division by zero, no overflow
    return Workflow(python, HERE, folder, Outcome, **strictly).run(inputs, config, cores=2)


# Starting a Python with these libraries takes longer than an analysis, so one process makes many: line in, line out.
WORKER = """
import contextlib, io, json, os, sys, warnings
from pathlib import Path
warnings.simplefilter("error", RuntimeWarning)
sys.path.insert(0, sys.argv[1])
from explore import write_explore
from job import Failure, Job
from results import write_arrays
from workflow import analyse
for line in sys.stdin:
    asked, answer, output = json.loads(line), {"sentence": ""}, io.StringIO()
    os.environ["NEUROCAAS_CORES"] = str(asked["cores"])
    results = Path(asked["results"])
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            result = analyse(Job(
                inputs={name: Path(path) for name, path in asked["inputs"].items()}, config=asked["config"],
                results=results, seed=asked["seed"], memory_mib=asked["memory_mib"],
            ))
            write_arrays(results, result)
            write_explore(results / "explore", result)
        except Failure as failure:
            answer["sentence"] = str(failure)
    print(json.dumps(answer | {"output": output.getvalue()}), flush=True)
"""


class LocaNmf:
    """Analyses in one process of the analysis' own Python, without NWB and figures."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder, self.runs = folder, 0
        command = [str(python), "-B", "-c", WORKER, str(HERE)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(
        self, inputs: dict[str, Path], *, seed: int = 0, cores: int = 2, memory_mib: int = 2048, **config: Any
    ) -> Outcome:
        self.runs += 1
        results = self.folder / f"results-{self.runs}"
        results.mkdir()
        asked = {
            "inputs": {name: str(path) for name, path in inputs.items()},
            "config": DEFAULTS | config,
            "results": str(results),
            "seed": seed,
            "cores": cores,
            "memory_mib": memory_mib,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the worker ended; its traceback is on standard error"
        answer = json.loads(line)
        sentence = answer["sentence"]
        return Outcome(
            status=1 if sentence else 0,
            results=results,
            report=[f"failure {sentence}"] if sentence else [],
            stdout=answer["output"],
            stderr="",
            seconds=nan,
            peak_mib=nan,
        )

    def end(self) -> None:
        with self.process:  # closes its pipes and waits
            pass
        assert self.process.returncode == 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    inputs: dict[str, Path]
    config: dict[str, Any]
    A: Array  # (K, H, W), zero outside the mask
    C: Array
    names: list[tuple[str, str]]

    def with_input(self, **changed: Path) -> dict[str, Path]:
        return self.inputs | changed


def write_sample(folder: Path, seed: int) -> Sample:
    size = generate.Size()
    planted = generate.plant(size, seed=seed)
    generate.save(folder, planted, size.rank)
    config = json.loads((folder / "config.json").read_text()) | SMALL
    files = {"spatial": "U.npy", "temporal": "SVTcorr.npy", "atlas": "atlas.json", "mask": "mask.npy"}
    return Sample(
        inputs={name: folder / file for name, file in files.items()},
        config=config,
        A=planted.maps * planted.mask,
        C=planted.courses,
        names=planted.regions,
    )


def matched(sample: Sample, outcome: Outcome) -> tuple[Array, Array]:
    """Correlation of each planted map, and of its time course, with its region's found component that is most like it.

    No component may stand for two planted ones.
    """
    brain = outcome.archive["brain"]
    maps, courses, used = outcome.maps, outcome.load("C.npy"), set()
    similar, together = [], []
    for A, C, name in zip(sample.A, sample.C, sample.names, strict=True):
        own = [k for k, one in enumerate(outcome.names) if one == name]
        correlations = [np.corrcoef(A[brain], maps[k][brain])[0, 1] for k in own]
        best = own[int(np.argmax(correlations))]
        assert best not in used, f"one component stands for two planted ones of {name}"
        used.add(best)
        similar.append(max(correlations))
        together.append(np.corrcoef(C, courses[best])[0, 1])
    return np.array(similar), np.array(together)
