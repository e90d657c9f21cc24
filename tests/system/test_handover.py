"""An attempt handed to a runner beyond the site's machine: a ticket used once, credentials that reach one attempt."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank import handover
from neurocaas.bank.handover import RECORD, Handovers
from neurocaas.errors import NeurocaasError, NotFound, Refused, StorageFailed
from neurocaas.reasons import Reason
from neurocaas.runner import arrival
from neurocaas.runner.arrival import Arrived, arrive
from neurocaas.runner.checkpoint import Manifest, keep
from neurocaas.runner.document import ExitRecord
from neurocaas.settings import Settings, SiteDocument, StorageSettings
from neurocaas.storage import Store, keys, open_store
from neurocaas.storage.credentials import Connection, Renewed, SessionCredentials
from neurocaas.storage.scope import PolicyTooLong, policy_text
from neurocaas.storage.sessions import mint
from support.aws import Aws
from system.conftest import Bench

FOREIGN = keys.content_file("other-group", "c1")
INPUT = keys.content_file("lab", "c1")


@dataclass(kw_only=True)
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(kw_only=True)
class Far:
    """A site on S3 and what its manager hands over."""

    aws: Aws
    bench: Bench
    settings: Settings
    store: Store
    clock: Clock
    handovers: Handovers

    def document(self, script: str = "true", **changes: Any) -> dict[str, Any]:
        changes = {"workflow": {}, **changes}
        path = self.bench.document(script, store=self.settings.store_url, **changes)
        document: dict[str, Any] = json.loads(path.read_text())
        path.unlink()
        self.store.put(keys.lease(document["prefix"]), json.dumps({"token": document["token"]}).encode())
        return document

    def work(self, document: dict[str, Any]) -> Path:
        """The folder that the manager keeps for the attempt."""
        return self.settings.work / document["attempt"].replace("/", "-")

    def hand_over(self, document: dict[str, Any]) -> str:
        return self.handovers.hand_over(document, self.work(document))

    def run(self, ticket: str) -> subprocess.CompletedProcess[str]:
        """A runner as another machine would start it: with its ticket, and nothing else that is secret."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            [sys.executable, "-m", "neurocaas.runner"],
            env=variables | {"NEUROCAAS_TICKET": ticket},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def record(self, document: dict[str, Any]) -> ExitRecord:
        return ExitRecord.model_validate_json(self.store.get(keys.exit_record(document["prefix"])))

    def log(self, document: dict[str, Any]) -> str:
        entries = self.store.list(keys.log(document["prefix"]))
        return "".join(json.loads(self.store.get(entry.key))["text"] for entry in entries)


@pytest.fixture
def far(as_admin: Aws, own_bench: Bench, tmp_path: Path) -> Far:
    bucket = as_admin.bucket()
    storage = StorageSettings(runner_role=as_admin.runner_role(bucket))
    url = f"s3://{bucket}/site"
    site = SiteDocument(name="far", store=url, storage=storage)
    settings = Settings(root=tmp_path, site=site, database_url="", store_url=url)
    store = open_store(url)
    store.put(FOREIGN, b"another group's")
    store.put(INPUT, b"the group's own")
    clock = Clock(now=datetime.now(UTC))
    return Far(
        aws=as_admin,
        bench=own_bench,
        settings=settings,
        store=store,
        clock=clock,
        handovers=Handovers(settings, clock=clock),
    )


