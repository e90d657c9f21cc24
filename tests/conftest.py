"""What tests share: a database of their own, a site of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.aws import as_admin, aws
from support.batch_place import batch_place
from support.batch_site import aws_with_containers, batch_site
from support.containers import containers
from support.engine import engine
from support.fixtures import local_site, new_database, new_site_on_postgresql, shared_environments, site, website
from support.s3 import s3_endpoint
from support.slurm import slurm, slurm_session
from support.slurm_site import nobodys_site, slurm_site, slurm_site_on_s3

__all__ = [
    "as_admin",
    "aws",
    "aws_with_containers",
    "batch_place",
    "batch_site",
    "containers",
    "engine",
    "local_site",
    "new_database",
    "new_site_on_postgresql",
    "nobodys_site",
    "s3_endpoint",
    "shared_environments",
    "site",
    "slurm",
    "slurm_session",
    "slurm_site",
    "slurm_site_on_s3",
    "website",
]  # fixtures, which pytest finds by name


@pytest.fixture(autouse=True)
def _no_site_of_the_person_who_tests(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A test must never find the tester's own site, nor make one in their home."""
    for name in ("NEUROCAAS_SITE", "NEUROCAAS_DATABASE_URL", "NEUROCAAS_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "data-home"))


@pytest.fixture(autouse=True)
def _no_credentials_of_the_test_before() -> None:
    """boto3 keeps those that it found in the environment first for as long as the process runs."""
    if "boto3" in sys.modules:
        sys.modules["boto3"].DEFAULT_SESSION = None  # type: ignore[attr-defined]


def _point_django_at(url: str) -> None:
    """Make Django's only connection one to this database, whose tables are there; set Django up on the first call.

    A process configures Django once, so all tests share the full configuration, which the light one is a part of.
    """
    import django
    from django.conf import settings
    from django.db import connections

    from neurocaas.server.database import configuration

    if not settings.configured:
        settings.configure(**_full_configuration())
        django.setup()
    connections["default"].close()
    wanted = configuration(url)["DATABASES"]
    connections.databases["default"] = connections.configure_settings(wanted)["default"]
    del connections["default"]


def _full_configuration() -> dict[str, Any]:
    from neurocaas.server.serving.configuration import full_configuration
    from neurocaas.settings import Settings, SiteDocument

    root = Path(tempfile.gettempdir()) / "neurocaas-tests"
    site = Settings(root=root, site=SiteDocument(name="tests"), database_url="sqlite:///:memory:", store_url="file:///")
    full = full_configuration(site, "a key for tests")
    served, shared = "servestatic.middleware.ServeStaticMiddleware", "support.static_files.FoundOnce"
    return full | {
        "MIDDLEWARE": [shared if one == served else one for one in full["MIDDLEWARE"]],
        "EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],  # made to be quick
    }


def _migrate(url: str) -> None:
    from django.core.management import call_command
    from django.db import connections

    _point_django_at(url)
    call_command("migrate", verbosity=0, interactive=False)
    connections["default"].close()


@pytest.fixture(scope="session")
def point_django_at() -> Callable[[str], None]:
    """For fixtures that keep a database for longer than a test."""
    return _point_django_at


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables and no rows, which tests copy: migrating takes longer than most of them."""
    path = tmp_path_factory.mktemp("database") / "template.sqlite3"
    _migrate(f"sqlite:///{path}")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    """The same on the PostgreSQL server. Returns its name."""
    import psycopg

    name = f"template_{os.getpid()}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    _migrate(f"{postgresql_server}/{name}")
    return name


@pytest.fixture
def sqlite_database(tmp_path: Path, sqlite_template: Path) -> Iterator[str]:
    """A SQLite database of this test's own, connected. Returns its URL."""
    from django.db import connections

    shutil.copyfile(sqlite_template, tmp_path / "test.sqlite3")
    url = f"sqlite:///{tmp_path / 'test.sqlite3'}"
    _point_django_at(url)
    yield url
    connections["default"].close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The same test on SQLite and on a real PostgreSQL server, empty each time."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_database")
        return
    import psycopg
    from django.db import connections

    server: str = request.getfixturevalue("postgresql_server")
    template: str = request.getfixturevalue("postgresql_template")
    name = f"test_{os.getpid()}_{abs(hash(request.node.name)) % 10**8}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        url = f"{server}/{name}"
        _point_django_at(url)
        yield url
        connections["default"].close()
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of this run's own, on a free port of the loopback. Returns its URL without a database."""
    import socket
    import subprocess

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "").parent]
    programs = found[-1]
    if not (programs / "initdb").exists():
        pytest.fail("PostgreSQL's programs are missing: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-postgresql-"))
    as_postgres: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    initdb = [*as_postgres, programs / "initdb", "--auth=trust", "--username=test", "--no-sync", "-D", data]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [*as_postgres, programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, cwd="/")
    yield f"postgresql://test@127.0.0.1:{port}"
    subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, cwd="/")
    shutil.rmtree(folder, ignore_errors=True)
