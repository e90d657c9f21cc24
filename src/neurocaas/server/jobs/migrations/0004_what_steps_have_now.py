from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0003_carry_over"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="group",
            name="budget_nanodollars",
        ),
        migrations.RemoveField(
            model_name="job",
            name="environment_digest",
        ),
        migrations.RemoveField(
            model_name="job",
            name="max_attempts",
        ),
        migrations.RemoveField(
            model_name="job",
            name="timeout_seconds",
        ),
        migrations.RemoveField(
            model_name="step",
            name="after",
        ),
    ]
