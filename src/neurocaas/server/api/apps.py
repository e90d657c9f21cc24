"""The API as an app of Django's: it has one table."""

from __future__ import annotations

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "neurocaas.server.api"
    label = "api"
