"""Which room answers which address."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from neurocaas.server.accounts.admin import operators_admin
from neurocaas.server.api.router import api
from neurocaas.server.serving.health import healthz
from neurocaas.server.serving.metrics import metrics
from neurocaas.server.serving.request_log import server_error

handler500 = server_error
urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("operator/admin/", operators_admin.urls),
    path("", include("neurocaas.server.web.urls")),
]
