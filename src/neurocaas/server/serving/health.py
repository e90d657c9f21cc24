"""`/healthz`: whether this site works, in words that say nothing that only its operator should know."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.server.jobs import daemon
from neurocaas.server.serving.metrics import disk_free_bytes
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.site import Site
from neurocaas.settings import Settings

OK = "ok"
FAILING = "failing"
TURN_SECONDS = 90.0  # a manager that has not looked at everything for this long hangs
NEEDED_GIB = 0.5


def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 (a view's signature)
    """200 if all parts work; 503 with what is wrong."""
    site = this_site()
    parts: dict[str, Any] = {"database": _database(), "store": _store(site), "manager": _manager(site.settings)}
    free_gib = disk_free_bytes(site.settings.state) / 1024**3
    well = set(parts.values()) == {OK} and free_gib >= NEEDED_GIB
    answer = {"status": OK if well else FAILING, **parts, "disk_free_gib": round(free_gib, 1)}
    return JsonResponse(answer, status=200 if well else 503, headers={"Cache-Control": "no-store"})


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "it does not answer"
    return OK


def _store(site: Site) -> str:
    try:
        with contextlib.suppress(NotFound):
            site.store.get("healthz")  # a bucket that is gone answers HEAD as if only the object were
    except NeurocaasError:
        return "it can't be read"
    folder = site.store.local_path("healthz")
    if folder is not None and not os.access(_there(folder.parent), os.W_OK):
        return "it can't be written"
    return OK


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists: the store is made by its first write."""
    while not folder.exists():
        folder = folder.parent
    return folder


def _manager(settings: Settings) -> str:
    if daemon.last_leader(settings) is None:
        return "none leads"
    age = daemon.turn_age_seconds(settings)
    return OK if age is not None and age < TURN_SECONDS else f"it has done nothing for {age or 0:.0f} seconds"
