from __future__ import annotations

import json
import os
import select
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank import Carrier, Launch, NoCapacity, Placement, State
from neurocaas.bank.slurm.answers import Nodes, Task, TaskState
from neurocaas.bank.slurm.commands import NotAnswering, Slurm, complaint
from neurocaas.bank.slurm.provider import FRESH_SECONDS, LEAVE_SECONDS, SlurmProvider
from neurocaas.bell import ring
from neurocaas.blueprint import Need
from neurocaas.documents import parse
from neurocaas.errors import NeurocaasError, Refused, Unavailable
from neurocaas.settings import Settings, SiteDocument, SlurmSettings
from neurocaas.testing import FakeClock

NEED = Need(vcpus=1, memory_mib=512, storage_mib=64, gpus=0)
DOCUMENT: dict[str, Any] = {
    "timeout_seconds": 60,
    "uid": None,
    "bell": None,
    "workflow": {"files": "/site/version", "archive": "versions/pca/0.tar"},
    "environment": {"mounts": [{"source": "/site/e", "target": "/env", "archive": "trees/e.tar.gz"}]},
    "resources": {"vcpus": 1, "cores": [3]},
}
MAIN: dict[str, Any] = {"name": "main", "vcpus": 4, "memory_gib": 8, "price_per_hour": 1}


