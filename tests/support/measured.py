"""Benchmarks, each in a process of its own, so that memory, processor time and Django's set-up are of it alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def measured(benchmark: str, *options: str) -> dict[str, Any]:
    """What the benchmark prints as JSON."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--json", *options]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    figures: dict[str, Any] = json.loads(answer.stdout)
    return figures
