"""The root conftest's rule: under CI a skipped test is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TESTS = """
import pytest

def test_that_passes(): pass

def test_that_skips(): pytest.skip("no widget")

@pytest.mark.xfail(reason="known", strict=True)
def test_that_is_known_to_fail(): assert False
"""


SKIPPED_MODULE = 'import pytest\npytest.importorskip("no_such_module")\n'


def output_of(folder: Path, tests: str, **variables: str) -> str:
    (folder / "test_some.py").write_text(tests)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST") and name != "CI"}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    answer = subprocess.run(
        [*command, str(folder)],
        env={**clean, "PYTHONPATH": str(ROOT), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout


@pytest.mark.thorough
def test_ci_fails_for_a_skipped_test_and_says_why(tmp_path: Path) -> None:
    output = output_of(tmp_path, TESTS, CI="true")
    assert "test_that_skips was skipped, which CI does not allow. Skipped: no widget" in output
    assert "1 failed, 1 passed, 1 xfailed" in output


@pytest.mark.thorough
def test_ci_fails_for_a_skipped_module(tmp_path: Path) -> None:
    output = output_of(tmp_path, SKIPPED_MODULE, CI="true")
    assert "test_some.py was skipped, which CI does not allow" in output
    assert "1 error" in output


@pytest.mark.thorough
def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    assert "1 passed, 1 skipped, 1 xfailed" in output_of(tmp_path, TESTS)
