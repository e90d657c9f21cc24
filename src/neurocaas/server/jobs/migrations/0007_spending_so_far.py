"""Add up what was charged before the months were kept."""

from typing import Any

from django.db import migrations
from django.db.models import Sum
from django.db.models.functions import TruncMonth


def add_up(apps: Any, schema_editor: Any) -> None:  # noqa: ARG001 (as Django calls it)
    spending = apps.get_model("jobs", "Spending")
    charges = apps.get_model("jobs", "Entry").objects.filter(kind="charge").annotate(month=TruncMonth("at"))
    sums = charges.values("group_id", "job__user", "month").order_by().annotate(total=Sum("nanodollars"))
    spending.objects.bulk_create(
        spending(group_id=one["group_id"], user=one["job__user"], month=one["month"].date(), nanodollars=one["total"])
        for one in sums
    )


class Migration(migrations.Migration):
    dependencies = [("jobs", "0006_spending")]
    operations = [migrations.RunPython(add_up, migrations.RunPython.noop)]
