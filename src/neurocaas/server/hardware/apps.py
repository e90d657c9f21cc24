from __future__ import annotations

from django.apps import AppConfig


class HardwareConfig(AppConfig):
    name = "neurocaas.server.hardware"
    label = "hardware"
