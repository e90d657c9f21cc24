"""The stores that all pass the same tests; S3 is moto's server, on a port of its own."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from neurocaas.storage import Store, open_store
from support.s3 import BUCKET


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store."""
    if request.param == "file":
        return open_store((tmp_path / "a störe" / "with 100% room").as_uri())
    request.getfixturevalue("s3_endpoint")
    return open_store(f"s3://{BUCKET}/sites/{uuid4().hex}")


@pytest.fixture
def only_small_files() -> Iterator[None]:
    """The system refuses to let any file of this process grow beyond 1 MiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
