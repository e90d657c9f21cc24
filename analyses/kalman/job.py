"""The workflow contract as this analysis uses it: variables in, one-line reports out."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPORT_INTERVAL_SECONDS = 0.25


class Failure(Exception):
    """The dataset or a parameter is not usable; the message is one sentence for the person who submitted it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the platform hands to one run. parameters: the known model to start from, if one was given."""

    observations: Path
    parameters: Path | None
    config: Mapping[str, Any]
    results: Path
    cores: int
    seed: int
    report: Path | None

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Job:
        """Read the NEUROCAAS_* variables. Raises Failure when one that is needed is missing."""
        for needed in ("NEUROCAAS_INPUT_OBSERVATIONS", "NEUROCAAS_CONFIG", "NEUROCAAS_RESULTS"):
            if needed not in variables:
                raise Failure(f"The variable {needed} is not set; this workflow is started by `neurocaas run kalman`.")
        parameters = variables.get("NEUROCAAS_INPUT_PARAMETERS", "")
        report = variables.get("NEUROCAAS_REPORT", "")
        return cls(
            observations=Path(variables["NEUROCAAS_INPUT_OBSERVATIONS"]),
            parameters=Path(parameters) if parameters else None,
            config=json.loads(Path(variables["NEUROCAAS_CONFIG"]).read_text()),
            results=Path(variables["NEUROCAAS_RESULTS"]),
            cores=max(1, int(variables.get("NEUROCAAS_CORES") or 1)),
            seed=int(variables.get("NEUROCAAS_SEED") or 0),
            report=Path(report) if report else None,
        )


class Report:
    """One-line reports to the runner. A report that nobody reads is dropped: it must never stop the analysis."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last_progress = 0.0

    def progress(self, fraction: float, message: str = "") -> None:
        """Share of the work done, 0 to 1; at most a few lines a second go out."""
        now = time.monotonic()
        if now - self._last_progress >= REPORT_INTERVAL_SECONDS or fraction >= 1:
            self._last_progress = now
            self._send(f"progress {fraction:.4f} {message}")

    def message(self, text: str) -> None:
        print(text, flush=True)
        self._send(f"message {text}")

    def failure(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)
        self._send(f"failure {sentence}")

    def _send(self, line: str) -> None:
        if self._path is None:
            return
        try:
            # Non-blocking: opening a FIFO without a reader would otherwise wait for ever.
            pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND)
        except OSError:
            return
        try:
            os.write(pipe, (" ".join(line.split()) + "\n").encode())
        except OSError:
            return
        finally:
            os.close(pipe)
