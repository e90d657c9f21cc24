"""Lists in pages: each asks for those after the last one of the page before, so that a page costs the same anywhere."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

from django.db.models import Q, QuerySet

from neurocaas.errors import Refused
from neurocaas.server.jobs.models import Job
from neurocaas.server.jobs.status import LIVE


def narrowed(jobs: QuerySet[Job], *, status: str, analysis: str, user: str, search: str) -> QuerySet[Job]:
    """Those jobs that have all of what is asked for; nothing asked for is had by all."""
    if status:
        jobs = jobs.filter(status__in=LIVE if status == "running" else [status])
    if analysis:
        jobs = jobs.filter(analysis=analysis)
    if user:
        jobs = jobs.filter(user=user)
    if search:
        found = Q(id__icontains=search) | Q(label__icontains=search) | Q(user__icontains=search)
        jobs = jobs.filter(found | Q(message__icontains=search))
    return jobs


def page(jobs: QuerySet[Job], cursor: str, limit: int) -> tuple[list[Job], str | None]:
    """Some jobs, the newest first, and the cursor of the page after, if there is one."""
    if cursor:
        at, job_id = _position(cursor)
        jobs = jobs.filter(Q(submitted_at__lt=at) | Q(submitted_at=at, id__lt=job_id))
    rows = list(jobs.order_by("-submitted_at", "-id")[: limit + 1])
    last = rows[limit - 1] if len(rows) > limit else None
    if last is None:
        return rows, None
    text = f"{last.submitted_at.isoformat()} {last.id}"
    return rows[:limit], base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, job_id = text.partition(" ")
        position = datetime.fromisoformat(at).astimezone(UTC), job_id.replace("\0", "")
    except (ValueError, OverflowError, binascii.Error):
        raise Refused(f"cursor: found {cursor[:80]!r}; `next` of an earlier answer is right.") from None
    return position
