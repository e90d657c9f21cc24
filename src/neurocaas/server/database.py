"""The database: Django set up for one site, SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import fcntl
import hashlib
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.apps import apps
from django.conf import settings as django_settings
from django.db import OperationalError

from neurocaas.errors import Refused
from neurocaas.settings import Settings

# WAL lets readers go on beside the writer. NORMAL keeps every commit through the death of any process; a power cut may
# take the last commits with it, together, never a part of one.
SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
SQLITE_WAIT_SECONDS = 30


def configuration(database_url: str) -> dict[str, Any]:
    """Django's settings for a database at this URL."""
    return {
        "DATABASES": {"default": _database(database_url)},
        "INSTALLED_APPS": [
            f"neurocaas.server.{room}"
            for room in ("jobs", "groups", "uploads", "imports", "notifications", "dropbox", "hardware")
        ],
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
        "USE_I18N": False,
        "LOGGING_CONFIG": None,
        "MIDDLEWARE": [],
    }


def connect(site: Settings) -> None:
    """Set Django up for this site, once per process, and bring its tables up to date."""
    if not django_settings.configured:
        django_settings.configure(**configuration(site.database_url))
        # As django.setup() does, without the URL and HTTP machinery that only a web server needs.
        apps.populate(django_settings.INSTALLED_APPS)
    migrate_once(site)


def migrate_once(site: Settings, *, everything: bool = False) -> None:
    """Apply migrations if this code has more of them than the site has seen; asked at every start, so kept cheap.

    everything: told for the web process, which has more apps than others, so that each keeps a mark of its own.
    """
    folders = [Path(app.path) / "migrations" for app in apps.get_app_configs()]
    known = sorted(f"{one.parts[-3]}/{one.name}" for folder in folders for one in folder.glob("0*.py"))
    newest = hashlib.sha256("\n".join([site.database_url.partition("@")[2], *known]).encode()).hexdigest()
    marker = site.state / ("migrated-fully" if everything else "migrated")
    if marker.is_file() and marker.read_text(encoding="utf-8") == newest:
        return
    from django.core.management import call_command  # slow to import, and seldom needed

    site.run.mkdir(parents=True, exist_ok=True)
    with (site.run / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        call_command("migrate", verbosity=0, interactive=False)
        marker.write_text(newest, encoding="utf-8")


def is_exhausted(error: BaseException | None) -> bool:
    """Whether the error says that all connections of a server's pool were taken for as long as a request may wait."""
    pool = sys.modules.get("psycopg_pool")  # loaded where there is a pool
    return pool is not None and isinstance(error, OperationalError) and isinstance(error.__cause__, pool.PoolTimeout)


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": SQLITE_WAIT_SECONDS,
                "init_command": SQLITE_PRAGMAS,
            },
        }
    if parts.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": None,
        }
    raise Refused(f'database: found "{parts.scheme}:…"; "sqlite" or postgresql://user@host/name is right.')
