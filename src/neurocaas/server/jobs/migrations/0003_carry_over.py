from typing import Any

from django.db import migrations
from django.db.models import Sum


def carry_over(apps: Any, schema_editor: Any) -> None:  # noqa: ARG001 (as Django calls it)
    """What a job had belongs to its step now; what it held is given back, and accounts keep what was spent."""
    entries = apps.get_model("jobs", "Entry").objects
    for job in apps.get_model("jobs", "Job").objects.all():
        apps.get_model("jobs", "Step").objects.filter(job=job).update(
            analysis=job.analysis,
            version=job.version,
            execution_digest=job.execution_digest,
            label=job.label,
            environment_digest=job.environment_digest,
            timeout_seconds=job.timeout_seconds,
            max_attempts=job.max_attempts,
        )
        # A charge used to have a release beside it; now it is one.
        entries.filter(job=job, kind="release", attempt__isnull=False).delete()
        sums = {
            kind: total or 0 for kind, total in entries.filter(job=job).values_list("kind").annotate(Sum("nanodollars"))
        }
        left = sums.get("reserve", 0) - sums.get("charge", 0) - sums.get("release", 0)
        if left > 0:
            entries.create(group_id=job.group_id, job=job, kind="release", nanodollars=left, at=job.submitted_at)
        for user in {"", job.user}:
            account, _ = apps.get_model("jobs", "Account").objects.get_or_create(group_id=job.group_id, user=user)
            account.spent_nanodollars += sums.get("charge", 0)
            account.save()
    for charge in entries.filter(kind="charge").select_related("attempt__stack"):
        stack = charge.attempt.stack
        stack.charged_nanodollars += charge.nanodollars
        stack.save(update_fields=["charged_nanodollars"])
        charge.stack = stack
        charge.save(update_fields=["stack"])


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0002_plans_and_accounts"),
    ]

    operations = [
        migrations.RunPython(carry_over, migrations.RunPython.noop),
    ]
