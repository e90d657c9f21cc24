"""Fixtures that make sites."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from support.sites import TestSite, make_site
from support.website import Website


@pytest.fixture(scope="session")
def shared_environments() -> Iterator[Path]:
    """One environment store for all sites of this test process: the interpreter is copied once, not for every test."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-environments-"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, shared_environments: Path) -> Iterator[TestSite]:
    """A site of this test's own: on SQLite, and again on PostgreSQL."""
    variables = {}
    if request.param == "postgresql":
        server: str = request.getfixturevalue("postgresql_server")
        template: str = request.getfixturevalue("new_site_on_postgresql")
        name = f"site_{uuid.uuid4().hex}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        variables["NEUROCAAS_DATABASE_URL"] = f"{server}/{name}"
    yield from _site(shared_environments, variables)


@pytest.fixture(scope="session")
def new_site_on_postgresql(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database that `init` makes there, which sites get copies of. Returns its name."""
    name, folder = f"new_{uuid.uuid4().hex}", tmp_path_factory.mktemp("postgresql-site")
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    site = TestSite(folder / "site", folder, {"NEUROCAAS_DATABASE_URL": f"{postgresql_server}/{name}"})
    site("init", site.root)
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> Callable[[], list[str]]:
    """Makes an empty database at each call. Returns the option that names it: none for a site's own SQLite."""
    if request.param == "sqlite":
        return list
    server: str = request.getfixturevalue("postgresql_server")

    def make() -> list[str]:
        name = f"new_{uuid.uuid4().hex}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
        return ["--database", f"{server}/{name}"]

    return make


@pytest.fixture
def local_site(shared_environments: Path) -> Iterator[TestSite]:
    """A site of this test's own, for what does not depend on the database."""
    yield from _site(shared_environments, {})


def _site(environments: Path, variables: dict[str, str]) -> Iterator[TestSite]:
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-site-"))
    folder.chmod(0o755)
    site = make_site(folder, environments, **variables)
    yield site
    site.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def website(tmp_path: Path, any_database: str, analysis: Path, monkeypatch: pytest.MonkeyPatch) -> Website:
    """A site served by this process, for Django's test client; no manager runs, and `wakes` says when one would."""
    from django.core.cache import cache

    from neurocaas.server.jobs import daemon
    from support.website import make_website

    cache.clear()
    made = make_website(tmp_path, any_database, analysis)
    monkeypatch.setattr(daemon, "wake", lambda settings, message="wake": made.wakes.append(message))
    return made
