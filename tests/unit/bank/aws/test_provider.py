from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank import Launch, NoCapacity, Placement, SignsIn, State
from neurocaas.bank.aws.provider import LEAVING_SECONDS, AwsProvider
from neurocaas.blueprint import Need
from neurocaas.errors import Refused
from neurocaas.settings import AwsSettings, Settings, SiteDocument
from neurocaas.testing import FakeClock
from support.amazon import FakeAmazon, refusal

NEED = Need(vcpus=1, memory_mib=1024, storage_mib=1024, gpus=0)
IMAGE = f"registry/neurocaas@sha256:{'a' * 64}"
DOCUMENT: dict[str, Any] = {
    "attempt": "job/0/1",
    "work": "/site/work",
    "timeout_seconds": 600.5,
    "uid": None,
    "bell": "/site/bell",
    "workflow": {"files": "/site/version", "archive": "versions/pca/0.tar"},
    "environment": {
        "image": IMAGE,
        "mounts": [{"source": "/site/e", "target": "/env", "archive": ""}, {"source": "/site/p", "target": "/python"}],
    },
    "resources": {"vcpus": 1, "cores": [3], "gpus": []},
}


@dataclass
class FakeHandovers:
    handed: list[Mapping[str, Any]] = field(default_factory=list)

    def hand_over(self, document: Mapping[str, Any], work: Path) -> str:
        self.handed.append(document)
        return "the ticket"

    def renew(self) -> None:
        """Nothing is ever due."""


@dataclass
class Place:
    provider: AwsProvider
    amazon: FakeAmazon
    clock: FakeClock
    handovers: FakeHandovers
    root: Path

    def launch(self, number: int = 0, *, save: bool = False) -> str:
        attempt = f"job/{number}/1"
        [one] = self.provider.instance_types()
        return self.provider.launch(
            Launch(
                attempt=attempt,
                work=self.root / "work",
                document=DOCUMENT | {"attempt": attempt},
                need=NEED,
                placement=Placement(instance_type=one, save=save),
            )
        )

    def state(self, handle: str) -> State:
        return self.provider.sweep([handle])[handle]


def settings(root: Path, **changes: Any) -> Settings:
    aws = {"instance_types": ("m5.xlarge",), "max_vcpus": 8} | changes
    site = SiteDocument(name="test", store="s3://bucket/site", aws=AwsSettings(**aws))
    return Settings(root=root, site=site, database_url="", store_url="s3://bucket/site")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    clock, amazon, handovers = FakeClock(), FakeAmazon(), FakeHandovers()
    provider = AwsProvider(settings(tmp_path), account=amazon, handovers=handovers, ticks=clock.ticks)
    return Place(provider=provider, amazon=amazon, clock=clock, handovers=handovers, root=tmp_path)


def test_a_stack_asks_for_a_whole_instance_once(place: Place) -> None:
    place.launch()
    [job] = place.amazon.calls("submit_job")
    assert job["jobName"] == "job-0-1"
    assert job["jobQueue"] == "arn:queue/m5-xlarge-on-demand"
    assert job["retryStrategy"] == {"attempts": 1}
    assert job["timeout"] == {"attemptDurationSeconds": 601 + 3600}
    asked = job["containerOverrides"]["resourceRequirements"]
    assert asked == [{"type": "VCPU", "value": "4"}, {"type": "MEMORY", "value": "15401"}]


def test_the_ticket_travels_in_the_environment_only(place: Place) -> None:
    place.launch()
    [job] = place.amazon.calls("submit_job")
    assert job["containerOverrides"].pop("environment") == [{"name": "NEUROCAAS_TICKET", "value": "the ticket"}]
    assert "the ticket" not in json.dumps(place.amazon.asked)


def test_the_document_has_the_places_of_the_container(place: Place) -> None:
    place.launch()
    [document] = place.handovers.handed
    assert [one["source"] for one in document["environment"]["mounts"]] == [
        "/opt/neurocaas/mounts/env",
        "/opt/neurocaas/mounts/python",
    ]
    assert "/site" not in json.dumps(document)
    assert document["workflow"]["archive"] == "versions/pca/0.tar"
    assert document["uid"] > 0
    assert document["resources"]["cores"] == []


