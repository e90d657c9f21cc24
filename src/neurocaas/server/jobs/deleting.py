"""Delete a job: what it keeps in the store goes, and nobody sees it any more. What it cost stays in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction

from neurocaas.errors import NotNow
from neurocaas.server.jobs.models import Job, Stack
from neurocaas.server.jobs.status import ENDED
from neurocaas.storage import Store, keys


def delete_job(store: Store, job: Job) -> None:
    """Raises NotNow while it runs, or while the results of another job are this one's. Killed midway: ask again."""
    if job.status not in ENDED:
        raise NotNow(f"Job {job.id} is {job.status}; one that has ended can be deleted.", remedy="Cancel it first.")
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=job.pk)
        others = Stack.objects.filter(reused_from__job=job, job__deleted_at=None).exclude(job=job)
        user = others.values_list("job_id", flat=True).first()
        if user is not None:
            raise NotNow(
                f"Job {job.id} can't be deleted: its results are results of job {user} too.",
                remedy=f"Delete job {user} first.",
            )
    store.delete_below(keys.job(job.group_id, job.id))
    Job.objects.filter(pk=job.pk).update(deleted_at=datetime.now(UTC))
