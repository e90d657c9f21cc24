"""Jobs on an emulated AWS with containers that really run: Batch, S3, STS, SQS, and images of pca in a registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocaas.bank.aws.provider import ENDED
from support.batch_site import BatchSite
from support.sites import until

DATASETS = 8
PRICE_PER_HOUR = Decimal("0.192")
SECONDS = 600.0  # images are made, pushed and pulled on a machine that does other things too

SLOW = """set -e
echo begun > "$NEUROCAAS_RESULTS/begun.txt"
for second in $(seq 120); do
  echo "second $second"
  if [ -e /job/config.json ] && grep -q '"size": 1' /job/config.json; then exit 0; fi
  sleep 1
done
"""


@pytest.fixture
def waiting(batch_site: BatchSite) -> Callable[..., str]:
    """Submits a job of one dataset whose workflow goes on for two minutes, or ends at once for size=1."""
    outputs = {"begun": {"kind": "txt", "pattern": "begun.txt", "description": "A word."}}
    if not (batch_site.site.root / "analyses" / "slow").exists():
        batch_site.site.analysis("slow", SLOW, outputs=outputs)

    def submit(*options: str) -> str:
        [data] = batch_site.site.data()
        job: str = batch_site.site("submit", "slow", data, *options, "--json").json["job"]
        return job

    return submit


def recordings(site: BatchSite, count: int) -> list[Path]:
    folder = site.site.folder / "recordings"
    folder.mkdir()
    random = np.random.default_rng(7)
    paths = [folder / f"recording-{index}.npy" for index in range(count)]
    for path in paths:
        np.save(path, random.normal(size=(60, 12, 12)).astype("float32"))
    return paths


def running(site: BatchSite, job: str) -> list[str]:
    """The containers of a job that run."""
    return [name for name in site.containers.running() if name.startswith(job)]


def shown(site: BatchSite, job: str) -> dict[str, Any]:
    described: dict[str, Any] = site.site("show", job, "--json").json
    return described


def test_eight_datasets_through_containers_of_pca(batch_site: BatchSite) -> None:
    site, out = batch_site.site, batch_site.site.folder / "out"
    data = recordings(batch_site, DATASETS)
    job = site("submit", "pca", *data, "--set", "components=3", "--json").json["job"]
    assert site.wait(job, SECONDS)["status"] == "succeeded"

    site("results", job, "--out", out)
    for path in data:
        assert (out / path.stem / "components.npy").is_file()
    assert "certificate valid" in site("verify", out / "certificate.json", out).out

    described = shown(batch_site, job)
    assert described["provider"] == "aws"
    most = DATASETS * PRICE_PER_HOUR * Decimal(SECONDS) / 3600
    assert 0 < Decimal(described["cost_dollars"]) < most
    assert Decimal(described["held_dollars"]) == 0

    until(lambda: all(one["status"] in ENDED for one in batch_site.jobs(job)))
    batch = batch_site.jobs(job)
    assert [one["status"] for one in batch] == ["SUCCEEDED"] * DATASETS
    assert all(one["container"]["privileged"] for one in batch)
    assert len({one["jobDefinition"] for one in batch}) == 1
    kept = batch_site.keys(f"groups/local/jobs/{job}/")
    for index in range(DATASETS):
        attempt = f"groups/local/jobs/{job}/stacks/{index:05d}/attempts/1"
        assert f"{attempt}/results/components.npy" in kept
        assert f"{attempt}/log/00000001.json" in kept
    assert batch_site.keys("exchange/") == []  # every ticket was exchanged


def test_an_instance_that_is_gone_is_followed_by_another_attempt(
    batch_site: BatchSite, waiting: Callable[..., str]
) -> None:
    job = waiting()
    until(lambda: bool(running(batch_site, job)), SECONDS)
    [name] = running(batch_site, job)
    until(lambda: shown(batch_site, job)["stacks"][0]["status"] == "running")
    batch_site.containers.kill(name)
    until(lambda: any(f"{job}-0-2" in one for one in running(batch_site, job)), SECONDS)
    first, second = shown(batch_site, job)["stacks"][0]["attempts"]
    assert (first["status"], first["reason"]) == ("failed", "INSTANCE_LOST")
    assert second["status"] == "running"
    batch_site.site("cancel", job)
    assert batch_site.site.wait(job)["status"] == "cancelled"
    until(lambda: not running(batch_site, job))


def test_the_save_price_runs_on_spot_and_messages_that_are_none_do_no_harm(
    batch_site: BatchSite, waiting: Callable[..., str]
) -> None:
    batch_site.say("this is no event")
    batch_site.say(json.dumps({"detail-type": "Batch Job State Change", "detail": "nonsense"}))
    job = waiting("--save", "--minutes", "3", "--set", "size=1")
    until(lambda: [one["status"] for one in batch_site.jobs(job)] == ["SUCCEEDED"], SECONDS)
    batch_site.tell(f"{job}/0/1", "SUCCEEDED")
    described = batch_site.site.wait(job)
    assert described["status"] == "succeeded"
    [one] = batch_site.jobs(job)
    assert one["jobQueue"] == batch_site.outputs["JobQueueM5XlargeSpot"]
    [attempt] = described["stacks"][0]["attempts"]
    assert attempt["price"] == "save"
    queue = {"QueueUrl": batch_site.outputs["EventsQueueUrl"], "AttributeNames": ["All"]}
    sqs = batch_site.aws.client("sqs")
    until(lambda: sqs.get_queue_attributes(**queue)["Attributes"]["ApproximateNumberOfMessages"] == "0")