def test_the_save_price_is_had_in_a_queue_of_its_own(place: Place) -> None:
    place.launch(save=True)
    assert place.amazon.calls("submit_job")[0]["jobQueue"] == "arn:queue/m5-xlarge-spot"


def test_a_job_is_pending_until_it_runs_and_gone_after(place: Place) -> None:
    handle = place.launch()
    for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING"):
        place.amazon.moves("job-0", status)
        assert place.state(handle) is State.PENDING
        assert place.provider.why(handle).endswith(".")
    place.amazon.moves("job-0", "RUNNING")
    assert place.state(handle) is State.RUNNING
    assert place.provider.why(handle) == ""
    place.amazon.moves("job-0", "SUCCEEDED")
    assert place.state(handle) is State.GONE
    assert place.provider.why(handle) == ""


def test_a_job_that_batch_forgot_is_gone(place: Place) -> None:
    handle = place.launch()
    place.amazon.jobs.clear()
    assert place.state(handle) is State.GONE


@pytest.mark.parametrize(("save", "state"), [(True, State.INTERRUPTED), (False, State.GONE)])
def test_only_what_was_cheap_is_taken_back(place: Place, save: bool, state: State) -> None:
    handle = place.launch(save=save)
    place.amazon.moves("job-0", "FAILED", statusReason="Host EC2 (instance i-0123) terminated.")
    assert place.state(handle) is state
    assert place.provider.why(handle) == "Host EC2 (instance i-0123) terminated."


def test_what_the_container_failed_of_is_told(place: Place) -> None:
    handle = place.launch()
    reason = "CannotPullContainerError: pull access denied"
    place.amazon.moves("job-0", "FAILED", statusReason="Task failed to start", container={"reason": reason})
    assert place.state(handle) is State.GONE
    assert place.provider.why(handle) == f"{reason}."


def test_no_capacity_is_told_with_what_was_tried_and_ends_the_waiting(place: Place) -> None:
    handle = place.launch(save=True)
    said = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
    place.amazon.moves("job-0", "RUNNABLE", statusReason=said)
    assert place.state(handle) is State.PENDING
    asked = "AWS was asked for an m5.xlarge at the save price."
    assert place.provider.why(handle) == f"{asked} AWS says: {said}."
    place.clock.advance(599)
    assert place.state(handle) is State.PENDING
    place.clock.advance(2)
    assert place.state(handle) is State.UNAVAILABLE
    assert place.provider.why(handle) == f"{asked[:-1]} for 10 minutes. AWS says: {said}."
    assert [one["jobId"] for one in place.amazon.calls("terminate_job")] == ["job-0"]


def test_a_compute_environment_in_trouble_is_told(place: Place) -> None:
    handle = place.launch()
    place.amazon.environments = [{"status": "INVALID", "statusReason": "CLIENT_ERROR - You are not authorized"}]
    place.amazon.moves("job-0", "RUNNABLE")
    place.state(handle)
    assert "AWS says: CLIENT_ERROR - You are not authorized." in place.provider.why(handle)


def test_silence_of_aws_takes_nobodys_instance(place: Place) -> None:
    running, waiting = place.launch(0), place.launch(1)
    place.amazon.moves("job-0", "RUNNING")
    before = place.provider.sweep([running, waiting])
    place.amazon.fault = refusal("InternalError", "Try later", status=500)
    assert place.provider.sweep([running, waiting]) == before
    place.provider.release(running)
    place.provider.interrupt(waiting)
    assert place.provider.instances() == []


def test_a_launch_that_aws_does_not_answer_is_no_capacity(place: Place) -> None:
    place.amazon.outputs = dict(place.amazon.outputs)
    place.provider.repository()
    place.amazon.fault = refusal("ServiceUnavailable", "Try later", status=503)
    with pytest.raises(NoCapacity, match=r"Try later\.$"):
        place.launch()


