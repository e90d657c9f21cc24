"""That many people at once are served without an error, and that everybody who watches a job is told of its end."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support.measured import measured

pytestmark = pytest.mark.alone

USERS = 50
SECONDS = float(os.environ.get("NEUROCAAS_TEST_USERS_SECONDS", "120"))
# On PostgreSQL only what differs is at stake, its connections, of which there are too few within seconds or never.
PART_ON_POSTGRESQL = 0.25


def test_fifty_users_submit_and_watch_without_an_error_or_a_lost_event(
    new_database: Callable[[], list[str]], record_property: Callable[[str, object], None]
) -> None:
    database = new_database()
    seconds = SECONDS * PART_ON_POSTGRESQL if database else SECONDS
    found = measured("users", "--users", str(USERS), "--seconds", str(seconds), *database)
    everything, told = found["all"], found["events"]
    where = "PostgreSQL" if database else "SQLite"
    record_property(
        "figures",
        f"{USERS} users for {seconds:g} s on {where}: {found['jobs']:,} jobs, {found['requests']:,} requests "
        f"(p50 {everything['p50']:.0f} ms, p95 {everything['p95']:.0f} ms), {found['watched']:,} watchers told of the "
        f"end {told['p50']:.0f} ms (p95 {told['p95']:.0f} ms) after it; "
        f"submitting p95 {found['by_request']['submit']['p95']:.0f} ms.",
    )
    assert found["faults"] == []
    assert found["logged"] == []
    assert (found["events_lost"], found["events_twice"], found["events_wrong"]) == ([], [], [])
    assert found["ended"] == {"succeeded": found["jobs"]}
    assert found["jobs"] >= USERS
