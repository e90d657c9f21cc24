import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user", models.CharField(blank=True, max_length=80)),
                ("held_nanodollars", models.BigIntegerField(default=0)),
                ("spent_nanodollars", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Dependency",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("input", models.CharField(max_length=63)),
                ("form", models.CharField(max_length=8)),
                ("output", models.CharField(max_length=63)),
                ("pattern", models.TextField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="entry",
            name="job_reserves_once",
        ),
        migrations.RemoveIndex(
            model_name="stack",
            name="jobs_stack_status_4e57a6_idx",
        ),
        migrations.AddField(
            model_name="attempt",
            name="price",
            field=models.CharField(
                choices=[("standard", "Standard"), ("save", "Save")], default="standard", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="entry",
            name="stack",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="entries", to="jobs.stack"
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="bound_nanodollars",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="job",
            name="chained",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="job",
            name="fresh",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="job",
            name="outputs",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="job",
            name="points",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="job",
            name="price",
            field=models.CharField(
                choices=[("standard", "Standard"), ("save", "Save")], default="standard", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="retry_of",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="retries", to="jobs.job"
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="timeout_minutes",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="stack",
            name="charged_nanodollars",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="stack",
            name="dataset_index",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="stack",
            name="held_nanodollars",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="stack",
            name="input_bytes",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="stack",
            name="instance_type",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="stack",
            name="label",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="stack",
            name="moves",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="stack",
            name="not_reused",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="stack",
            name="point",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="stack",
            name="price_nanodollars_per_hour",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="stack",
            name="quorum",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="stack",
            name="ready",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="stack",
            name="reuse_key",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="stack",
            name="reused_from",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="reuses", to="jobs.stack"
            ),
        ),
        migrations.AddField(
            model_name="stack",
            name="tries",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="step",
            name="analysis",
            field=models.CharField(default="", max_length=63),
        ),
        migrations.AddField(
            model_name="step",
            name="backoff_seconds",
            field=models.FloatField(default=1),
        ),
        migrations.AddField(
            model_name="step",
            name="environment_digest",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="step",
            name="execution_digest",
            field=models.CharField(default="", max_length=64),
        ),
        migrations.AddField(
            model_name="step",
            name="label",
            field=models.CharField(default="", max_length=80),
        ),
        migrations.AddField(
            model_name="step",
            name="max_attempts",
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name="step",
            name="named_instance_type",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="step",
            name="timeout_seconds",
            field=models.FloatField(default=3600),
        ),
        migrations.AddField(
            model_name="step",
            name="version",
            field=models.CharField(default="", max_length=64),
        ),
        migrations.AlterField(
            model_name="stack",
            name="folder",
            field=models.TextField(),
        ),
        migrations.AlterField(
            model_name="step",
            name="name",
            field=models.CharField(max_length=200),
        ),
        migrations.AddIndex(
            model_name="stack",
            index=models.Index(fields=["status", "ready", "id"], name="jobs_stack_status_a72f40_idx"),
        ),
        migrations.AddIndex(
            model_name="stack",
            index=models.Index(fields=["reuse_key"], name="jobs_stack_reuse_k_c230d4_idx"),
        ),
        migrations.AddIndex(
            model_name="stack",
            index=models.Index(fields=["status", "retry_at"], name="jobs_stack_status_e04a20_idx"),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "reserve"), ("stack", None)), fields=("job",), name="job_reserves_once"
            ),
        ),
        migrations.AddField(
            model_name="account",
            name="group",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="accounts", to="jobs.group"
            ),
        ),
        migrations.AddField(
            model_name="dependency",
            name="stack",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="needs", to="jobs.stack"),
        ),
        migrations.AddField(
            model_name="dependency",
            name="upstream",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="feeds", to="jobs.stack"),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.UniqueConstraint(fields=("group", "user"), name="one_account"),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(("held_nanodollars__gte", 0)), name="held_not_negative"
            ),
        ),
    ]
