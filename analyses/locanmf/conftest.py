"""What locanmf's tests share: a process that analyses, the sample, and what the whole workflow makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .testing import LocaNmf, Outcome, Sample, generate, run_workflow, write_sample


@pytest.fixture(scope="session")
def locanmf(python_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocaNmf]:
    worker = LocaNmf(python_of("locanmf"), tmp_path_factory.mktemp("locanmf"))
    yield worker
    worker.end()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("sample"), generate.SEED)


@pytest.fixture(scope="session")
def found(python_of: Callable[[str], Path], sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The sample analysed by the whole workflow, once for all tests that look at it."""
    return run_workflow(python_of("locanmf"), tmp_path_factory.mktemp("found"), sample.inputs, **sample.config)
