"""How pages write amounts, sizes and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("nanodollars", "written"),
    [
        (None, "–"),
        (0, "$0.00"),
        (12_400_000_000, "$12.40"),
        (31_000_000, "$0.031"),
        (1_500, "$0.0000015"),
        (-2_000_000_000, "$-2.00"),
    ],
)
def test_an_amount_is_written_to_the_cent_or_to_two_digits_that_count(nanodollars: int | None, written: str) -> None:
    from neurocaas.server.web.templatetags.neurocaas import dollars

    assert dollars(nanodollars) == written


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (None, "–"),
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1_610_612_736, "1.5 GiB"),
        (5 * 1024**6, "5120.0 PiB"),
    ],
)
def test_a_size_is_written_in_the_unit_that_keeps_it_short(count: int | None, written: str) -> None:
    from neurocaas.server.web.templatetags.neurocaas import bytes_

    assert plain(bytes_(count)) == written


@pytest.mark.parametrize(
    ("duration", "written"),
    [
        (None, "–"),
        (-1, "0 s"),
        (0, "0 s"),
        (0.44, "0.4 s"),
        (9.97, "10 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (3599.6, "1 h"),
        (3905, "1 h 5 min"),
        (timedelta(days=4, hours=6, minutes=30), "4 d 6 h"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(duration: float | timedelta | None, written: str) -> None:
    from neurocaas.server.web.templatetags.neurocaas import seconds

    assert plain(seconds(duration)) == written


@pytest.mark.parametrize(
    ("since", "written"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=61), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=30), "25 Oct 2026"),
        (timedelta(seconds=-5), "in a moment"),
        (timedelta(days=-2), "in 2 days"),
        (timedelta(days=-40), "3 Jan 2027"),
    ],
)
def test_a_time_is_written_as_how_long_since_or_until(since: timedelta, written: str) -> None:
    from neurocaas.server.web.templatetags.neurocaas import ago

    assert plain(ago(NOW - since, NOW)) == written


def test_no_time_is_a_dash() -> None:
    from neurocaas.server.web.templatetags.neurocaas import ago

    assert ago(None) == "–"


@pytest.mark.parametrize(("part", "whole", "shown"), [(1, 3, 33), (0, 0, 0), (5, 4, 100), (-1, 4, 0)])
def test_a_part_of_the_whole_stays_between_nothing_and_all_of_it(part: float, whole: float, shown: int) -> None:
    from neurocaas.server.web.templatetags.neurocaas import percent

    assert percent(part, whole) == shown
