"""What operators are shown of the site's instances: page, CSV, API, metrics."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from neurocaas.bank import Instance
from neurocaas.errors import Refused
from support.website import Website

NOW = datetime.now(UTC)


def said(answer: Any) -> str:
    return html.unescape(answer.content.decode())


@pytest.fixture(autouse=True)
def _instances(website: Website) -> None:
    """One that ran for an hour yesterday, and one that has run for nobody since then."""
    from neurocaas.server.hardware.recording import note

    common = {"provider": "aws", "instance_type": "m5.xlarge", "price_per_hour": Decimal("0.2")}
    begun = NOW - timedelta(hours=20)
    ended = begun + timedelta(hours=1, milliseconds=1)
    note(
        [
            Instance(id="i-ended", started_at=begun, ended_at=ended, reason="Its attempt ended.", **common),  # type: ignore[arg-type]
            Instance(id="i-stray", started_at=begun, **common),  # type: ignore[arg-type]
        ],
        NOW,
    )


def test_the_page_shows_instances_and_what_the_site_bears(website: Website) -> None:
    page = said(website.client("olga").get("/operator/hardware"))
    assert "aws/i-ended" in page
    assert re.search(r"It has run for nobody for 12\d\d minutes\.", page)


def test_the_overview_warns_of_what_is_flagged(website: Website) -> None:
    page = said(website.client("olga").get("/operator"))
    assert "aws/i-stray is unclaimed. It has run for nobody" in page
    assert "i-ended" not in page


def test_flagged_narrows_and_since_is_checked(website: Website) -> None:
    olga = website.client("olga")
    assert "i-ended" not in said(olga.get("/operator/hardware?flagged=1"))
    assert "i-ended" not in said(olga.get("/operator/hardware?since=1h"))
    refused = olga.get("/operator/hardware?since=yesterday")
    assert refused.status_code == 422
    assert "24h, 7d or a date such as 2026-01-31 is right." in said(refused)


def test_the_table_has_a_line_for_each(website: Website) -> None:
    answer = website.client("olga").get("/operator/hardware.csv")
    rows = {row["instance"]: row for row in csv.DictReader(io.StringIO(answer.content.decode()))}
    assert rows["aws/i-ended"]["seconds"] == rows["aws/i-ended"]["idle_seconds"] == "3600.001"
    assert rows["aws/i-stray"]["flags"] == "unclaimed"


def test_the_api_tells_facts_and_totals(website: Website) -> None:
    answer = website.client("olga").get("/api/v1/operator/hardware?flagged=true").json()
    [stray] = answer["instances"]
    assert (stray["instance"], stray["ended_at"], stray["attempts"]) == ("aws/i-stray", None, [])
    assert answer["totals"]["flagged"] == 1
    assert website.client("olga").get("/api/v1/operator/hardware?since=never").status_code == 422


def test_metrics_count_running_instances_and_flags(website: Website) -> None:
    figures = website.client("olga").get("/metrics").content.decode()
    assert 'neurocaas_instances{provider="aws"} 1.0' in figures
    assert 'neurocaas_instances_flagged{flag="unclaimed"} 1.0' in figures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
    ],
)
def test_since_is_hours_days_or_a_date(text: str, expected: datetime) -> None:
    from neurocaas.server.hardware.reading import moment

    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "999999d", "99999d", "tomorrow", "2026-13-01"])
def test_since_is_refused_in_words(text: str) -> None:
    from neurocaas.server.hardware.reading import moment

    if text == "99999d":
        assert moment(text, NOW) < NOW
    else:
        with pytest.raises(Refused, match="24h, 7d or a date"):
            moment(text, NOW)
