"""`/metrics`: what Prometheus reads. The database is asked at each scrape, with a fixed number of queries."""

from __future__ import annotations

import hmac
import ipaddress
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.db import DatabaseError
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.models import NANO, Account, Attempt, Job, Stack, waiting
from neurocaas.server.jobs.status import LIVE, Status
from neurocaas.server.serving.here import this_site
from neurocaas.settings import Settings

TOKEN_VARIABLE = "NEUROCAAS_METRICS_TOKEN"  # noqa: S105 (a name)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

registry = CollectorRegistry()
ProcessCollector(registry=registry)

_requests = Counter("neurocaas_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry)
_seconds = Histogram(
    "neurocaas_http_request_seconds",
    "From a request to the beginning of its answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)
_uploaded = Counter("neurocaas_upload_bytes", "Bytes of uploads that this process received.", registry=registry)


def answered(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count one request. `route` is a route's name, never a path: each value is a time series of its own."""
    # Anything may be sent as a method, so what is not known is counted together.
    _requests.labels(method if method in METHODS else "other", route, str(status)).inc()
    _seconds.labels(route).observe(seconds)


def uploaded(size_bytes: int) -> None:
    """Count bytes of an upload; Prometheus makes a rate of it."""
    _uploaded.inc(size_bytes)


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
    money = Account.objects.filter(user="").aggregate(spent=Sum("spent_nanodollars"), held=Sum("held_nanodollars"))
    yield CounterMetricFamily(
        "neurocaas_spent_dollars", "What all groups have spent, in US dollars.", value=(money["spent"] or 0) / NANO
    )
    yield GaugeMetricFamily(
        "neurocaas_held_dollars", "What running jobs hold, in US dollars.", value=(money["held"] or 0) / NANO
    )
