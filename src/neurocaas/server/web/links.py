"""Addresses of pages that others have written."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse


def job_page(job_id: str) -> str:
    """Where a job is shown."""
    try:
        return reverse("job", args=[job_id])
    except NoReverseMatch:
        return f"/jobs/{job_id}"
