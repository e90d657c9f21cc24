from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _django(sqlite_template: Path) -> None:
    """Django set up as the web process has it: what the pages write comes from modules that need it so."""
