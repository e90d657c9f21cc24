from __future__ import annotations

from django.apps import AppConfig


class DropboxConfig(AppConfig):
    name = "neurocaas.server.dropbox"
    label = "dropbox"
