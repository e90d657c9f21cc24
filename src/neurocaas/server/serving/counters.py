"""What this process counts as it happens, for `/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

registry = CollectorRegistry()
ProcessCollector(registry=registry)

REQUESTS = Counter("neurocaas_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry)
SECONDS = Histogram(
    "neurocaas_http_request_seconds",
    "From a request to the beginning of its answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)
UPLOADED = Counter("neurocaas_upload_bytes", "Bytes of uploads that this process received.", registry=registry)


def answered(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count one request. `route` is a route's name, never a path: each value is a time series of its own."""
    # Anything may be sent as a method, so what is not known is counted together.
    REQUESTS.labels(method if method in METHODS else "other", route, str(status)).inc()
    SECONDS.labels(route).observe(seconds)


def uploaded(size_bytes: int) -> None:
    """Count bytes of an upload; Prometheus makes a rate of it."""
    UPLOADED.inc(size_bytes)
