"""A site of the first release is brought up to date by the migrations there are now: every row is kept and readable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_RELEASE = [("jobs", "0001_initial")]


def _first_release(get_model: Any) -> dict[str, int]:
    """Rows in every table of the first release, with values that must come through. Returns how many, by table."""
    group = get_model("jobs", "Group").objects.create(name="lab")
    for index in range(3):
        job = get_model("jobs", "Job").objects.create(
            id=f"job{index}",
            group=group,
            user="ada",
            analysis="pca",
            version="f" * 64,
            execution_digest="e" * 64,
            label="pca@ffffffffffff",
            environment_digest="d" * 64,
            config={"components": 3, "μ": [1.5, None, "ü"]},
            seed=2**62,
            max_attempts=3,
            timeout_seconds=90,
            max_instances=2,
            status="succeeded" if index else "running",
            submitted_at=NOW,
        )
        step = get_model("jobs", "Step").objects.create(job=job, index=0, name="pca")
        stack = get_model("jobs", "Stack").objects.create(
            job=job,
            step=step,
            index=0,
            inputs=[{"name": "recording", "path": "/data/ü.tif"}],
            config={"components": 3},
            seed=7,
            need={"vcpus": 1},
            published_attempt=1,
        )
        attempt = get_model("jobs", "Attempt").objects.create(
            stack=stack, number=1, token="t", status="succeeded", launched_at=NOW, exit_record={"status": 0}
        )
        for kind, amount, paid in (("reserve", 10**12, None), ("charge", 3 * 10**11, attempt)):
            get_model("jobs", "Entry").objects.create(
                group=group, job=job, kind=kind, nanodollars=amount, at=NOW, attempt=paid
            )
    get_model("jobs", "KnownDigest").objects.create(path="/data/ü.tif", fingerprint="f", sha256="a" * 64, size_bytes=9)
    names = ("Group", "Job", "Step", "Stack", "Attempt", "Entry", "KnownDigest")
    return {name: get_model("jobs", name).objects.count() for name in names}


@pytest.mark.thorough
@pytest.mark.usefixtures("any_database")
def test_a_site_of_the_first_release_keeps_every_row_through_all_migrations() -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    others = [(app, None) for app in {node[0] for node in executor.loader.graph.nodes} - {"jobs"}]
    executor.migrate([*others, *FIRST_RELEASE])
    before = _first_release(executor.loader.project_state(FIRST_RELEASE).apps.get_model)

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    # Read with the code of now, not with the models that the migrations remember.
    from neurocaas.server.jobs import models

    for name, count in before.items():
        rows = list(getattr(models, name).objects.all())
        # Entries may be more: what an ended job no longer holds is given back.
        assert len(rows) >= count if name == "Entry" else len(rows) == count, name
    job = models.Job.objects.select_related("group").get(id="job1")
    assert (job.config, job.seed, job.group.name) == ({"components": 3, "μ": [1.5, None, "ü"]}, 2**62, "lab")
    step = job.steps.get()
    assert (step.timeout_seconds, step.max_attempts, step.environment_digest) == (90, 3, "d" * 64)
    stack = job.stacks.get()
    assert stack.inputs == [{"name": "recording", "path": "/data/ü.tif"}]
    assert (stack.published_attempt, stack.charged_nanodollars) == (1, 3 * 10**11)
    assert stack.attempts.get().exit_record == {"status": 0}
    assert models.Account.objects.get(group="lab", user="").spent_nanodollars == 9 * 10**11


@pytest.mark.usefixtures("sqlite_database")
def test_every_change_of_a_model_has_its_migration() -> None:
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
