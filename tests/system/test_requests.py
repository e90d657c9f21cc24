"""What a running stack costs in requests of its store on S3: the runner's and the manager's, counted at the server."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from neurocaas.storage import open_store
from support.aws import Aws
from support.sites import make_site, until

STEADY = "for second in $(seq 85); do echo line $second; sleep 1; done"
SILENT = "sleep 85"
FROM_SECONDS, TO_SECONDS = 30.0, 80.0
MOST_DOLLARS = 0.01
LIVE_SECONDS = 15.0
# Amazon S3 Standard, us-east-1, published prices: US dollars per request.
PRICES = {"PUT": 5e-6, "POST": 5e-6, "LIST": 5e-6, "GET": 4e-7, "HEAD": 4e-7, "DELETE": 0.0}


def dollars(requests: dict[str, float]) -> float:
    return sum(PRICES[method] * count for method, count in requests.items())


def test_the_requests_of_a_stack_hour_cost_less_than_a_cent(
    as_admin: Aws, tmp_path: Path, shared_environments: Path, record_property: Callable[[str, object], None]
) -> None:
    """Rates are those between the 30th and the 80th second; what a stack needs to start and end comes on top, once."""
    aws = as_admin
    url = f"s3://{aws.bucket()}/site"
    tmp_path.chmod(0o755)
    site = make_site(tmp_path, shared_environments, NEUROCAAS_STORE_URL=url, **aws.variables)
    try:
        site.analysis("steady", STEADY)
        site.analysis("silent", SILENT)
        (data,) = site.data()
        site("env", "build", "steady")
        jobs = {name: site("submit", name, data).out.strip() for name in ("steady", "silent")}
        store = open_store(url)
        until(lambda: all(aws.requests_about(job)["PUT"] > 2 for job in jobs.values()))
        begun = time.monotonic()
        counts: list[dict[str, Counter[str]]] = []
        for seconds in (FROM_SECONDS, TO_SECONDS):
            until(lambda seconds=seconds: time.monotonic() - begun >= seconds, seconds + 5)
            counts.append({name: aws.requests_about(job) for name, job in jobs.items()})
        ended = {name: site.wait(job) for name, job in jobs.items()}
        for name, job in jobs.items():
            assert ended[name]["status"] == "succeeded"
            total, rate = aws.requests_about(job), counts[1][name] - counts[0][name]
            hour = {method: count * 3600 / (TO_SECONDS - FROM_SECONDS) for method, count in rate.items()}
            cost, once = dollars(hour), dollars(total - rate)
            listed = ", ".join(f"{count:,.0f} {method}" for method, count in sorted(hour.items()))
            fixed = sum((total - rate).values())
            figure = f"requests of a stack-hour on S3, {name}: {listed}, {fixed} once: ${cost + once:.4f}"
            record_property("figures", figure)
            assert cost + once < MOST_DOLLARS, figure
        log = [one.key for one in store.list("") if jobs["steady"] in one.key and "/log/" in one.key]
        times = [datetime.fromisoformat(json.loads(store.get(key))["time"]) for key in log]
        longest = max((later - earlier).total_seconds() for earlier, later in pairwise(times))
        record_property("figures", f"live log on S3: a line is seen after {longest:.0f} s at most")
        assert longest < LIVE_SECONDS
    finally:
        site.end()
