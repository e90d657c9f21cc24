"""How the tests run kalman: the workflow as a subprocess with the contract's variables; and models that are known."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from support.workflows import defaults, imported

HERE = Path(__file__).parent

generate = imported(HERE / "sample" / "generate.py")
dense = imported(HERE / "dense_gaussian.py")


@dataclass(frozen=True, kw_only=True)
class Run:
    exit_code: int
    output: str
    report: list[str]
    results: Path

    def arrays(self, name: str) -> dict[str, Any]:
        with np.load(self.results / name) as archive:
            return dict(archive)

    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.results / "summary.json").read_text()))

    def log_likelihood(self) -> np.ndarray:
        rows = list(csv.DictReader((self.results / "log_likelihood.csv").read_text().splitlines()))
        assert [int(row["iteration"]) for row in rows] == list(range(len(rows)))
        return np.array([float(row["log_likelihood"]) for row in rows])


def analyse(python: Path, folder: Path, observations: Path, *, parameters: Path | None = None, **config: object) -> Run:
    """One run in `folder`, its report read from a FIFO as the runner does."""
    folder.mkdir(parents=True, exist_ok=True)
    results, scratch, fifo = folder / "results", folder / "scratch", folder / "report"
    results.mkdir()
    scratch.mkdir()
    os.mkfifo(fifo)
    (folder / "config.json").write_text(json.dumps(defaults(HERE) | config))
    variables = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NEUROCAAS_INPUT_OBSERVATIONS": str(observations),
        "NEUROCAAS_CONFIG": str(folder / "config.json"),
        "NEUROCAAS_RESULTS": str(results),
        "NEUROCAAS_SCRATCH": str(scratch),
        "NEUROCAAS_SEED": "7",
        "NEUROCAAS_CORES": "1",
        "NEUROCAAS_MEMORY_MIB": "2048",
        "NEUROCAAS_GPUS": "",
        "NEUROCAAS_REPORT": str(fifo),
    }
    if parameters is not None:
        variables["NEUROCAAS_INPUT_PARAMETERS"] = str(parameters)
    # The runner keeps the FIFO open for reading and writing, so that it lasts between the workflow's lines.
    lines: list[str] = []
    with os.fdopen(os.open(fifo, os.O_RDWR), "r") as reading, os.fdopen(os.open(fifo, os.O_WRONLY), "w") as ending:
        reader = threading.Thread(target=lambda: lines.extend(iter(lambda: reading.readline().rstrip("\n"), "end")))
        reader.start()
        done = subprocess.run(
            [str(python), str(HERE / "workflow.py")],
            cwd=scratch,
            env=variables,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        ending.write("end\n")
        ending.flush()
        reader.join()
    return Run(exit_code=done.returncode, output=done.stdout, report=lines, results=results)


def finished(run: Run) -> Run:
    assert run.exit_code == 0, run.output
    assert "Warning" not in run.output
    assert run.report[-1].startswith("progress 1.0000")
    return run


def known_model(seed: int, *, unit: float = 1.0, diagonal: bool = False) -> dict[str, np.ndarray]:
    """A 3-state, 5-channel model with full covariances. unit: what one unit of the recording is worth."""
    random = np.random.default_rng(seed)

    def covariance(size: int, scale: float) -> np.ndarray:
        root = random.normal(size=(size, size))
        return scale * (root @ root.T / size + 0.3 * np.eye(size))

    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    noise = covariance(5, 0.4)
    return {
        "F": 0.95 * rotation,
        "Q": covariance(3, 0.2),
        "H": unit * random.normal(size=(5, 3)),
        "R": unit**2 * (np.diag(np.diag(noise)) if diagonal else noise),
        "m0": random.normal(size=3),
        "P0": covariance(3, 1.0),
        "d": unit * random.normal(size=5),
    }


def sampled(known: dict[str, np.ndarray], points: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    state = random.multivariate_normal(known["m0"], known["P0"])
    rows = []
    for _ in range(points):
        noise = np.linalg.cholesky(known["R"]) @ random.normal(size=len(known["d"]))
        rows.append(known["H"] @ state + known["d"] + noise)
        state = known["F"] @ state + random.multivariate_normal(np.zeros(len(state)), known["Q"])
    return np.array(rows)


def with_gaps(values: np.ndarray, seed: int) -> np.ndarray:
    """Whole time points (the first and last among them), a stretch of one channel, and a fifth of single values."""
    gappy = values.copy()
    gappy[np.random.default_rng(seed).random(values.shape) < 0.2] = np.nan
    gappy[[0, -1]] = np.nan
    gappy[8:13] = np.nan
    gappy[15:30, 2] = np.nan
    return gappy


def saved(folder: Path, values: np.ndarray, known: dict[str, np.ndarray]) -> tuple[Path, Path]:
    np.save(folder / "recording.npy", values)
    np.savez(folder / "known.npz", allow_pickle=False, **known)
    return folder / "recording.npy", folder / "known.npz"
