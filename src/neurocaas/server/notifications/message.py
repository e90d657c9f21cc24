"""What a message says: what ended, how it went and why, what it cost, where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from neurocaas.reasons import REMEDY

_REASONS_SHOWN = 5
_REMEDIES = {str(reason): remedy for reason, remedy in REMEDY.items()}
_ENDED = {"succeeded": "succeeded", "failed": "failed", "cancelled": "was cancelled"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """Plain text. `facts`: the same for programs, as a webhook gets them."""

    title: str
    body: str
    facts: Mapping[str, Any]


def message(job: Mapping[str, Any], site_url: str) -> Message:
    """The message about a job that has ended, from its description (`jobs.view.description`)."""
    stacks = job["stacks"]
    counts = Counter(stack["status"] for stack in stacks)
    link = f"{site_url.rstrip('/')}/jobs/{job['job']}"
    went = ", ".join(f"{counts[status]} {status}" for status in _ENDED if counts[status]) or "none were made"
    cost = Decimal(job["cost_dollars"])
    ended = _ENDED.get(job["status"], job["status"])
    lines = [
        f"Job {job['job']} of {_one_line(job['analysis'])}, submitted by {job['user']}, {ended}.",
        f"Stacks: {went}.",
        *_why(job),
        f"Cost: ${cost:.2f}." if cost == 0 or cost >= Decimal("0.01") else "Cost: less than $0.01.",
        "",
        link,
    ]
    return Message(
        title=f"{_one_line(job['analysis'])}: job {job['job']} {ended}",
        body="\n".join(lines) + "\n",
        facts={
            "event": "job.ended",
            "job": job["job"],
            "analysis": job["analysis"],
            "user": job["user"],
            "status": job["status"],
            "reason": job["reason"],
            "stacks": {status: counts[status] for status in _ENDED},
            "cost_dollars": job["cost_dollars"],
            "ended_at": job["ended_at"],
            "url": link,
        },
    )


def _why(job: Mapping[str, Any]) -> list[str]:
    """The job's own message, and each kind of failure once: how often, its first stack's words, what to do."""
    lines = [_one_line(job["message"])] if job["message"] else []
    failed = [stack for stack in job["stacks"] if stack["status"] == "failed"]
    common = Counter(stack["reason"] for stack in failed).most_common()
    for reason, count in common[:_REASONS_SHOWN]:
        first = next(stack for stack in failed if stack["reason"] == reason)
        said = _one_line(first["message"]) or reason.replace("_", " ").lower()
        others = f" and {count - 1} more" if count > 1 else ""
        remedy = _REMEDIES.get(reason, "")
        lines.append(f"- {_one_line(first['name'])}{others}: {said.rstrip('.')}. {remedy}".rstrip())
    if len(common) > _REASONS_SHOWN:
        lines.append(f"- and {len(common) - _REASONS_SHOWN} other reasons")
    return lines


def _one_line(text: str) -> str:
    """A dataset's name may hold anything but may not forge a line of the message, nor a mail's header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())
