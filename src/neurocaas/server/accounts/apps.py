"""Connects what listens to sign-ins and verified addresses once the models are there."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "neurocaas.server.accounts"

    def ready(self) -> None:
        from neurocaas.server.accounts import adapters, audit  # noqa: F401 (they connect their receivers)
