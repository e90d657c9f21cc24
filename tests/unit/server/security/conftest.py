from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.roles import Roles


@pytest.fixture
def site(roles: Roles) -> Iterator[Roles]:
    """The site of all roles, put back as it was after each test."""
    yield roles
    roles.put_back()
