"""A site of before is carried over: its jobs keep their steps, its accounts what was spent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.thorough
@pytest.mark.usefixtures("any_database")
def test_jobs_and_money_of_before_plans_are_carried_over() -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    def at(name: str) -> Any:
        executor = MigrationExecutor(connection)
        executor.migrate([("jobs", name)])
        return executor.loader.project_state([("jobs", name)]).apps.get_model

    old = at("0001_initial")
    group = old("jobs", "Group").objects.create(name="lab")
    job = old("jobs", "Job").objects.create(
        id="j",
        group=group,
        user="ada",
        analysis="pca",
        version="v" * 64,
        label="pca@v",
        environment_digest="e" * 64,
        config={},
        seed=0,
        max_attempts=3,
        timeout_seconds=90,
        max_instances=1,
        submitted_at=NOW,
    )
    step = old("jobs", "Step").objects.create(job=job, index=0, name="pca")
    stack = old("jobs", "Stack").objects.create(job=job, step=step, index=0, inputs=[], config={}, seed=0, need={})
    attempt = old("jobs", "Attempt").objects.create(stack=stack, number=1, launched_at=NOW)
    entry = old("jobs", "Entry").objects
    common = {"group": group, "job": job, "at": NOW}
    entry.create(**common, kind="reserve", nanodollars=100)
    entry.create(**common, kind="charge", nanodollars=30, attempt=attempt)
    entry.create(**common, kind="release", nanodollars=30, attempt=attempt)

    new = at("0007_spending_so_far")
    step = new("jobs", "Step").objects.get()
    assert (step.analysis, step.timeout_seconds, step.environment_digest) == ("pca", 90, "e" * 64)
    assert new("jobs", "Stack").objects.get().charged_nanodollars == 30
    accounts = (
        new("jobs", "Account").objects.order_by("user").values_list("user", "held_nanodollars", "spent_nanodollars")
    )
    assert list(accounts) == [("", 0, 30), ("ada", 0, 30)]
    (month,) = new("jobs", "Spending").objects.values_list("group", "user", "month", "nanodollars")
    assert month == ("lab", "ada", NOW.date(), 30)
    assert sorted(new("jobs", "Entry").objects.values_list("kind", "nanodollars")) == [
        ("charge", 30),
        ("release", 70),
        ("reserve", 100),
    ]
