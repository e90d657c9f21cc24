"""Unit tests that start a server beside a database are thorough: `make check` leaves them to `make test`."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SERVERS = {"aws", "s3_endpoint"}  # the fixtures that start one


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.thorough)
