"""How the tests run locanmf: as the platform does, or many times in one process; and the sample with what it holds."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "parameters.schema.json").read_text())
DEFAULTS = {name: value["default"] for name, value in SCHEMA["properties"].items()}
REAL_ATLAS = Path(os.environ.get("NEUROCAAS_REAL_DATA", "/nonexistent")) / "allen-dorsal"
SMALL = {"min_region_px": 40}  # regions of the sample are small

Array = np.ndarray[Any, Any]
Figures = Callable[[str, object], None]


def imported(path: Path) -> ModuleType:
    """A module of this folder, imported under a name of its own: several analyses hold a generate.py."""
    name = f"locanmf_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


generate = imported(HERE / "sample" / "generate.py")
placement = imported(HERE / "placement.py")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one analysis left behind. sentence: of a failure, else empty."""

    sentence: str
    results: Path
    report: str
    output: str

    @property
    def failure(self) -> str:
        assert self.sentence, self.output
        assert not list(self.results.iterdir())
        return self.sentence

    def path(self, name: str) -> Path:
        assert not self.sentence, self.sentence
        return self.results / name

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.path("summary.json").read_text())
        return summary

    def load(self, name: str) -> Array:
        array: Array = np.load(self.path(name))
        return array

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


def run_workflow(python: Path, home: Path, inputs: dict[str, Path], *, cores: int = 2, **config: Any) -> Outcome:
    """The whole workflow as the platform runs it, by the contract's variables alone."""
    results = home / "results"
    results.mkdir(parents=True)
    report = home / "report"
    report.touch()
    (home / "config.json").write_text(json.dumps(DEFAULTS | config))
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "NEUROCAAS_CONFIG": str(home / "config.json"),
        "NEUROCAAS_RESULTS": str(results),
        "NEUROCAAS_SEED": "0",
        "NEUROCAAS_CORES": str(cores),
        "NEUROCAAS_MEMORY_MIB": "2048",
        "NEUROCAAS_REPORT": str(report),
        "PYTHONDONTWRITEBYTECODE": "1",  # the version's folder is read-only in the sandbox, and clean here
        "PYTHONWARNINGS": "error::RuntimeWarning",  # no division by zero, no overflow
    } | {f"NEUROCAAS_INPUT_{name.upper()}": str(path) for name, path in inputs.items()}
    done = subprocess.run(
        [str(python), str(HERE / "workflow.py")],
        env=variables,
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = report.read_text().splitlines()
    failures = [line.removeprefix("failure ") for line in lines if line.startswith("failure ")]
    assert (done.returncode == 1) == bool(failures), done.stdout
    assert "Traceback" not in done.stdout
    return Outcome(sentence="".join(failures), results=results, report="\n".join(lines), output=done.stdout)


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
        return Outcome(sentence=answer["sentence"], results=results, report="", output=answer["output"])

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
