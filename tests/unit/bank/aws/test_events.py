from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator

import pytest

from neurocaas.bank import Hint
from neurocaas.bank.aws import events
from neurocaas.bank.aws.events import Events, read_event
from support.amazon import FakeAmazon, refusal, state_change

PATIENCE_SECONDS = 10.0
MALFORMED = [
    "",
    "no json",
    "[]",
    "null",
    '"text"',
    "{}",
    '{"detail-type": 3}',
    '{"detail-type": "Batch Job State Change"}',
    '{"detail-type": "Batch Job State Change", "detail": []}',
    '{"detail-type": "Batch Job State Change", "detail": {"status": ["RUNNING"], "jobName": "a-0-1"}}',
    '{"detail-type": "Batch Job State Change", "detail": {"status": "RUNNING", "jobName": 7}}',
    '{"detail-type": "Batch Job State Change", "detail": {"status": "RUNNING", "jobName": "not ours"}}',
    '{"detail-type": "Batch Job Queue Blocked", "detail": {"status": "RUNNABLE", "jobName": "a-0-1"}}',
    json.dumps({"detail-type": "Batch Job State Change", "detail": {"status": "NEW", "jobName": "a-0-1"}}),
]


@pytest.fixture
def amazon() -> FakeAmazon:
    return FakeAmazon()


@pytest.fixture
def listening(amazon: FakeAmazon) -> Iterator[Events]:
    opened = Events(amazon, "http://queue", wait_seconds=0)
    yield opened
    opened.close()


def _until_told(opened: Events) -> list[Hint]:
    ready, _, _ = select.select(opened.filenos(), [], [], PATIENCE_SECONDS)
    assert ready, "no event made the descriptor readable"
    return opened.take()


def test_a_change_makes_the_descriptor_readable_and_is_told_once(amazon: FakeAmazon, listening: Events) -> None:
    amazon.messages = [state_change("job/0/1", "SUCCEEDED")]
    listening.start()
    assert _until_told(listening) == [Hint(attempt="job/0/1", what="exit")]
    assert listening.take() == []
    assert select.select(listening.filenos(), [], [], 0)[0] == []


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING"])
def test_what_has_not_begun_is_not_worth_a_look(status: str) -> None:
    assert read_event(state_change("job/0/1", status)) is None


@pytest.mark.parametrize("body", MALFORMED)
def test_a_message_that_is_none_is_no_hint(body: str) -> None:
    assert read_event(body) is None


def test_messages_that_are_none_are_deleted_and_do_no_harm(amazon: FakeAmazon, listening: Events) -> None:
    amazon.messages = [*MALFORMED, state_change("job/0/1", "FAILED")]
    listening.start()
    assert _until_told(listening) == [Hint(attempt="job/0/1", what="gone")]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(amazon.deleted) < len(MALFORMED) + 1:
        assert time.monotonic() < deadline, "the messages were not deleted"


def test_a_fault_does_not_end_the_listening(
    amazon: FakeAmazon, listening: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAUSE_SECONDS", 0.01)
    amazon.fault = refusal("InternalError", "Try later", status=500)
    listening.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(amazon.calls("receive_message")) < 2:
        assert time.monotonic() < deadline, "it did not try again"
    amazon.messages = [state_change("job/0/1", "RUNNING")]
    amazon.fault = None
    assert _until_told(listening) == [Hint(attempt="job/0/1", what="begun")]


def test_nothing_is_open_before_the_start_nor_after_the_close(amazon: FakeAmazon) -> None:
    opened = Events(amazon, "http://queue", wait_seconds=0)
    assert opened.filenos() == []
    assert opened.take() == []
    opened.start()
    opened.close()
    opened.close()
    assert opened.filenos() == []