@dataclass
class FakeSlurm(Slurm):
    """A controller that remembers everything and counts what it is asked."""

    known: dict[Task, TaskState] = field(default_factory=dict)
    accounted: dict[Task, TaskState] = field(default_factory=dict)
    submitted: list[tuple[dict[str, str], str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fault: NeurocaasError | None = None
    hears_all_the_same: bool = False

    def submit(self, options: Collection[str], script: str) -> None:
        if self.fault and not self.hears_all_the_same:
            raise self.fault
        given = dict(one.split("=", 1) for one in options if "=" in one)
        self.submitted.append((given, script))
        for index in range(int(given["--array"].removeprefix("0-")) + 1):
            self.known[given["--job-name"], index] = TaskState(id=f"{len(self.submitted)}_{index}", state="PENDING")
        if self.fault:
            raise self.fault

    def tasks(self) -> dict[Task, TaskState]:
        if self.fault:
            raise self.fault
        self.asked.append("tasks")
        return dict(self.known)

    def forgotten(self, names: Collection[str]) -> dict[Task, TaskState]:
        return {task: state for task, state in self.accounted.items() if task[0] in names}

    def nodes(self) -> tuple[Nodes, ...]:
        if self.fault:
            raise self.fault
        self.asked.append("nodes")
        return (
            Nodes(partition="main", vcpus=4, memory_mib=8000, gpus=0, gpu=""),
            Nodes(partition="main", vcpus=8, memory_mib=16000, gpus=0, gpu=""),
            Nodes(partition="gpu", vcpus=8, memory_mib=16000, gpus=2, gpu="a100"),
            Nodes(partition="bare", vcpus=8, memory_mib=1, gpus=0, gpu=""),
        )

    def interrupt(self, ids: Collection[str]) -> None:
        self.asked += [f"interrupt {one}" for one in sorted(ids)]

    def cancel(self, ids: Collection[str]) -> None:
        self.asked += [f"cancel {one}" for one in sorted(ids)]

    def all_are(self, state: str, **fields: str) -> None:
        self.known = {task: TaskState(id=one.id, state=state, **fields) for task, one in self.known.items()}


@dataclass
class Place:
    root: Path
    slurm: FakeSlurm
    clock: FakeClock
    provider: SlurmProvider
    count: int = 0

    def launch(self, need: Need = NEED, *, save: bool = False) -> str:
        self.count += 1
        one = self.provider.instance_types()[0]
        return self.provider.launch(
            Launch(
                attempt=f"job/{self.count}/1",
                work=self.root / "work" / str(self.count),
                document=DOCUMENT,
                need=need,
                placement=Placement(instance_type=one, save=save),
            )
        )

    def state(self, handle: str) -> State:
        self.clock.advance(FRESH_SECONDS + 1)
        return self.provider.sweep([handle])[handle]


def opened(root: Path, slurm: FakeSlurm, clock: FakeClock, **settings: Any) -> SlurmProvider:
    site = SiteDocument(name="test", slurm=SlurmSettings(**settings))
    read = Settings(root=root, site=site, database_url="", store_url=(root / "store").as_uri())
    provider = SlurmProvider(read, slurm=slurm, ticks=clock.ticks)
    provider.start()
    return provider


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    slurm, clock = FakeSlurm(), FakeClock()
    provider = opened(tmp_path, slurm, clock, instance_types=(MAIN,))
    yield Place(root=tmp_path, slurm=slurm, clock=clock, provider=provider)
    provider.close()


def test_launches_of_one_shape_go_out_as_one_array_when_the_manager_wakes(place: Place) -> None:
    handles = [place.launch() for _ in range(16)]
    handles.append(place.launch(Need(vcpus=2, memory_mib=512, storage_mib=64, gpus=0)))
    assert place.slurm.submitted == []
    assert select.select(place.provider.filenos(), [], [], 0)[0]
    place.provider.events()
    assert [options["--array"] for options, _ in place.slurm.submitted] == ["0-15", "0-0"]
    assert not select.select(place.provider.filenos(), [], [], 0)[0]
    assert set(place.provider.sweep(handles).values()) == {State.PENDING}
    assert place.slurm.asked == ["tasks"]


def test_many_hints_ask_the_controller_once(place: Place) -> None:
    handles = [place.launch() for _ in range(5)]
    place.provider.events()
    for _ in range(3):
        for handle in handles:
            place.provider.sweep([handle])
    assert place.slurm.asked == ["tasks"]


def test_a_runner_that_rang_has_begun_whatever_was_said_before(place: Place) -> None:
    handle = place.launch()
    place.provider.events()
    assert place.provider.sweep([handle]) == {handle: State.PENDING}
    ring(place.root / ".neurocaas" / "run" / "slurm.bell", "exit job/1/1")
    assert [hint.what for hint in place.provider.events()] == ["exit"]
    assert place.provider.sweep([handle]) == {handle: State.RUNNING}


def test_a_document_is_for_this_user_alone(place: Place) -> None:
    place.launch()
    document = place.root / "work" / "1" / "document.json"
    assert document.stat().st_mode & 0o777 == 0o600
    assert json.loads(document.read_text())["resources"]["cores"] == []


def test_workflows_of_live_attempts_have_uids_of_their_own_where_the_site_is_roots(place: Place) -> None:
    uids = [json.loads(place.launch())["uid"] for _ in range(3)]
    assert len(set(uids)) == (3 if os.geteuid() == 0 else 1)


@pytest.mark.parametrize(
    ("said", "state", "why"),
    [
        ({"state": "PENDING", "reason": "Priority"}, State.PENDING, "higher priority"),
        ({"state": "RUNNING"}, State.RUNNING, ""),
        ({"state": "TIMEOUT"}, State.TIMED_OUT, "time limit"),
        ({"state": "OUT_OF_MEMORY"}, State.OUT_OF_MEMORY, "memory"),
        ({"state": "PREEMPTED"}, State.INTERRUPTED, "goes before it"),
        ({"state": "NODE_FAIL", "node": "n1"}, State.GONE, "node failed (on n1)"),
        ({"state": "PENDING", "reason": "PartitionTimeLimit"}, State.UNAVAILABLE, "PartitionTimeLimit"),
    ],
)
def test_what_slurm_says_of_a_task_is_told(place: Place, said: dict[str, str], state: State, why: str) -> None:
    handle = place.launch()
    place.provider.events()
    place.slurm.all_are(**said)
    assert place.state(handle) is state
    assert why in place.provider.why(handle)


def test_what_the_controller_has_forgotten_accounting_may_know(place: Place) -> None:
    one, other = place.launch(), place.launch()
    place.provider.events()
    [known, unknown] = sorted(place.slurm.known)
    place.slurm.known.clear()
    place.slurm.accounted[known] = TaskState(id="1_0", state="TIMEOUT")
    assert place.state(one) is State.TIMED_OUT
    assert place.state(other) is State.GONE
    assert "does not know it" in place.provider.why(other)
    assert unknown[1] == 1


def test_a_refusal_is_told_with_its_reason_and_wakes_the_manager(place: Place) -> None:
    handle = place.launch()
    place.slurm.fault = Refused("Slurm says: Invalid account.")
    assert [hint.attempt for hint in place.provider.events()] == ["job/1/1"]
    place.slurm.fault = None
    assert place.state(handle) is State.UNAVAILABLE
    assert place.provider.why(handle) == "Slurm says: Invalid account."


def test_a_controller_that_does_not_answer_takes_nobodys_instance(place: Place) -> None:
    handle = place.launch()
    place.provider.events()
    place.slurm.all_are("RUNNING")
    assert place.state(handle) is State.RUNNING
    place.slurm.fault = NotAnswering("Slurm's controller does not answer.")
    assert place.state(handle) is State.RUNNING


def test_a_submission_without_an_answer_is_made_once(place: Place) -> None:
    handle = place.launch()
    place.slurm.fault, place.slurm.hears_all_the_same = NotAnswering("No answer."), True
    assert place.provider.events() == []
    place.slurm.fault = None
    assert place.state(handle) is State.PENDING
    assert len(place.slurm.submitted) == 1


def test_a_submission_that_did_not_arrive_is_repeated(place: Place) -> None:
    handle = place.launch()
    place.slurm.fault = NotAnswering("Slurm's controller does not answer.")
    place.provider.events()
    assert place.slurm.submitted == []
    assert place.provider.sweep([handle]) == {handle: State.PENDING}
    place.slurm.fault = None
    assert place.state(handle) is State.PENDING
    assert len(place.slurm.submitted) == 1


def test_who_runs_is_asked_to_stop_and_who_waits_is_cancelled(place: Place) -> None:
    handles = [place.launch(), place.launch()]
    place.provider.events()
    [first, _] = sorted(place.slurm.known)
    place.slurm.known[first] = TaskState(id="1_0", state="RUNNING")
    for handle in handles:
        place.provider.interrupt(handle)
    place.provider.events()
    assert place.slurm.asked == ["tasks", "interrupt 1_0", "cancel 1_1"]
    place.provider.release(handles[0])
    place.provider.events()
    assert place.slurm.asked[3:] == ["tasks", "cancel 1_0"]


def test_what_was_released_may_end_by_itself_for_a_moment(place: Place) -> None:
    handle = place.launch()
    place.provider.events()
    place.slurm.all_are("RUNNING")
    place.provider.release(handle)
    place.provider.events()
    assert place.slurm.asked == []
    place.clock.advance(LEAVE_SECONDS)
    place.provider.events()
    assert place.slurm.asked == ["tasks", "cancel 1_0"]


def test_an_attempt_is_found_by_a_manager_that_never_got_its_handle(place: Place) -> None:
    handle = place.launch()
    place.provider.events()
    later = opened(place.root, place.slurm, place.clock, instance_types=(MAIN,))
    assert later.find("job/1/1", place.root / "work" / "1") == handle
    place.slurm.known.clear()
    assert later.find("job/1/1", place.root / "work" / "1") is None
    later.close()


def test_an_attempt_that_never_went_out_is_not_found(place: Place) -> None:
    place.launch()
    later = opened(place.root, place.slurm, place.clock, instance_types=(MAIN,))
    assert later.find("job/1/1", place.root / "work" / "1") is None
    later.close()


def test_without_a_list_each_partition_is_an_instance_type(tmp_path: Path) -> None:
    slurm = FakeSlurm()
    provider = opened(tmp_path, slurm, FakeClock())
    main, gpu = provider.instance_types()
    assert (main.name, main.vcpus, main.memory_mib) == ("main", 8, 16000 - 256)
    assert (gpu.name, gpu.gpus, gpu.gpu) == ("gpu", 2, "a100")
    assert provider.at_once(NEED) is None
    assert slurm.asked == ["nodes"]
    provider.close()


def test_a_cluster_that_does_not_answer_offers_nothing(tmp_path: Path) -> None:
    provider = opened(tmp_path, FakeSlurm(fault=Unavailable("sinfo is not on PATH.")), FakeClock())
    assert provider.instance_types() == ()
    provider.close()


def test_the_save_price_goes_to_its_own_partition(tmp_path: Path) -> None:
    slurm, clock = FakeSlurm(), FakeClock()
    save = {"price_per_hour": Decimal("0.1"), "partition": "scavenger", "qos": "low"}
    provider = opened(tmp_path, slurm, clock, instance_types=({**MAIN, "save": save},))
    place = Place(root=tmp_path, slurm=slurm, clock=clock, provider=provider)
    place.launch(save=True)
    place.launch()
    provider.events()
    assert [options["--partition"] for options, _ in slurm.submitted] == ["scavenger", "main"]
    provider.close()


def test_no_more_are_in_slurm_than_the_site_may_have(tmp_path: Path) -> None:
    slurm, clock = FakeSlurm(), FakeClock()
    provider = opened(tmp_path, slurm, clock, instance_types=({**MAIN, "at_once": 1},))
    place = Place(root=tmp_path, slurm=slurm, clock=clock, provider=provider)
    assert provider.at_once(NEED) == 1
    handle = place.launch()
    with pytest.raises(NoCapacity, match=r"All 1 stacks"):
        place.launch()
    provider.release(handle)
    place.launch()
    provider.close()


def test_nodes_of_their_own_files_get_tickets_and_places(tmp_path: Path) -> None:
    slurm, clock = FakeSlurm(), FakeClock()
    handed: list[dict[str, Any]] = []

    class FakeHandovers:
        def hand_over(self, document: dict[str, Any], work: Path) -> str:
            handed.append(document)
            return "the ticket"

        def renew(self) -> None:
            """Nothing is ever due."""

    site = SiteDocument(name="test", slurm=SlurmSettings(instance_types=(MAIN,), shared=False, work="/scratch/n"))
    settings = Settings(root=tmp_path, site=site, database_url="", store_url="s3://bucket/site")
    provider = SlurmProvider(settings, slurm=slurm, handovers=FakeHandovers(), ticks=clock.ticks)  # type: ignore[arg-type]
    assert provider.carrier is Carrier.ARCHIVE
    Place(root=tmp_path, slurm=slurm, clock=clock, provider=provider).launch()
    provider.events()
    [document] = handed
    assert document["shelf"] == "/scratch/n/shelf"
    assert document["work"].startswith("/scratch/n/neurocaas-")
    assert document["bell"] is None
    assert "/site/" not in json.dumps([document["workflow"], document["environment"]])
    [(options, script)] = slurm.submitted
    assert "the ticket" in script
    assert "the ticket" not in " ".join(options.values())
    provider.close()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"shared": False}, "a work folder of the nodes' own"),
        ({"work": "scratch"}, 'slurm.work: found "scratch"'),
        ({"instance_types": [MAIN, MAIN]}, "each instance type once (not so: main)"),
        ({"instance_types": [{**MAIN, "partition": "a b"}]}, "partition"),
        ({"instance_types": [{**MAIN, "gres": "gpu:a100:4:5 "}]}, "gres"),
        ({"instance_types": [{**MAIN, "save": {"price_per_hour": 2}}]}, "at most price_per_hour"),
        ({"requeue": True}, "requeue"),
    ],
)
def test_mistakes_in_the_settings_are_told(section: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(SiteDocument, {"name": "test", "slurm": section}, "site.json")
    assert said in str(refused.value)


def test_a_complaint_is_its_last_line_without_the_programs_name() -> None:
    said = "sbatch: error: invalid partition specified: nix\nsbatch: error: Batch job submission failed: Invalid name\n"
    assert complaint(said) == "Batch job submission failed: Invalid name"
    assert complaint("odd\n") == "odd"
    assert complaint("") == ""
