"""An analysis' workflow, run as the platform does, by the contract's variables alone; and what it left behind."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import numpy as np

# A small process of its own starts the workflow, so that the peak is the workflow's and not this test run's.
MEASURED = """
import resource, subprocess, sys
status = subprocess.run([sys.executable, *sys.argv[2:]]).returncode
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))
sys.exit(status)
"""
ANALYSES = Path(__file__).resolve().parents[2] / "analyses"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of the workflow left behind. peak_mib: the most memory that a process of it held."""

    status: int
    results: Path
    report: list[str]
    stdout: str
    stderr: str
    seconds: float
    peak_mib: float

    @property
    def failure(self) -> str:
        assert self.status == 1, self.stderr
        assert "Traceback" not in self.stderr
        (line,) = [line for line in self.report if line.startswith("failure ")]
        return line.removeprefix("failure ")

    def path(self, name: str) -> Path:
        assert self.status == 0, self.stderr
        return self.results / name

    def load(self, name: str) -> Array:
        array: Array = np.load(self.path(name))
        return array

    def document(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.path(name).read_text())
        return document

    @property
    def summary(self) -> dict[str, Any]:
        return self.document("summary.json")


Left = TypeVar("Left", bound=Outcome)


class Workflow(Generic[Left]):
    """That of the analysis in a folder; each run has a folder of its own below `folder`. variables: further ones."""

    def __init__(self, python: Path, analysis: Path, folder: Path, left: type[Left], **variables: str) -> None:
        self.python, self.analysis, self.folder, self.left = python, analysis, folder, left
        self.variables = variables
        self.runs = 0

    def run(
        self,
        inputs: Mapping[str, Path],
        config: Mapping[str, Any],
        *,
        cores: int = 1,
        memory_mib: int = 2048,
        seed: int = 0,
        watch: Callable[[subprocess.Popen[str]], float] | None = None,
    ) -> Left:
        """config: what is not the default. watch: to tell the memory by, in MiB, in another way, until it ends."""
        self.runs += 1
        home = self.folder / f"run-{self.runs}"
        results, report, peak = home / "results", home / "report", home / "peak"
        results.mkdir(parents=True)
        report.touch()
        (home / "config.json").write_text(json.dumps(defaults(self.analysis) | dict(config)))
        variables = (
            {
                "PATH": "/usr/bin:/bin",
                "HOME": str(home),
                "TMPDIR": str(home),
                "NEUROCAAS_CONFIG": str(home / "config.json"),
                "NEUROCAAS_RESULTS": str(results),
                "NEUROCAAS_SEED": str(seed),
                "NEUROCAAS_CORES": str(cores),
                "NEUROCAAS_MEMORY_MIB": str(memory_mib),
                "NEUROCAAS_REPORT": str(report),
                "OPENBLAS_NUM_THREADS": str(cores),
                "PYTHONDONTWRITEBYTECODE": "1",  # the version's folder is read-only in the sandbox, and clean here
            }
            | self.variables
            | {f"NEUROCAAS_INPUT_{name.upper()}": str(path) for name, path in inputs.items()}
        )
        measured = [] if watch else ["-c", MEASURED, str(peak)]
        command = [str(self.python), *measured, str(self.analysis / "workflow.py")]
        began = time.perf_counter()
        with (home / "stdout").open("w") as out, (home / "stderr").open("w") as err:
            process = subprocess.Popen(command, env=variables, cwd=home, stdout=out, stderr=err, text=True)
            most = watch(process) if watch else 0.0
            status = process.wait()
        return self.left(
            status=status,
            results=results,
            report=report.read_text().splitlines(),
            stdout=(home / "stdout").read_text(),
            stderr=(home / "stderr").read_text(),
            seconds=time.perf_counter() - began,
            peak_mib=most if watch else float(peak.read_text()),
        )


def defaults(analysis: Path) -> dict[str, Any]:
    schema = json.loads((analysis / "parameters.schema.json").read_text())
    return {name: value["default"] for name, value in schema["properties"].items()}


def imported(path: Path) -> ModuleType:
    """A module of an analysis, imported under a name of its own: several analyses hold a generate.py."""
    name = "_".join(path.relative_to(ANALYSES).with_suffix("").parts).replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
