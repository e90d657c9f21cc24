"""Which room answers which address."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from neurocaas.server.api.router import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("operator/admin/", admin.site.urls),
    path("", include("neurocaas.server.web.urls")),
]
