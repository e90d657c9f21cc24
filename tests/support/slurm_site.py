"""A site whose only provider is the test session's Slurm cluster."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sites import TestSite, make_site
from support.slurm import Cluster


@pytest.fixture(scope="module")
def slurm_site(slurm_session: Cluster, shared_environments: Path) -> Iterator[TestSite]:
    """One for all tests of a module."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-slurm-site-"))
    folder.chmod(0o755)
    site = make_site(folder, shared_environments, **slurm_session.variables)
    use_slurm(site)
    yield site
    site.end()
    shutil.rmtree(folder, ignore_errors=True)


def use_slurm(site: TestSite, **settings: object) -> None:
    document = json.loads((site.root / "site.json").read_text())
    document |= {"providers": ["slurm"], "slurm": settings}
    (site.root / "site.json").write_text(json.dumps(document, indent=1))
