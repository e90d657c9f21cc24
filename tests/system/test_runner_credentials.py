"""The credentials of a runner elsewhere: how far they reach, and how they are renewed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neurocaas.bank import handover
from neurocaas.bank.handover import RECORD, Handovers
from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.reasons import Reason
from neurocaas.runner.arrival import arrive
from neurocaas.settings import Settings, SiteDocument, StorageSettings
from neurocaas.storage import keys, open_store
from neurocaas.storage.credentials import Connection, Renewed, SessionCredentials
from neurocaas.storage.scope import PolicyTooLong, policy_text
from neurocaas.storage.sessions import mint
from support.far import FOREIGN, INPUT, Far, arrived, refused
from support.sites import until


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
        until(lambda: "begun" in far.log(document))
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
