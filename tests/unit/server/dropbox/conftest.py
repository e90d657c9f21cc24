from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.dropbox import Dropped


@pytest.fixture
def dropped(any_database: str, tmp_path: Path, analysis: Path) -> Dropped:
    """A drop-box in a folder, on each database."""
    from support.dropbox import make_dropped

    return make_dropped(tmp_path, analysis)


@pytest.fixture
def box(sqlite_database: str, tmp_path: Path, analysis: Path) -> Dropped:
    """The same, for what does not depend on the database."""
    from support.dropbox import make_dropped

    return make_dropped(tmp_path, analysis)


@pytest.fixture
def make_box(
    sqlite_template: Path, point_django_at: Callable[[str], None], tmp_path: Path, analysis: Path
) -> Callable[[], Dropped]:
    """Makes one after the other, each with a database of its own."""
    from support.dropbox import make_dropped

    numbers = count()

    def make() -> Dropped:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        shutil.copyfile(sqlite_template, folder / "test.sqlite3")
        point_django_at(f"sqlite:///{folder / 'test.sqlite3'}")
        return make_dropped(folder, analysis)

    return make
