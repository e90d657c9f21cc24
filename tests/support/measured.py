"""Benchmarks, each in a process of its own, so that memory, processor time and Django's set-up are of it alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 600.0  # whoever still waits then waits for what never comes


def measured(benchmark: str, *options: str) -> dict[str, Any]:
    """What the benchmark prints as JSON."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--json", *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            said, errors = running.communicate(timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            raise
    assert running.returncode == 0, errors
    figures: dict[str, Any] = json.loads(said)
    return figures
