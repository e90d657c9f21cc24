"""A widefield recording through the website: from landmarks to the exploration of a 3 x 3 sweep."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
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
    browser: Browser, folder: Path, place: tuple[str, Mailbox], record_property: Callable[[str, object], None]
) -> None:
    url, mail = place
    recording = recorded(folder / "recording")
    # What turns and slides while one waits is drawn by a core that the analyses need.
    with person(browser, url, accept_downloads=True, reduced_motion="reduce") as ada:
        join(ada, mail)
        visit = Visit(who=ada, recording=recording, config=QUICK)
        visit.align()
        visit.sweep()
        job = visit.submit()
        visit.explore(job)
        visit.compare()
        visit.ask_again(job, threshold=70)
        visit.fetch(job, folder / "results")
        assert ada.faults == []
    [folder_of_one] = (folder / "results").rglob("*max_components=16,*loc_thresh=75*/locanmf")
    found = recording.likeness(folder_of_one)
    record_property("figures", f"correlation with what was planted: {found}")
    assert set(found) == set(recording.truth["regions"])
    assert np.median(list(found.values())) > 0.9
