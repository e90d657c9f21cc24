"""What the platform hands to a workflow and what a workflow says back. A new analysis can copy this file as it is."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INPUT = "NEUROCAAS_INPUT_"


class Failure(Exception):
    """The job cannot be done. The message is one sentence for the person who submitted it, naming the file or value."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One dataset, one configuration, and what was granted to analyse it."""

    inputs: dict[str, Path]  # by the input's name in blueprint.json
    config: dict[str, Any]  # complete: the platform has filled in the defaults of parameters.schema.json
    results: Path  # what is written here is delivered
    seed: int
    memory_mib: int

    @classmethod
    def from_environment(cls) -> Job:
        """Reads the contract's variables. Only the inputs, the config and the results folder have no default."""
        variables = os.environ
        return cls(
            inputs={k.removeprefix(INPUT).lower(): Path(v) for k, v in variables.items() if k.startswith(INPUT)},
            config=json.loads(Path(variables["NEUROCAAS_CONFIG"]).read_text(encoding="utf-8")),
            results=Path(variables["NEUROCAAS_RESULTS"]),
            seed=int(variables.get("NEUROCAAS_SEED", "0")),
            memory_mib=int(variables.get("NEUROCAAS_MEMORY_MIB", "2048")),
        )


def progress(fraction: float, message: str = "") -> None:
    """Tell the person who waits how far it is (0 to 1) and, in a few words, what happens now."""
    _report(f"progress {min(max(fraction, 0.0), 1.0):.3f} {message}")


def run(main: Callable[[Job], None]) -> int:
    """The exit status of main(job): 0, or 1 after a failure was reported as one sentence. A bug keeps its traceback."""
    try:
        main(Job.from_environment())
    except Failure as failure:
        sentence = str(failure)
    except MemoryError:
        sentence = "The analysis needs more memory than it was granted."
    except OSError as error:
        sentence = f"The results could not be written: {error.strerror or error}."
    else:
        return 0
    _report(f"failure {sentence}")
    print(sentence, file=sys.stderr)
    return 1


def _report(line: str) -> None:
    """One line to the platform; to standard error when the workflow is run by hand."""
    line = " ".join(line.split())
    if "NEUROCAAS_REPORT" not in os.environ:
        print(line, file=sys.stderr)
        return
    with contextlib.suppress(OSError):  # a lost line must not lose the analysis
        report = os.open(os.environ["NEUROCAAS_REPORT"], os.O_WRONLY | os.O_APPEND)
        try:
            os.write(report, line.encode()[:4000] + b"\n")  # below PIPE_BUF, so lines of several writers never mix
        finally:
            os.close(report)
