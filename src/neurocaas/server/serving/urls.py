"""For those who watch the site: health and metrics. The root URLconf includes this, and has this handler500."""

from __future__ import annotations

from django.urls import path

from neurocaas.server.serving.health import healthz
from neurocaas.server.serving.metrics import metrics
from neurocaas.server.serving.request_log import server_error

handler500 = server_error
urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
]
