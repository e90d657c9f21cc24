"""What came of submissions, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neurocaas.server.dropbox.models import Submission
from neurocaas.server.jobs.view import timestamp
from neurocaas.settings import Settings


def listed(settings: Settings, count: int) -> list[dict[str, Any]]:
    """The site's drop-boxes, each with its newest submissions."""
    return [
        {"analysis": analysis, "url": url, "submissions": [_described(one) for one in _newest(analysis, count)]}
        for analysis, url in settings.site.dropboxes.items()
    ]


def _newest(analysis: str, count: int) -> Iterable[Submission]:
    found = Submission.objects.filter(analysis=analysis).select_related("job").prefetch_related("arrivals")
    return found.order_by("-id")[:count]


def _described(one: Submission) -> dict[str, Any]:
    return {
        "group": one.group,
        "name": one.name,
        "outcome": one.outcome,
        "job": one.job_id,
        "message": one.message,
        "arrivals": sorted({arrival.key for arrival in one.arrivals.all()}),
        "taken_at": timestamp(one.taken_at),
        "answered": one.done,
    }
