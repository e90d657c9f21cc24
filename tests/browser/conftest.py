"""A browser, and a site for it. All tests here are one group, so that one worker has the one of each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support.browsing import chromium
from support.fixtures import shared_environments
from support.populated import Populated, populated

__all__ = ["shared_environments"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def lab(shared_environments: Path) -> Iterator[Populated]:
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-browser-"))
    folder.chmod(0o755)
    with populated(folder, shared_environments) as site:
        yield site
    shutil.rmtree(folder, ignore_errors=True)
