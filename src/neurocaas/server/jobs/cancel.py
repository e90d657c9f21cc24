"""Ask for a job's end; the job manager brings it about."""

from __future__ import annotations

from neurocaas.server.jobs.models import Job
from neurocaas.server.jobs.status import ENDED


def cancel(job: Job) -> bool:
    """Mark the job for cancelling. False if it had already ended."""
    return bool(Job.objects.filter(pk=job.pk).exclude(status__in=ENDED).update(cancel_requested=True))
