"""One run of pmd or localmd: its time, its memory and how near it came to the planted truth."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.pmd.environment import ANALYSIS, Environment

BLOCK = 40

# The error in pieces of time, so that no whole movie is held.
ERROR = """
import sys, numpy as np
folder, kind = sys.argv[1:]
load = lambda name: np.load(f"{folder}/{name}.npy", mmap_mode="r")
clean, raw = load("clean"), load("calcium")
if kind == "pmd":
    spatial, temporal, mean = np.asarray(load("out/spatial")), load("out/temporal"), load("out/mean")
else:
    denoised = load("out/denoised")
wrong = noise = 0.0
for start in range(0, len(clean), 100):
    part = slice(start, start + 100)
    if kind == "pmd":
        found = mean + np.moveaxis(spatial @ temporal[:, part], 2, 0)
    else:
        found = denoised[part]
    wrong += np.sum((found - clean[part]) ** 2, dtype=float)
    noise += np.sum((raw[part] - clean[part]) ** 2, dtype=float)
print(wrong / noise)
"""


class Run(NamedTuple):
    """error: mean squared, over the noise's variance. peak_mib: of all processes, what they share counted once."""

    contender: str
    size: str
    seconds: float
    megabytes: float
    peak_mib: float
    three_rows_mib: float
    error: float
    rank: int
    compression: float


def run_pmd(environment: Environment, folder: Path, size: str, cores: int) -> Run:
    schema = json.loads((ANALYSIS / "parameters.schema.json").read_text())
    config = {name: value["default"] for name, value in schema["properties"].items()}
    (folder / "config.json").write_text(json.dumps(config | {"block_height": BLOCK, "block_width": BLOCK}))
    out = _empty(folder / "out")
    variables = os.environ | {
        "NEUROCAAS_INPUT_MOVIE": str(folder / "calcium.npy"),
        "NEUROCAAS_CONFIG": str(folder / "config.json"),
        "NEUROCAAS_RESULTS": str(out),
        "NEUROCAAS_CORES": str(cores),
        "NEUROCAAS_REPORT": os.devnull,
    }
    began = time.monotonic()
    peak, _ = _measured([str(environment.python), "-B", str(ANALYSIS / "workflow.py")], variables)
    seconds = time.monotonic() - began
    summary = json.loads((out / "summary.json").read_text())
    plural = "" if cores == 1 else "s"
    return _run(f"pmd, {cores} core{plural}", environment, folder, size, seconds, peak, summary["rank"], "pmd")


def run_localmd(environment: Environment, folder: Path, size: str) -> Run:
    out = _empty(folder / "out")
    command = [str(environment.python), "-B", str(ANALYSIS / "peer_localmd.py"), str(folder / "calcium.npy"), str(out)]
    variables = os.environ | {"PYTHONPATH": str(environment.localmd), "JAX_PLATFORMS": "cpu"}
    peak, said = _measured([*command, str(BLOCK), str(BLOCK)], variables)
    answer = json.loads(said.splitlines()[-1])
    return _run("localmd", environment, folder, size, answer["seconds"], peak, answer["rank"], "localmd")


def _run(
    contender: str, environment: Environment, folder: Path, size: str, seconds: float, peak: float, rank: int, kind: str
) -> Run:
    frames, height, width = (int(number.replace(",", "")) for number in size.split(" x "))
    command = [str(environment.python), "-c", ERROR, str(folder), kind]
    error = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Run(
        contender=contender,
        size=size,
        seconds=seconds,
        megabytes=(folder / "calcium.npy").stat().st_size / 1e6,
        peak_mib=peak,
        three_rows_mib=3 * BLOCK * width * frames * 4 / 2**20,
        error=error,
        rank=rank,
        compression=frames * height * width / (max(rank, 1) * (frames + height * width)),
    )


def _empty(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


def _measured(command: list[str], variables: dict[str, str]) -> tuple[float, str]:
    """The largest memory in MiB and what it printed. Raises CalledProcessError when it fails."""
    peak = 0.0
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        while True:
            try:
                said, _ = process.communicate(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, _memory_mib(process.pid))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak, said


def _memory_mib(pid: int) -> float:
    """Proportional set size of a process and its children, which end at any time."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, StopIteration):
        return 0.0
    return own + sum(_memory_mib(int(child)) for child in children)
