"""That many stacks cost the manager no more each than few, on the simulated cloud (paper Fig. 10A)."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.alone  # processor time and a clock that it moves, which neighbours make longer
ROOT = Path(__file__).parents[2]
MINUTES = 20


def _measured(**scenario: Any) -> dict[str, Any]:
    """In a process of its own, so that memory and processor time are of this job alone."""
    command = [sys.executable, "-m", "benchmarks.scale", "--json", json.dumps(scenario)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    figures: dict[str, Any] = json.loads(answer.stdout)
    assert figures["ended_once"] == figures["stacks"]
    return figures


def test_the_managers_cpu_per_stack_is_flat(record_property: Callable[[str, object], None]) -> None:
    few = [_measured(stacks=1_000, capacity=100) for _ in range(2)]
    many = _measured(stacks=10_000, capacity=100)
    few.append(_measured(stacks=1_000, capacity=100))  # around the large one, as the machine may do other things too
    per_stack = statistics.median(one["manager_cpu_ms_per_stack"] for one in few)
    ratio = many["manager_cpu_ms_per_stack"] / per_stack
    record_property(
        "figures",
        f"No-op: the manager's CPU per stack {per_stack:.2f} ms at 1,000 stacks, "
        f"{many['manager_cpu_ms_per_stack']:.2f} ms at 10,000: {ratio:.2f} times; its memory "
        f"{few[0]['peak_rss_mib']:.0f} and {many['peak_rss_mib']:.0f} MiB ({many['kib_per_stack']:.0f} KiB per stack); "
        f"submission {many['submission_cpu_ms_per_stack']:.2f} ms per stack.",
    )
    assert ratio <= 1.2


def test_the_makespan_is_constant_and_the_cost_linear(record_property: Callable[[str, object], None]) -> None:
    measured = [_measured(stacks=count, minutes=MINUTES) for count in (10, 100, 1_000, 10_000)]
    makespans = [one["makespan_seconds"] for one in measured]
    costs = [one["cost_dollars"] / one["stacks"] for one in measured]
    cells = [
        f"{one['stacks']:,} in {one['makespan_seconds']:.0f} s for ${one['cost_dollars']:,.2f}" for one in measured
    ]
    record_property("figures", f"Datasets of {MINUTES} minutes: {'; '.join(cells)}.")
    assert max(makespans) <= 1.05 * min(makespans)
    assert max(costs) <= 1.05 * min(costs)


def test_every_dataset_ends_once_though_instances_are_taken_back(
    record_property: Callable[[str, object], None],
) -> None:
    one = _measured(stacks=1_000, minutes=MINUTES, interrupted=0.2)
    record_property(
        "figures",
        f"{one['stacks']:,} datasets with {one['interruptions']} of {one['attempts']:,} attempts interrupted: "
        f"each ended once; {one['makespan_seconds']:.0f} s, ${one['cost_dollars']:,.2f}.",
    )
    assert one["attempts"] == one["stacks"] + one["interruptions"]
    assert 0.15 < one["interruptions"] / one["attempts"] < 0.25
