"""A widefield recording through the website: from landmarks to the exploration of a 3 x 3 sweep."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support.browsing import person
from support.mail import Mailbox
from support.widefield_recording import QUICK, recorded
from support.widefield_visit import Visit, join, widefield_site


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="neurocaas-widefield-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def place(folder: Path, shared_environments: Path) -> Iterator[tuple[str, Mailbox]]:
    with widefield_site(folder, shared_environments) as site:
        yield site


def test_from_landmarks_to_components_and_a_sweep_of_both_steps(
    browser: Browser, folder: Path, place: tuple[str, Mailbox]
) -> None:
    url, mail = place
    with person(browser, url) as ada:
        join(ada, mail)
        visit = Visit(who=ada, recording=recorded(folder / "recording"), config=QUICK)
        visit.align()
        visit.sweep()
        visit.submit()
        visit.explore()
        visit.compare()
        assert ada.faults == []
