"""An instance's time is an attempt's or nobody's, whatever its history; what is wrong with it is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.reasons import Reason
from neurocaas.server.hardware.measured import Flag, Measured, Served, findings, milliseconds, spans, unclaimed_for, use
from neurocaas.settings import HardwareSettings

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = HardwareSettings(unclaimed_minutes=10, grace_minutes=5, margin_minutes=30, cost_dollars=Decimal(5))


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def served(begun: float, over: float | None, *, attempt: str = "j/0/1", reason: str = "") -> Served:
    ended_at = None if over is None else at(over)
    return Served(attempt=attempt, started_at=at(begun), ended_at=ended_at, timeout_seconds=3600, reason=reason)


def instance(*of: Served, ended: float | None = None, dollars_per_hour: int = 1) -> Measured:
    return Measured(
        name="aws/i-1",
        price_nanodollars_per_hour=dollars_per_hour * 10**9,
        started_at=START,
        ended_at=None if ended is None else at(ended),
        served=of,
    )


moments = st.timedeltas(min_value=timedelta(days=-1), max_value=timedelta(days=3)).map(lambda one: START + one)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Measured, datetime]:
    """An instance and a present; attempts before, in and after its time, over each other, live or not."""
    begun = draw(st.lists(moments, max_size=6))
    attempts = tuple(
        Served(
            attempt=f"j/{index}/1",
            started_at=one,
            ended_at=draw(
                st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2)).map(one.__add__)
            ),
            timeout_seconds=draw(st.floats(1, 1e5)),
        )
        for index, one in enumerate(begun)
    )
    started_at = draw(moments)
    life = draw(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2)))
    ended_at = draw(st.sampled_from([None, started_at + life]))
    price = draw(st.integers(0, 10**11))
    measured = Measured(
        name="a/i", price_nanodollars_per_hour=price, started_at=started_at, ended_at=ended_at, served=attempts
    )
    return measured, draw(moments)


@given(histories())
def test_every_millisecond_is_one_attempts_or_nobodys(history: tuple[Measured, datetime]) -> None:
    measured, now = history
    parts = spans(measured, now)
    start = milliseconds(measured.started_at)
    end = max(start, milliseconds(measured.ended_at or now))
    assert sum(one.ms for one in parts) == end - start
    if parts:
        assert (parts[0].start_ms, parts[-1].end_ms) == (start, end)
    assert all(left.end_ms == right.start_ms and left.attempt != right.attempt for left, right in pairwise(parts))
    assert all(one.ms > 0 for one in parts)


@given(histories())
def test_a_part_is_nobodys_only_if_no_attempt_claims_any_of_it(history: tuple[Measured, datetime]) -> None:
    measured, now = history
    for part in spans(measured, now):
        claims = {
            one.attempt
            for one in measured.served
            if max(milliseconds(one.started_at), part.start_ms)
            < min(part.end_ms if one.ended_at is None else milliseconds(one.ended_at), part.end_ms)
        }
        assert part.attempt in claims or (not part.attempt and not claims)


@given(histories())
def test_idle_and_used_time_and_money_add_up(history: tuple[Measured, datetime]) -> None:
    measured, now = history
    spent = use(measured, now)
    assert 0 <= spent.idle_ms <= spent.total_ms
    assert 0 <= spent.idle_nanodollars <= spent.total_nanodollars
    assert spent.total_nanodollars == measured.price_nanodollars_per_hour * spent.total_ms // 3_600_000


@given(histories())
def test_only_what_runs_for_nobody_is_unclaimed(history: tuple[Measured, datetime]) -> None:
    measured, now = history
    flags = {one.flag for one in findings(measured, RULES, now)}
    assert (Flag.UNCLAIMED in flags) == (unclaimed_for(measured, now) > timedelta(minutes=10))
    if measured.ended_at is not None or any(one.ended_at is None for one in measured.served):
        assert Flag.UNCLAIMED not in flags
    elif Flag.UNCLAIMED in flags:
        # Its last minutes are idle, unless an attempt's clock runs ahead of ours.
        assert not spans(measured, now)[-1].attempt


@given(histories())
def test_the_same_records_are_flagged_alike(history: tuple[Measured, datetime]) -> None:
    measured, now = history
    turned = Measured(**{**measured.__dict__, "served": measured.served[::-1]})
    assert spans(turned, now) == spans(measured, now)
    assert sorted(map(str, findings(turned, RULES, now))) == sorted(map(str, findings(measured, RULES, now)))


@pytest.mark.parametrize(
    ("measured", "minutes", "flags"),
    [
        (instance(), 9, []),
        (instance(), 11, [Flag.UNCLAIMED]),
        (instance(served(0, None)), 60, []),
        (instance(served(0, 20)), 29, []),
        (instance(served(0, 20)), 31, [Flag.UNCLAIMED]),
        (instance(served(0, 20), ended=25), 100, []),
        (instance(served(0, 20), served(25, None, attempt="j/1/1")), 80, []),
        (instance(served(0, None)), 89, []),
        (instance(served(0, None)), 91, [Flag.OVERDUE]),
        (instance(served(0, 95), ended=95), 1000, [Flag.OVERDUE]),
        (instance(served(0, 55), ended=55, dollars_per_hour=6), 1000, [Flag.COSTLY]),
        (instance(served(0, None), dollars_per_hour=6), 51, [Flag.COSTLY]),
        (instance(served(0, 30), served(10, 40, attempt="j/1/1"), ended=45), 50, [Flag.SHARED]),
        (instance(served(0, 30), served(29, 40, attempt="j/1/1"), ended=45), 50, []),
        (instance(served(0, 5, reason=Reason.INTERRUPTED), ended=5), 50, [Flag.TAKEN]),
        (instance(served(0, 5, reason=Reason.INSTANCE_LOST), ended=5), 50, [Flag.TAKEN]),
        (instance(served(0, 5, reason=Reason.WORKFLOW_FAILED), ended=5), 50, []),
    ],
)
def test_what_is_wrong_with_an_instance_is_flagged(measured: Measured, minutes: float, flags: list[Flag]) -> None:
    assert [one.flag for one in findings(measured, RULES, at(minutes))] == flags


def test_findings_are_sentences() -> None:
    wrong = instance(served(0, 120), served(60, 200, attempt="j/1/1"), ended=240, dollars_per_hour=6)
    assert [one.sentence for one in findings(wrong, RULES, at(300))] == [
        "It served j/0/1 for 120 minutes; 90 minutes were allowed.",
        "It served j/1/1 for 140 minutes; 90 minutes were allowed.",
        "It has cost $24.00, more than $5.00.",
        "It served j/0/1 and j/1/1 at one time.",
    ]


def test_what_is_shorter_than_a_millisecond_is_nobodys_and_free() -> None:
    short = Measured(
        name="a/i",
        price_nanodollars_per_hour=10**9,
        started_at=START,
        ended_at=START + timedelta(microseconds=999),
        served=(),
    )
    assert spans(short, START) == ()
    assert use(short, START).total_nanodollars == 0
