"""Run jobs of many stacks on the simulated cloud, each in a process of its own, and print what they took.

Figures are printed and written to benchmarks/results/; none is judged here: tests/system/test_scale.py does that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.measurement import Figures, Scenario, measure

RESULTS = Path(__file__).parents[1] / "results"
MINUTES = 20
NOOP_CAPACITY = 100
INTERRUPTED = 0.2


def main() -> None:
    options = parse_options()
    if options.json:
        with tempfile.TemporaryDirectory(prefix="neurocaas-scale-") as folder:
            print(json.dumps(measure(Scenario(**json.loads(options.json)), Path(folder)).as_json()))
        return
    noop, long, interrupted = (
        [in_own_process(Scenario(stacks=count, **scenario)) for count in counts]
        for counts, scenario in (
            (options.noop, {"capacity": NOOP_CAPACITY}),
            (options.counts, {"minutes": MINUTES}),
            (options.counts, {"minutes": MINUTES, "interrupted": INTERRUPTED}),
        )
    )
    report = "\n\n".join(
        [
            table(f"No-op, {NOOP_CAPACITY} instances at one time", noop),
            table(f"{MINUTES} minutes each, as many instances as datasets", long),
            table(f"The same, {INTERRUPTED:.0%} of attempts interrupted", interrupted),
        ]
    )
    print(report)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scale.txt").write_text(report + "\n")
    figures = [one.as_json() for one in (*noop, *long, *interrupted)]
    (RESULTS / "scale.json").write_text(json.dumps(figures, indent=2) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--noop", type=int, nargs="+", default=(1_000, 10_000), help="numbers of stacks of a no-op")
    parser.add_argument(
        "--counts", type=int, nargs="+", default=(10, 100, 1_000, 10_000), help=f"numbers of {MINUTES}-minute datasets"
    )
    parser.add_argument("--json", metavar="SCENARIO", help='one run in this process, as JSON: {"stacks": 100}')
    return parser.parse_args()


def in_own_process(scenario: Scenario) -> Figures:
    """So that neither memory nor anything remembered is an earlier run's."""
    command = [sys.executable, "-m", "benchmarks.scale", "--json", json.dumps(vars(scenario))]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    if answer.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with exit code {answer.returncode}:\n{answer.stderr}")
    measured = json.loads(answer.stdout)
    del measured["kib_per_stack"]
    return Figures(**measured)


def table(title: str, figures: Sequence[Figures]) -> str:
    """One line per size; `x` is the manager's CPU per stack beside that of the first line."""
    heads = (
        f"{'stacks':>8}{'manager':>14}{'':8}{'submission':>20}{'peak RSS':>26}{'makespan':>12}{'cost':>12}"
        f"{'attempts':>10}{'interrupted':>13}{'ended once':>12}"
    )
    lines = [f"{title}:", heads]
    for one in figures:
        ratio = one.manager_cpu_ms_per_stack / figures[0].manager_cpu_ms_per_stack
        submission = f"{one.submission_cpu_ms_per_stack:.2f} ms, {one.submission_seconds:.1f} s"
        memory = f"{one.peak_rss_mib:.0f} MiB, {one.kib_per_stack:.1f} KiB/stack"
        lines.append(
            f"{one.stacks:>8,}{f'{one.manager_cpu_ms_per_stack:.2f} ms CPU':>14}{f'{ratio:.2f} x':>8}{submission:>20}"
            f"{memory:>26}{f'{one.makespan_seconds:.1f} s':>12}{f'${one.cost_dollars:,.2f}':>12}{one.attempts:>10,}"
            f"{one.interruptions:>13,}{one.ended_once:>12,}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
