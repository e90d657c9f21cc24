"""The pages that come with analyses: what each needs of the site's page it has a copy of, as the reference shows it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(ROOT.glob("analyses/*/pages/*.html"))
COPIED = re.compile(r"^ *// Begins what .*?^ *// Ends what was copied\.\n", re.DOTALL | re.MULTILINE)


def copied(path: Path) -> str:
    found = COPIED.findall(path.read_text(encoding="utf-8"))
    assert len(found) == 1, path
    return textwrap.dedent(found[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.parent.name}-{page.stem}")
def test_every_page_speaks_and_reads_in_the_words_of_the_reference(page: Path) -> None:
    assert copied(page) == copied(ROOT / "docs" / "reference" / "pages.md")


def test_there_are_pages_to_compare() -> None:
    assert len(PAGES) >= 3
