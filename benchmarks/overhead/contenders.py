"""Each way to run the same script over many datasets, two at a time."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

TASK = Path(__file__).parent / "analysis" / "task.py"
AT_ONCE = 2
# The interpreter below any virtual environment: the peers' tasks shall start as fast as they can.
PYTHON = getattr(sys, "_base_executable", sys.executable)


class Contender(Protocol):
    """One way to run the script."""

    name: str

    def make_ready(self) -> None:
        """Bring about the state that is to be measured, such as a daemon that runs or does not. Not timed."""

    def command(self, datasets: Sequence[Path], work: Path) -> list[str]:
        """Write what describes the job below `work` (not timed) and return the command line that is timed."""

    def digests(self, work: Path) -> list[str]:
        """The digests that the command left below `work`, in any order."""


class Bare:
    """`xargs -P2`: what the work itself takes."""

    name = "xargs -P2"

    def make_ready(self) -> None:
        pass

    def command(self, datasets: Sequence[Path], work: Path) -> list[str]:
        out = work / "out"
        out.mkdir()
        pairs = work / "pairs"
        pairs.write_text("".join(f"{dataset}\0{out / dataset.stem}.txt\0" for dataset in datasets))
        return ["xargs", "-0", f"-P{AT_ONCE}", "-n2", "-a", str(pairs), PYTHON, str(TASK)]

    def digests(self, work: Path) -> list[str]:
        return _read_digests(work / "out")


class Snakemake:
    """One rule, one file per dataset."""

    name = "snakemake"

    def __init__(self, programs: Path) -> None:
        self.program = str(programs / "snakemake")

    def make_ready(self) -> None:
        pass

    def command(self, datasets: Sequence[Path], work: Path) -> list[str]:
        folder = datasets[0].parent
        (work / "Snakefile").write_text(
            f"""\
rule all:
    input: expand("out/{{name}}.txt", name={[dataset.stem for dataset in datasets]!r})

rule digest:
    input: {str(folder)!r} + "/{{name}}.bin"
    output: "out/{{name}}.txt"
    shell: {shlex.join([PYTHON, str(TASK)])!r} + " {{input}} {{output}}"
"""
        )
        return [self.program, "--directory", str(work), "--snakefile", str(work / "Snakefile"), f"--cores={AT_ONCE}"]

    def digests(self, work: Path) -> list[str]:
        return _read_digests(work / "out")


class Cwltool:
    """A scattered CommandLineTool, run in parallel, without containers."""

    name = "cwltool"

    def __init__(self, programs: Path) -> None:
        self.program = str(programs / "cwltool")

    def make_ready(self) -> None:
        pass

    def command(self, datasets: Sequence[Path], work: Path) -> list[str]:
        tool = {
            "cwlVersion": "v1.2",
            "class": "CommandLineTool",
            "baseCommand": [PYTHON, str(TASK)],
            "arguments": [{"valueFrom": "$(inputs.dataset.nameroot).txt", "position": 2}],
            "inputs": {"dataset": {"type": "File", "inputBinding": {"position": 1}}},
            "outputs": {"digest": {"type": "File", "outputBinding": {"glob": "$(inputs.dataset.nameroot).txt"}}},
        }
        workflow = {
            "cwlVersion": "v1.2",
            "class": "Workflow",
            "requirements": {"ScatterFeatureRequirement": {}},
            "inputs": {"datasets": "File[]"},
            "outputs": {"digests": {"type": "File[]", "outputSource": "each/digest"}},
            "steps": {
                "each": {"run": "tool.cwl", "scatter": "dataset", "in": {"dataset": "datasets"}, "out": ["digest"]}
            },
        }
        (work / "tool.cwl").write_text(json.dumps(tool))
        (work / "workflow.cwl").write_text(json.dumps(workflow))
        job = {"datasets": [{"class": "File", "path": str(dataset)} for dataset in datasets]}
        (work / "job.json").write_text(json.dumps(job))
        options = ["--parallel", "--no-container", f"--outdir={work / 'out'}", f"--tmpdir-prefix={work}/tmp/"]
        return [self.program, *options, str(work / "workflow.cwl"), str(work / "job.json")]

    def digests(self, work: Path) -> list[str]:
        return _read_digests(work / "out")


def _read_digests(folder: Path) -> list[str]:
    return [path.read_text().strip() for path in folder.glob("*.txt")]


def pin_to_two_cores() -> None:
    """Everything started from here on shares two cores, as the contenders are told to run two tasks at once."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:AT_ONCE])
