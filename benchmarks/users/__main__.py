"""Let many users submit jobs to a served site and watch them, and print what they waited for, and what went wrong.

Figures are printed and written to benchmarks/results/; none is judged here: tests/system/test_fifty_users.py does that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.users.lab import make_accounts, make_site, serving
from benchmarks.users.people import Crowd, Seen
from neurocaas.settings import Settings

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    options = parse_options()
    if options.database:
        os.environ["NEUROCAAS_DATABASE_URL"] = options.database
    with tempfile.TemporaryDirectory(prefix="neurocaas-users-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = make_site(folder)
        accounts = make_accounts(settings, options.users)
        with serving(settings, folder / "serve.err") as url:
            seen = asyncio.run(Crowd(url, accounts, options.seconds).live())
        logged = complaints(settings)
        figures = {"users": options.users, "seconds": options.seconds, "logged": logged, **judged(settings, seen)}
    if options.json:
        print(json.dumps(figures))
        return
    text = report(figures)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "users.txt").write_text(text + "\n")
    (RESULTS / "users.json").write_text(json.dumps(figures, indent=2) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.users", description=__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120, help="how long they go on submitting")
    parser.add_argument("--database", help="postgresql://…; SQLite if left out")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON alone")
    return parser.parse_args()


def judged(settings: Settings, seen: Seen) -> dict[str, Any]:
    """What the users saw, beside what the database says became of their jobs."""
    became = jobs_of(settings)
    told = Counter((end.job, end.watcher) for end in seen.ends)
    wrong = [end.job for end in seen.ends if end.status != became.get(end.job)]
    return {
        "jobs": len(seen.submitted),
        "ended": dict(Counter(became[job] for job in seen.submitted)),
        "faults": seen.faults,
        "watched": len(seen.watched),
        "events_lost": [key for key in seen.watched if not told[key]],
        "events_twice": [key for key, count in told.items() if count > 1],
        "events_wrong": wrong,
        "requests": sum(map(len, seen.seconds.values())),
        "all": spread([one for each in seen.seconds.values() for one in each]),
        "by_request": {what: spread(each) for what, each in sorted(seen.seconds.items())},
        "events": spread([end.late for end in seen.ends]),
    }


def jobs_of(settings: Settings) -> dict[str, str]:
    """The status of every job in the database."""
    from neurocaas.server.database import connect

    connect(settings)
    from neurocaas.server.jobs.models import Job

    return dict(Job.objects.values_list("pk", "status"))


def complaints(settings: Settings) -> list[str]:
    """What the served processes logged as errors."""
    logs = (settings.state / "logs").glob("*.log")
    lines = [json.loads(line) for log in sorted(logs) for line in log.read_text().splitlines() if line.startswith("{")]
    return [json.dumps(one) for one in lines if one.get("level", "").lower() in {"error", "critical"}]


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the 95th of a hundred, in milliseconds."""
    if len(seconds) < 2:
        return {"count": len(seconds), "p50": 1e3 * sum(seconds), "p95": 1e3 * sum(seconds)}
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"count": len(seconds), "p50": round(1e3 * cuts[9], 1), "p95": round(1e3 * cuts[18], 1)}


def report(figures: dict[str, Any]) -> str:
    """A table of milliseconds, and a line for each thing that went wrong."""
    who = f"{figures['users']} users for {figures['seconds']:g} s"
    lines = [
        f"{who}: {figures['jobs']:,} jobs, {figures['requests']:,} requests, {figures['watched']:,} event streams.",
        f"{'ms':24}{'count':>8}{'p50':>9}{'p95':>9}",
    ]
    rows = figures["by_request"] | {"all requests": figures["all"], "end told after": figures["events"]}
    lines += [f"{what:24}{one['count']:>8}{one['p50']:>9.0f}{one['p95']:>9.0f}" for what, one in rows.items()]
    for name in ("faults", "logged", "events_lost", "events_twice", "events_wrong"):
        lines.append(f"{name.replace('_', ' ')}: {len(figures[name])}")
        lines += [f"  {one}" for one in figures[name][:5]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