def archive(mode: str, name: str, content: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as tar:  # type: ignore[call-overload]
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return held.getvalue()


def arrived(far: Far, **changes: Any) -> Arrived:
    given = {"name": "movie", "form": "file", "filename": "m.txt", "key": INPUT, "sha256": "0" * 64, "size_bytes": 15}
    return arrive(far.hand_over(far.document(inputs=[given], **changes)))


def refused(action: Any) -> None:
    """The store says 403: the credentials do not reach so far."""
    with pytest.raises(StorageFailed, match="do not reach so far"):
        action()


def test_a_runner_with_nothing_but_a_ticket_performs_the_attempt(far: Far) -> None:
    given = {"name": "movie", "form": "file", "filename": "m.txt", "key": INPUT, "sha256": "0" * 64, "size_bytes": 15}
    document = far.document(
        "cat /job/inputs/movie/m.txt; cat /job/inputs/movie/m.txt > /job/results/copy.txt",
        inputs=[given],
        outputs=[{"name": "copy", "pattern": "copy.txt"}],
    )
    answer = far.run(far.hand_over(document))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert far.record(document).succeeded, far.record(document).message
    assert far.log(document) == "the group's own"
    assert far.store.get(keys.result(document["prefix"], "copy.txt")) == b"the group's own"
    assert list(far.store.list("exchange")) == []


def test_what_the_analysis_needs_is_brought_with_the_same_credentials(far: Far) -> None:
    """Its workflow, a tree of its environment, a folder, and a folder put together from parts."""
    version, tree = "versions/look/abc.tar", keys.tree_archive("e1")
    script = b"cat /opt/tree/tool; cat /job/inputs/folder/f/*; cat /job/inputs/parts/p/*"
    far.store.put(version, archive("w", "workflow.sh", script))
    far.store.put(tree, archive("w:gz", "tool", b"tool "))
    for name in ("a", "b"):
        far.store.put(keys.content_folder_file("lab", "c2", name), f"{name} ".encode())
    folder = {"name": "folder", "form": "folder", "filename": "f", "key": keys.content_folder("lab", "c2")}
    part = {"path": "one", "key": INPUT}
    parts = {"name": "parts", "form": "folder", "filename": "p", "parts": [part]}
    document = far.document(
        workflow={"files": "/nowhere/abc", "archive": version},
        environment={"mounts": [{"source": "/nowhere/e1/tree", "target": "/opt/tree", "archive": tree}]},
        inputs=[one | {"sha256": "0" * 64, "size_bytes": 4} for one in (folder, parts)],
        shelf=str(far.bench.folder / "shelf"),
    )
    assert far.run(far.hand_over(document)).returncode == 0
    assert far.record(document).succeeded, far.record(document).message
    assert far.log(document) == "tool a b the group's own"


def test_an_attempt_goes_on_from_the_checkpoint_of_the_one_before(far: Far, tmp_path: Path) -> None:
    before = keys.checkpoint(keys.attempt("lab", "job", 77, 1), 1)
    (tmp_path / "state").write_text("halfway")
    manifest = Manifest(attempt="job/77/1", number=1, taken_at="2026-01-01T00:00:00Z", files=())
    assert keep(far.store, before, manifest, {"state": tmp_path / "state"}, lambda: True)
    document = far.document(
        'cat "$NEUROCAAS_CHECKPOINT/state"',
        workflow={"checkpoints": True},
        checkpoint=before,
        prefix=keys.attempt("lab", "job", 77, 2),
    )
    assert far.run(far.hand_over(document)).returncode == 0
    assert far.record(document).succeeded, far.record(document).message
    assert "halfway" in far.log(document)


def test_a_ticket_is_exchanged_once(far: Far) -> None:
    ticket = far.hand_over(far.document())
    arrive(ticket)
    with pytest.raises(Refused, match="This ticket was used"):
        arrive(ticket)
    second = far.run(ticket)
    assert second.returncode == 2
    assert second.stderr == "This ticket was used: each can be exchanged once.\n"


def test_of_eight_runners_that_arrive_together_one_gets_through(far: Far) -> None:
    ticket = far.hand_over(far.document())
    together = threading.Barrier(8)

    def come(_: int) -> str:
        together.wait()
        try:
            arrive(ticket)
        except Refused as refusal:
            return refusal.message
        return ""

    with ThreadPoolExecutor(8) as runners:
        said = list(runners.map(come, range(8)))
    assert said.count("") == 1
    assert all(one.startswith("This ticket was used") for one in said if one)


def test_a_sealed_object_that_came_back_lets_nobody_in(far: Far) -> None:
    ticket = far.hand_over(far.document())
    sealed = {entry.key: far.store.get(entry.key) for entry in far.store.list("exchange")}
    arrive(ticket)
    for key, data in sealed.items():
        far.store.put(key, data)
    with pytest.raises(Refused, match="another runner performs the attempt"):
        arrive(ticket)


@pytest.mark.parametrize(
    "spoil",
    [lambda ticket: "", lambda ticket: "s3://bucket/x", lambda ticket: ticket.replace("exchange/", "exchange/not-")],
)
def test_what_is_no_ticket_is_refused_in_a_sentence(far: Far, spoil: Any) -> None:
    answer = far.run(spoil(far.hand_over(far.document())))
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "ticket" in answer.stderr.lower()


def test_a_ticket_ends(far: Far) -> None:
    ticket = far.hand_over(far.document())
    with pytest.raises(Refused, match="This ticket has ended"):
        arrive(ticket.replace("X-Amz-Expires=604800", "X-Amz-Expires=0"))


def test_no_message_tells_the_ticket(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "PAUSES_SECONDS", (0.0,))
    ticket = far.hand_over(far.document())
    for wrong in (
        ticket.replace("X-Amz-Expires=604800", "X-Amz-Expires=0"),
        ticket.replace(":" + far.aws.endpoint.rpartition(":")[2], ":1"),
    ):
        with pytest.raises(NeurocaasError) as told:
            arrive(wrong)
        assert "Signature" not in str(told.value)
        assert "exchange/" not in str(told.value)


def test_a_runner_s_credentials_reach_its_attempt_and_its_inputs(far: Far) -> None:
    here = arrived(far)
    prefix = here.document.prefix
    assert here.store.get(INPUT) == b"the group's own"
    here.store.put(keys.result(prefix, "a.txt"), b"1")
    here.store.put(keys.result(prefix, "b.txt"), b"2")
    assert [entry.key for entry in here.store.list(keys.results(prefix))] == [
        keys.result(prefix, "a.txt"),
        keys.result(prefix, "b.txt"),
    ]
    here.store.delete_below(keys.results(prefix))
    assert list(here.store.list(keys.results(prefix))) == []
    assert here.store.create(keys.exit_record(prefix), b"{}")
    assert not here.store.create(keys.exit_record(prefix), b"{}")


def test_a_large_result_goes_up_in_parts_with_them(far: Far, tmp_path: Path) -> None:
    here = arrived(far)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(40 << 20)
    here.store.put_file(large, keys.result(here.document.prefix, "large"))
    found = far.store.head(keys.result(here.document.prefix, "large"))
    assert found is not None
    assert found.size_bytes == 40 << 20


def test_a_runner_s_credentials_are_refused_on_another_group_s_object(far: Far) -> None:
    here = arrived(far)
    refused(lambda: here.store.get(FOREIGN))
    refused(lambda: here.store.head(FOREIGN))
    refused(lambda: here.store.put(FOREIGN, b"x"))
    refused(lambda: here.store.delete(FOREIGN))
    assert far.store.get(FOREIGN) == b"another group's"


def test_a_runner_s_credentials_are_refused_on_another_attempt(far: Far) -> None:
    here = arrived(far)
    own = here.document.prefix
    for other in (f"{own}1", keys.attempt("lab", "job", 99, 1), keys.attempt("lab", "another", 0, 1)):
        far.store.put(keys.lease(other), b"{}")
        refused(lambda other=other: here.store.get(keys.lease(other)))
        refused(lambda other=other: here.store.put(keys.exit_record(other), b"{}"))
        refused(lambda other=other: here.store.delete(keys.lease(other)))
        refused(lambda other=other: list(here.store.list(other)))


def test_a_runner_s_credentials_are_refused_on_listing_the_store_and_on_changing_inputs(far: Far) -> None:
    here = arrived(far)
    for prefix in ("", "groups", "groups/lab", "groups/other-group", "exchange", "versions"):
        refused(lambda prefix=prefix: list(here.store.list(prefix)))
    refused(lambda: here.store.delete(INPUT))
    refused(lambda: here.store.put(INPUT, b"x"))
    refused(lambda: here.store.create(keys.content_file("lab", "c2"), b"x"))
    refused(lambda: here.store.get(keys.content_file("lab", "c2")))
    other = far.hand_over(far.document())
    assert other
    for entry in far.store.list("exchange"):
        refused(lambda key=entry.key: here.store.get(key))
        refused(lambda key=entry.key: here.store.delete(key))


def test_what_is_missing_below_the_own_prefix_is_missing_and_not_forbidden(far: Far) -> None:
    """S3 answers 403 for what is not there to who may not list the whole bucket; a lease that is gone means stop."""
    here = arrived(far)
    far.store.delete(keys.lease(here.document.prefix))
    with pytest.raises(NotFound):
        here.store.get(keys.lease(here.document.prefix))
    assert here.store.head(keys.exit_record(here.document.prefix)) is None


def test_a_cancelled_attempt_stops_within_a_few_heartbeats(far: Far) -> None:
    document = far.document("echo begun; sleep 100", heartbeat_seconds=0.2)
    ticket = far.hand_over(document)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(far.run, ticket)
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        while "begun" not in far.log(document):
            assert datetime.now(UTC) < deadline
        far.store.delete(keys.lease(document["prefix"]))
        assert running.result(timeout=60).returncode == 0
    assert far.record(document).reason is Reason.CANCELLED


def test_credentials_that_end_are_followed_by_those_that_the_manager_renews(far: Far) -> None:
    def nearly_over(*asked: Any) -> SessionCredentials:
        return mint(*asked).model_copy(update={"expires_at": datetime.now(UTC) + timedelta(minutes=4)})

    document = far.document()
    short = Handovers(far.settings, clock=far.clock, mint=nearly_over)
    here = arrive(short.hand_over(document, far.work(document)))
    before = far.aws.requests()
    far.handovers.renew()  # by a manager that finds the record, and mints for the whole time again
    here.store._credentials._asked = datetime.min.replace(tzinfo=UTC)  # type: ignore[attr-defined]
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    new: list[str] = []
    while not new:  # obstore asks for credentials at most every tenth of a second
        assert datetime.now(UTC) < deadline
        here.store.put(keys.log_segment(document["prefix"], 1), b"{}")
        new = [key for key, counted in far.aws.requests().items() if key not in before and counted["PUT"]]
    refused(lambda: here.store.get(FOREIGN))


def test_nothing_is_renewed_before_half_of_its_time_is_over(far: Far) -> None:
    document = far.document()
    far.hand_over(document)
    for minutes, renewed in ((29, False), (2, True)):
        far.clock.now += timedelta(minutes=minutes)
        far.handovers.renew()
        assert (far.store.head(keys.credentials(document["prefix"])) is not None) is renewed


def test_a_ticket_that_waits_for_hours_opens_credentials_that_are_fresh(far: Far) -> None:
    ticket = far.hand_over(far.document())
    before = [far.store.get(entry.key) for entry in far.store.list("exchange")]
    far.clock.now += timedelta(hours=5)
    far.handovers.renew()
    assert [far.store.get(entry.key) for entry in far.store.list("exchange")] != before
    arrive(ticket).store.put(keys.log_segment(keys.attempt("lab", "job", 1, 1), 1), b"{}")


def test_a_new_manager_goes_on_renewing_and_forgets_what_has_ended(far: Far) -> None:
    document = far.document()
    here = arrive(far.hand_over(document))
    record = far.work(document) / RECORD
    assert record.stat().st_mode & 0o077 == 0
    next_manager = Handovers(far.settings, clock=far.clock)
    next_manager.renew()
    assert far.store.head(keys.credentials(document["prefix"])) is not None
    assert list(far.store.list("exchange")) == []
    record.unlink()
    far.clock.now += timedelta(minutes=31)
    next_manager.renew()
    assert far.store.head(keys.credentials(document["prefix"])) is None
    assert here.document.attempt == document["attempt"]


def test_many_are_renewed_a_few_at_a_time_and_those_that_wait_longest_first(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "MOST_AT_ONCE", 2)
    documents = [far.document() for _ in range(3)]
    for document in documents:
        far.hand_over(document)
        far.clock.now += timedelta(seconds=1)
    far.clock.now += timedelta(minutes=31)

    def renewed() -> list[bool]:
        return [far.store.head(keys.credentials(document["prefix"])) is not None for document in documents]

    far.handovers.renew()
    assert renewed() == [True, True, False]
    far.handovers.renew()
    assert renewed() == [True, True, True]


def test_a_policy_that_sts_can_not_pack_is_said_in_fewer_words(far: Far) -> None:
    given = [
        {"name": f"i{n}", "form": "file", "filename": "m", "key": keys.content_file("lab", f"content-{n}")}
        for n in range(15)
    ]
    asked: list[int] = []

    def packing(role: str, policy: Any, name: str, seconds: int) -> SessionCredentials:
        asked.append(len(policy_text(policy)))
        if len(asked) == 1:
            raise PolicyTooLong("Packed, it is too long.")
        return mint(role, policy, name, seconds)

    document = far.document(inputs=[one | {"sha256": "0" * 64, "size_bytes": 1} for one in given])
    here = arrive(Handovers(far.settings, clock=far.clock, mint=packing).hand_over(document, far.work(document)))
    assert asked[0] > 1024 > asked[1]
    far.store.put(given[7]["key"], b"7")
    assert here.store.get(given[7]["key"]) == b"7"
    refused(lambda: here.store.get(FOREIGN))


def test_a_token_service_that_fails_hands_nothing_over_and_stops_no_sweep(far: Far) -> None:
    wrong = far.settings.model_copy(
        update={"site": far.settings.site.model_copy(update={"storage": StorageSettings(runner_role="arn:nonsense")})}
    )
    asked = []

    def failing(*asked_for: Any) -> SessionCredentials:
        asked.append(asked_for)
        raise StorageFailed("The token service does not answer.")

    handovers = Handovers(wrong, clock=far.clock, mint=failing)
    document = far.document()
    with pytest.raises(StorageFailed, match="does not answer"):
        handovers.hand_over(document, far.work(document))
    far.hand_over(document)
    after = Handovers(wrong, clock=far.clock, mint=failing)
    after.renew()
    after.renew()
    assert len(asked) == 2  # once when handed over, once when renewed: it is not asked at every sweep


@pytest.mark.parametrize(
    ("url", "role", "sentence"),
    [
        ("file:///tmp/store", "arn:aws:iam::1:role/x", "site.json: store:"),
        ("s3://bucket/site", "", "site.json: storage.runner_role:"),
    ],
)
def test_a_site_that_can_hand_nothing_over_says_which_setting_is_missing(
    tmp_path: Path, url: str, role: str, sentence: str
) -> None:
    site = SiteDocument(name="near", store=url, storage=StorageSettings(runner_role=role))
    settings = Settings(root=tmp_path, site=site, database_url="", store_url=url)
    with pytest.raises(Refused, match=sentence):
        Handovers(settings).hand_over({"attempt": "a"}, tmp_path / "work")


def test_credentials_whose_time_is_over_say_so(far: Far) -> None:
    over = SessionCredentials(
        access_key_id="ASIAGONE",
        secret_access_key="x",
        session_token="y",
        expires_at=datetime.now(UTC) - timedelta(minutes=1),
    )
    renewed = Renewed(over, Connection.here(), store=far.settings.store_url, key="groups/lab/credentials.json")
    with pytest.raises(StorageFailed, match="do not reach so far, or have ended"):
        open_store(far.settings.store_url, credentials=renewed).get(INPUT)


LOOK_FOR_SECRETS = r"""
env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\0' '\n'
grep -r -l -s -E 'ASIA|secret_access_key|X-Amz-Signature|exchange/' \
    /job /workflow /tmp /run /var /home /root /etc /dev/shm
for address in 169.254.169.254/80 169.254.170.2/80 STORE; do
    (exec 3<>/dev/tcp/$address) 2>/dev/null && echo "reached $address"
done
echo looked
"""


def test_a_workflow_finds_no_ticket_no_credentials_and_no_metadata_service(far: Far) -> None:
    # Nobody answers at the metadata service's addresses here; but the store does, and the test itself reaches it.
    document = far.document(
        LOOK_FOR_SECRETS.replace("STORE", far.aws.endpoint.removeprefix("http://").replace(":", "/"))
    )
    ticket = far.hand_over(document)
    sealed = json.loads(far.store.get(next(iter(far.store.list("exchange"))).key))["credentials"]
    answer = far.run(ticket)
    assert answer.returncode == 0
    seen = [
        far.log(document),
        far.store.get(keys.exit_record(document["prefix"])).decode(),
        answer.stdout,
        answer.stderr,
    ]
    seen += [path.read_text() for path in Path(document["work"]).rglob("*") if path.is_file()]
    assert "looked" in seen[0]
    for one in seen:
        assert "NEUROCAAS_TICKET" not in one
        assert "AWS_" not in one
        assert "reached" not in one
        assert not any(secret in one for secret in (ticket, "X-Amz-", *sealed.values()))


def test_no_list_of_processes_shows_the_ticket(far: Far) -> None:
    document = far.document("echo begun; sleep 100")
    ticket = far.hand_over(document)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(far.run, ticket)
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        while "begun" not in far.log(document):
            assert datetime.now(UTC) < deadline
            time.sleep(0.05)
        listed = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        far.store.delete(keys.lease(document["prefix"]))
        running.result(timeout=60)
    assert not any(b"X-Amz-" in one or b"exchange/" in one for one in listed)
