"""Which room answers which address."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from neurocaas.server.accounts.admin import operators_admin
from neurocaas.server.api.router import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("operator/admin/", operators_admin.urls),
    path("", include("neurocaas.server.web.urls")),
]
