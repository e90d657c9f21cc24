"""A message says in a few plain lines what a person wants to know."""

from __future__ import annotations

from typing import Any

from neurocaas.server.notifications.message import message


def job(status: str = "failed", stacks: tuple[dict[str, Any], ...] = (), **changes: Any) -> dict[str, Any]:
    """A job's description, as far as messages read it."""
    return {
        "job": "20260101-abcd",
        "analysis": "pca@0123456789ab",
        "status": status,
        "reason": "",
        "message": "",
        "user": "ada",
        "ended_at": "2026-01-01T00:00:00.000Z",
        "cost_dollars": "1.234",
        "stacks": [{"name": "a.tif", "status": "succeeded", "reason": "", "message": "", **one} for one in stacks],
        **changes,
    }


def test_a_message_says_what_ended_how_it_went_and_where_to_look() -> None:
    found = message(job("succeeded", ({}, {}, {})), "https://lab.test/")
    assert found.title == "pca@0123456789ab: job 20260101-abcd succeeded"
    assert found.body == (
        "Job 20260101-abcd of pca@0123456789ab, submitted by ada, succeeded.\n"
        "Stacks: 3 succeeded.\n"
        "Cost: $1.23.\n"
        "\n"
        "https://lab.test/jobs/20260101-abcd\n"
    )
    assert found.facts["stacks"] == {"succeeded": 3, "failed": 0, "cancelled": 0}


def test_each_reason_is_said_once_with_its_remedy() -> None:
    full = {"status": "failed", "reason": "OUT_OF_MEMORY", "message": "It needed more than 4 GiB."}
    late = {"status": "failed", "reason": "TIMED_OUT", "name": "b.tif"}
    body = message(job("failed", (full, full, late, {})), "https://lab.test").body
    assert "Stacks: 1 succeeded, 3 failed." in body
    assert "- a.tif and 1 more: It needed more than 4 GiB. Use a smaller dataset, or ask for more memory" in body
    assert "- b.tif: timed out. Use a smaller dataset, or raise the time limit" in body


def test_a_job_without_stacks_says_why() -> None:
    body = message(job("failed", message="The environment could not be built."), "https://lab.test").body
    assert "Stacks: none were made." in body
    assert "The environment could not be built." in body


def test_a_name_forges_no_line_and_no_header() -> None:
    bad = {"status": "failed", "reason": "UNKNOWN", "name": "a\r\nBcc: all@x.test\r\n\r\nhttps://bad.test"}
    found = message(job("failed", (bad,), analysis="x\nSubject: y"), "https://lab.test")
    assert "\n" not in found.title
    assert "\nBcc" not in found.body
    assert "\nhttps://bad" not in found.body


def test_a_tiny_cost_is_not_nothing() -> None:
    assert "less than $0.01" in message(job(cost_dollars="0.0004"), "https://lab.test").body
    assert "Cost: $0.00." in message(job(cost_dollars="0"), "https://lab.test").body