def test_as_many_run_at_once_as_the_settings_say(place: Place) -> None:
    [one] = place.provider.instance_types()
    assert place.provider.at_once(NEED) == 2
    first, _ = place.launch(0), place.launch(1)
    assert place.provider.shortage(NEED, Placement(instance_type=one)).startswith("All 2 instances of m5.xlarge")
    assert place.provider.shortage(NEED, Placement(instance_type=one, save=True)) == ""
    with pytest.raises(NoCapacity):
        place.launch(2)
    place.provider.release(first)
    assert place.provider.shortage(NEED, Placement(instance_type=one)) == ""


def test_a_new_manager_finds_and_adopts_what_runs(place: Place) -> None:
    handle = place.launch(save=True)
    place.launch(1)
    place.amazon.moves("job-0", "RUNNING")
    second = AwsProvider(
        settings(place.root, max_vcpus=4), account=place.amazon, handovers=FakeHandovers(), ticks=place.clock.ticks
    )
    assert second.find("job/0/1", place.root) == handle
    assert second.find("job/7/1", place.root) is None
    second.adopt([handle])
    [one] = second.instance_types()
    assert second.shortage(NEED, Placement(instance_type=one, save=True))
    assert second.shortage(NEED, Placement(instance_type=one)) == ""


def test_an_instance_types_memory_is_what_a_container_gets(place: Place) -> None:
    [one] = place.provider.instance_types()
    assert (one.name, one.provider, one.memory_mib, one.price_per_hour) == ("m5.xlarge", "aws", 15401, Decimal("0.192"))


def test_the_repository_is_the_stacks_unless_the_settings_name_one(place: Place) -> None:
    assert place.provider.repository() == place.amazon.outputs["RepositoryUri"]
    other = AwsProvider(settings(place.root, repository="127.0.0.1:5000/neurocaas"), account=place.amazon)
    assert other.repository() == "127.0.0.1:5000/neurocaas"


def test_a_site_without_a_section_for_aws_is_refused(tmp_path: Path) -> None:
    site = SiteDocument(name="test")
    with pytest.raises(Refused, match=r"site\.json: aws: it is missing"):
        AwsProvider(Settings(root=tmp_path, site=site, database_url="", store_url=""))


def test_a_type_that_the_price_list_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r'found "m5.xlarg"; names of the price list are right. Did you mean "m5.xlarge"'):
        AwsProvider(settings(tmp_path, instance_types=("m5.xlarg",)))


def test_a_region_without_a_price_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r'found "eu-west-1", but the price list is for us-east-1'):
        AwsProvider(settings(tmp_path, region="eu-west-1"))


def test_what_is_released_may_end_by_itself_and_is_ended_if_it_does_not(place: Place) -> None:
    handle = place.launch()
    place.amazon.moves("job-0", "RUNNING")
    place.state(handle)
    place.provider.release(handle)
    place.provider.release(handle)
    assert place.provider.events() == []
    assert place.amazon.calls("terminate_job") == []
    place.clock.advance(LEAVING_SECONDS - 1)
    place.provider.events()
    assert place.amazon.calls("terminate_job") == []
    place.clock.advance(1)
    place.provider.events()
    assert [one["jobId"] for one in place.amazon.calls("terminate_job")] == ["job-0"]
    place.provider.events()
    assert len(place.amazon.calls("terminate_job")) == 1


def test_what_was_released_is_ended_when_its_manager_ends(place: Place) -> None:
    place.provider.release(place.launch())
    place.provider.close()
    assert [one["jobId"] for one in place.amazon.calls("terminate_job")] == ["job-0"]


def test_one_question_about_a_queue_serves_all_who_wait_in_it(place: Place) -> None:
    handles = [place.launch(0), place.launch(1)]
    for job in ("job-0", "job-1"):
        place.amazon.moves(job, "RUNNABLE")
    place.provider.sweep(handles)
    place.provider.sweep(handles)
    assert len(place.amazon.calls("describe_job_queues")) == 1
    place.clock.advance(31)
    place.provider.sweep(handles)
    assert len(place.amazon.calls("describe_job_queues")) == 2


def test_ecr_is_signed_in_to_by_the_manager(place: Place) -> None:
    assert isinstance(place.provider, SignsIn)
    assert place.provider.sign_in() == ("AWS", "secret")
