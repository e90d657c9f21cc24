from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.roles import Roles


@pytest.fixture
def numbers(tmp_path: Path) -> Callable[..., list[str]]:
    """Write small .npy files and return their paths."""

    def write(count: int, folder: str = "data") -> list[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = [tmp_path / folder / f"recording-{index}.npy" for index in range(count)]
        for index, path in enumerate(paths):
            path.write_bytes(b"\x93NUMPY" + bytes([index]))
        return [str(path) for path in paths]

    return write


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    folder = tmp_path / "bundled" / "mean"
    folder.mkdir(parents=True)
    document = {
        "name": "mean",
        "title": "Mean",
        "summary": "The mean.",
        "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
        "workflow": {"command": ["python", "/workflow/workflow.py"], "files": ["workflow.py"]},
        "inputs": {
            "matrix": {"title": "Matrix", "kinds": [".npy", ".csv", ".mp4"], "max_gib": "0.001"},
            "mask": {"title": "Mask", "kinds": [".npy"], "required": False},
        },
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"components": {"type": "integer", "default": 3, "minimum": 1, "description": "How many."}},
        },
        "limits": {"timeout_minutes": 60, "attempts": 3, "max_cost_dollars": "100"},
    }
    (folder / "blueprint.json").write_text(json.dumps(document))
    (folder / "requirements.lock").write_text("")
    (folder / "workflow.py").write_text("print(1)\n")
    return folder


@pytest.fixture
def pool_of_one(
    postgresql_server: str, postgresql_template: str, point_django_at: Callable[[str], None]
) -> Iterator[None]:
    """A database on PostgreSQL behind a pool of one connection, for which nobody waits long."""
    import psycopg
    from django.db import connections

    from neurocaas.server.serving import configuration

    name = f"pooled_{os.getpid()}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{postgresql_template}"')
        point_django_at(f"{postgresql_server}/{name}")
        pooled = configuration._for_many_threads(connections.databases["default"])
        pooled["OPTIONS"]["pool"] |= {"max_size": 1}
        connections.databases["default"] = pooled
        connections["default"].ensure_connection()  # made in peace: what is waited for is one that is taken
        connections["default"].pool.timeout = 0.2  # type: ignore[attr-defined]
        connections["default"].close()
        yield
        connections["default"].close()
        connections["default"].close_pool()  # type: ignore[attr-defined]
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def site_of_roles(
    sqlite_template: Path, point_django_at: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Roles:
    """Made once: it takes seconds."""
    from support.roles import make_roles

    folder = tmp_path_factory.mktemp("roles")
    return make_roles(folder, sqlite_template, point_django_at)


@pytest.fixture(scope="module")
def roles(site_of_roles: Roles, point_django_at: Callable[[str], None]) -> Iterator[Roles]:
    """A site with somebody in each role and something of each kind, served by this process; no manager runs."""
    from django.db import connections

    from neurocaas.server.jobs import daemon

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(daemon, "wake", lambda *_: None)
        site_of_roles.begin(point_django_at)
        yield site_of_roles
    connections["default"].close()
