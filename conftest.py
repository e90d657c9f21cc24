"""What every test of this repository shares: no silent skips in CI, and real environments for the analyses' tests."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of what is tested. What CI sets besides stays.
settings.register_profile("patient", settings.default, deadline=None)
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent
ANALYSIS_VENVS = ROOT / ".tools" / "analysis-venvs"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


# A test that skips itself guards nothing and looks green, so in CI it fails and says what it missed.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Tests marked xfail also report "skipped"; they ran and have their reason, so they stay."""
    if not IN_CI or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, which CI does not allow. {reason}"


@pytest.fixture(scope="module")
def analysis_python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of a virtual environment with exactly what the requesting test's analysis locks.

    The analysis is the nearest folder above the test file that holds a requirements.lock. Its
    requirements-test.txt, if there is one, joins without moving a locked version. Kept between runs.
    """
    analysis = next(folder for folder in request.path.parents if (folder / "requirements.lock").is_file())
    return _virtual_environment(analysis)


@pytest.fixture(scope="session")
def python_of() -> Callable[[str], Path]:
    """The same for an analysis by name, for tests of what consists of several."""
    return lambda name: _virtual_environment(ROOT / "analyses" / name)


def _virtual_environment(analysis: Path) -> Path:
    lock, extra = analysis / "requirements.lock", analysis / "requirements-test.txt"
    version = _python_version(analysis)
    parts = [version, platform.machine(), lock.read_text(), extra.read_text() if extra.is_file() else ""]
    venv = ANALYSIS_VENVS / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    complete = venv / "complete"
    ANALYSIS_VENVS.mkdir(parents=True, exist_ok=True)
    # Several pytest workers ask at once; one builds, the others wait for it.
    with venv.with_suffix(".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(venv, ignore_errors=True)
            _uv("venv", "--python", version, str(venv))
            python = str(venv / "bin" / "python")
            _uv("pip", "install", "--python", python, "--require-hashes", "-r", str(lock))
            if extra.is_file():
                _uv("pip", "install", "--python", python, "-r", str(extra), "--constraint", str(lock))
            complete.touch()
    return venv / "bin" / "python"


def _python_version(analysis: Path) -> str:
    """What the blueprint asks for; 3.11 while there is no blueprint yet."""
    blueprint = analysis / "blueprint.json"
    if not blueprint.is_file():
        return "3.11"
    return str(json.loads(blueprint.read_text()).get("environment", {}).get("python", "3.11"))


def _uv(*arguments: str) -> None:
    import uv  # only these tests need it, and others start faster without

    variables = {**os.environ, "UV_COMPILE_BYTECODE": "1"}
    variables.pop("VIRTUAL_ENV", None)
    answer = subprocess.run(
        [uv.find_uv_bin(), "--quiet", *arguments], capture_output=True, text=True, env=variables, check=False
    )
    if answer.returncode != 0:
        pytest.fail(f"uv {' '.join(arguments)} ended with exit code {answer.returncode}:\n{answer.stderr}")
