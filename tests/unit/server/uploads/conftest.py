from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.uploads import Client, Lab


@pytest.fixture
def lab(any_database: str, tmp_path: Path) -> Lab:
    """A group with a store on disk, on each database."""
    from support.uploads import file_lab

    return file_lab(tmp_path)


@pytest.fixture
def sqlite_lab(sqlite_database: str, tmp_path: Path) -> Lab:
    """The same, for what does not depend on the database."""
    from support.uploads import file_lab

    return file_lab(tmp_path)


@pytest.fixture
def client(sqlite_lab: Lab) -> Iterator[Client]:
    """A tus client of a real server for `sqlite_lab`."""
    from support.uploads import served

    with served(sqlite_lab) as client:
        yield client
