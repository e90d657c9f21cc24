"""`/metrics`: what Prometheus reads. The database is asked at each scrape, with a fixed number of queries."""

from __future__ import annotations

import hmac
import ipaddress
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.db import DatabaseError
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from neurocaas.server.hardware import reading
from neurocaas.server.hardware.measured import Flag
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.models import NANO, Account, Attempt, Job, Stack, waiting
from neurocaas.server.jobs.status import LIVE, Status
from neurocaas.server.serving.counters import registry
from neurocaas.server.serving.wiring import this_site
from neurocaas.settings import Settings

TOKEN_VARIABLE = "NEUROCAAS_METRICS_TOKEN"  # noqa: S105 (a name)


class SiteFigures(Collector):
    """What the database and the machine say, asked at each scrape."""

    def describe(self) -> list[Metric]:
        return []  # so that registering it asks nothing

    def collect(self) -> Iterator[Metric]:
        settings = this_site().settings
        yield from _machine(settings)
        try:
            figures = list(_database())
        except DatabaseError:
            figures = []
        yield GaugeMetricFamily("neurocaas_database_up", "Whether the database answers.", value=float(bool(figures)))
        yield from figures


registry.register(SiteFigures())


def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics, for this machine itself or with the bearer token of NEUROCAAS_METRICS_TOKEN."""
    if not _may_read(request):
        sentence = f"The metrics are for this machine itself, or with the bearer token that {TOKEN_VARIABLE} names.\n"
        return HttpResponse(sentence, status=403, content_type="text/plain")
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    token = os.environ.get(TOKEN_VARIABLE, "")
    given = request.headers.get("Authorization", "").encode()
    if token and hmac.compare_digest(given, f"Bearer {token}".encode()):
        return True
    # A proxy on this machine speaks for others, who are not this machine.
    return _is_loopback(request.META.get("REMOTE_ADDR", "")) and not {"X-Forwarded-For", "Forwarded", "Via"} & set(
        request.headers
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _machine(settings: Settings) -> Iterator[Metric]:
    age = daemon.turn_age_seconds(settings)
    if age is not None:
        yield GaugeMetricFamily(
            "neurocaas_manager_turn_age_seconds", "Since the job manager last looked at everything.", value=age
        )
    yield GaugeMetricFamily(
        "neurocaas_disk_free_bytes", "Free where the site lies.", value=disk_free_bytes(settings.state)
    )


def disk_free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _database() -> Iterator[Metric]:
    jobs = GaugeMetricFamily("neurocaas_jobs", "Jobs by status.", labels=["status"])
    stacks = GaugeMetricFamily("neurocaas_stacks", "Stacks by status.", labels=["status"])
    for family, model in ((jobs, Job), (stacks, Stack)):
        counted = dict(model.objects.order_by().values_list("status").annotate(Count("pk")))
        for status in Status:
            family.add_metric([status.value], counted.get(status.value, 0))
        yield family
    live = Attempt.objects.filter(status__in=LIVE).count()
    yield GaugeMetricFamily("neurocaas_live_attempts", "Attempts that hold an instance.", value=live)
    first = waiting(ready=True).order_by("id").values_list("job__submitted_at", flat=True).first()
    age = (datetime.now(UTC) - first).total_seconds() if first else 0.0
    yield GaugeMetricFamily(
        "neurocaas_queue_age_seconds", "How long the first stack in the queue has waited.", value=max(0.0, age)
    )
    yield from _hardware()
    money = Account.objects.filter(user="").aggregate(spent=Sum("spent_nanodollars"), held=Sum("held_nanodollars"))
    yield CounterMetricFamily(
        "neurocaas_spent_dollars", "What all groups have spent, in US dollars.", value=(money["spent"] or 0) / NANO
    )
    yield GaugeMetricFamily(
        "neurocaas_held_dollars", "What running jobs hold, in US dollars.", value=(money["held"] or 0) / NANO
    )


def _hardware() -> Iterator[Metric]:
    """The instances that run: how many, how many are flagged as what, and what their idle time has cost."""
    now, rules = datetime.now(UTC), this_site().settings.site.hardware
    found = reading.accounts(reading.running(), rules, now)
    instances = GaugeMetricFamily("neurocaas_instances", "Instances that run, by provider.", labels=["provider"])
    for provider, count in sorted(Counter(one.record.provider for one in found).items()):
        instances.add_metric([provider], count)
    yield instances
    flagged = GaugeMetricFamily("neurocaas_instances_flagged", "Instances that run, by what is wrong.", labels=["flag"])
    flags = Counter(flag for one in found for flag in {finding.flag for finding in one.findings})
    for flag in Flag:
        flagged.add_metric([flag.value], flags[flag])
    yield flagged
    idle = sum(one.use.idle_nanodollars for one in found)
    yield GaugeMetricFamily(
        "neurocaas_idle_dollars", "What running instances cost while they idled, in US dollars.", value=idle / NANO
    )
