"""One instance's time, to the millisecond, and what is wrong with it. Pure functions of what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from neurocaas.reasons import Reason
from neurocaas.settings import HardwareSettings

MILLISECOND = timedelta(milliseconds=1)
MS_PER_HOUR = 3_600_000
NANO = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# An attempt that was lost ends in our books only when that is noticed, so a while after the next one may have begun.
OVERLAP_MS = 120_000
TAKEN = frozenset({Reason.INTERRUPTED, Reason.INSTANCE_LOST})


class Flag(StrEnum):
    """What an operator should look at: instances that nobody claims, and four ways to be aberrant."""

    UNCLAIMED = "unclaimed"
    OVERDUE = "overdue"
    COSTLY = "costly"
    SHARED = "shared"
    TAKEN = "taken"


@dataclass(frozen=True, kw_only=True)
class Served:
    """An attempt's time on an instance. ended_at: None as long as it goes on. reason: why it failed, if it did."""

    attempt: str
    started_at: datetime
    ended_at: datetime | None
    timeout_seconds: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An instance from its start to its end, or to the present, and what it served meanwhile."""

    name: str
    price_nanodollars_per_hour: int
    started_at: datetime
    ended_at: datetime | None
    served: tuple[Served, ...]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of an instance's time: an attempt's, or nobody's ("")."""

    attempt: str
    start_ms: int  # since 1970
    end_ms: int

    @property
    def ms(self) -> int:
        return self.end_ms - self.start_ms


@dataclass(frozen=True, kw_only=True)
class Use:
    """Where an instance's time and money went. What nobody used is the site's to bear, not a group's."""

    total_ms: int
    idle_ms: int
    total_nanodollars: int
    idle_nanodollars: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong with an instance, as a sentence."""

    flag: Flag
    sentence: str


def spans(measured: Measured, now: datetime) -> tuple[Span, ...]:
    """The instance's time in parts without gaps or overlaps. Of two attempts at one time, the first has it.

    What an attempt's own clock says beyond its instance's start and end is not the instance's time.
    """
    start, end = _life(measured, now)
    claims = sorted((*_claim(one, start, end), one.attempt) for one in measured.served)
    edges = sorted({start, end, *(edge for begun, over, _ in claims for edge in (begun, over))})
    parts: list[Span] = []
    for left, right in pairwise(edges):
        owner = next((attempt for begun, over, attempt in claims if begun <= left and right <= over), "")
        if parts and parts[-1].attempt == owner:
            parts[-1] = Span(attempt=owner, start_ms=parts[-1].start_ms, end_ms=right)
        else:
            parts.append(Span(attempt=owner, start_ms=left, end_ms=right))
    return tuple(parts)


def use(measured: Measured, now: datetime) -> Use:
    """Where its time and money went; the parts add up to the whole exactly."""
    parts = spans(measured, now)
    total, idle = sum(one.ms for one in parts), sum(one.ms for one in parts if not one.attempt)
    price = measured.price_nanodollars_per_hour
    return Use(
        total_ms=total,
        idle_ms=idle,
        total_nanodollars=price * total // MS_PER_HOUR,
        idle_nanodollars=price * idle // MS_PER_HOUR,
    )


def findings(measured: Measured, rules: HardwareSettings, now: datetime) -> tuple[Finding, ...]:
    """All that is wrong with it, by these rules."""
    return tuple(_findings(measured, rules, now))


def unclaimed_for(measured: Measured, now: datetime) -> timedelta:
    """For how long it has run for no live attempt; nothing if it has ended."""
    if measured.ended_at is not None or any(one.ended_at is None for one in measured.served):
        return timedelta(0)
    last = max((one.ended_at for one in measured.served if one.ended_at), default=measured.started_at)
    return max(timedelta(0), now - max(last, measured.started_at))


def milliseconds(at: datetime) -> int:
    """Since 1970; what is shorter is cut off."""
    return (at - EPOCH) // MILLISECOND


def _findings(measured: Measured, rules: HardwareSettings, now: datetime) -> Iterator[Finding]:
    if (unclaimed := unclaimed_for(measured, now)) > timedelta(minutes=rules.unclaimed_minutes):
        yield Finding(flag=Flag.UNCLAIMED, sentence=f"It has run for nobody for {_minutes(unclaimed)}.")
    start, end = _life(measured, now)
    for one in measured.served:
        begun, over = _claim(one, start, end)
        allowed_ms = int(one.timeout_seconds * 1000) + int(rules.margin_minutes * 60_000)
        if over - begun > allowed_ms:
            ran, allowed = _minutes((over - begun) * MILLISECOND), _minutes(allowed_ms * MILLISECOND)
            yield Finding(flag=Flag.OVERDUE, sentence=f"It served {one.attempt} for {ran}; {allowed} were allowed.")
        if one.reason in TAKEN:
            yield Finding(flag=Flag.TAKEN, sentence=f"It ended, or was lost, under {one.attempt} ({one.reason}).")
    cost = measured.price_nanodollars_per_hour * (end - start) // MS_PER_HOUR
    if rules.cost_dollars is not None and cost > rules.cost_dollars * NANO:
        sentence = f"It has cost ${cost / NANO:.2f}, more than ${rules.cost_dollars:.2f}."
        yield Finding(flag=Flag.COSTLY, sentence=sentence)
    yield from _shared(measured, start, end)


def _shared(measured: Measured, start: int, end: int) -> Iterator[Finding]:
    """Each attempt has an instance to itself. Told once for each that began before another one's end."""
    claims = sorted((*_claim(one, start, end), one.attempt) for one in measured.served)
    until, holder = start, ""
    for begun, over, attempt in claims:
        if holder and min(until, over) - begun > OVERLAP_MS:
            yield Finding(flag=Flag.SHARED, sentence=f"It served {holder} and {attempt} at one time.")
        if over > until:
            until, holder = over, attempt


def _life(measured: Measured, now: datetime) -> tuple[int, int]:
    start = milliseconds(measured.started_at)
    return start, max(start, milliseconds(measured.ended_at or now))


def _claim(served: Served, start: int, end: int) -> tuple[int, int]:
    """The attempt's time, cut to that of the instance."""
    begun = min(max(milliseconds(served.started_at), start), end)
    over = end if served.ended_at is None else min(max(milliseconds(served.ended_at), begun), end)
    return begun, over


def _minutes(duration: timedelta) -> str:
    return f"{duration.total_seconds() / 60:.0f} minutes"
