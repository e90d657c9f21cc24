from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from neurocaas.server.site import Site


@pytest.fixture
def declared_site(any_database: str, tmp_path: Path, analysis: Path) -> Site:
    """A site with one analysis, `mean`, whose database is this test's."""
    from neurocaas.blueprint import SourceRepo
    from neurocaas.server.site import Site
    from neurocaas.settings import read_settings

    SourceRepo(tmp_path / "site").create(analysis.parent, {"name": "test"})
    return Site(read_settings(tmp_path / "site"))
