"""tools/system_packages.py: installs what it may, else says one sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[3] / "tools" / "system_packages.py"


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The tool, on a machine that lacks only the package `widget` and has an apt-get."""
    spec = importlib.util.spec_from_file_location("system_packages", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PURPOSES", {"demo": {"widget": (tmp_path / "widget").exists}})
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(sys, "argv", ["system_packages.py", "demo"])
    return module


def test_one_sentence_names_the_command_when_nobody_may_install(
    packages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "administrator", lambda: None)
    with pytest.raises(SystemExit) as caught:
        packages.main()
    sentence = str(caught.value)
    assert "sudo apt-get update && sudo apt-get install -y --no-install-recommends widget" in sentence
    assert "\n" not in sentence


def test_package_lists_are_updated_only_after_a_failure(
    packages: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def apt_get(prefix: list[str], arguments: list[str]) -> subprocess.CompletedProcess[str]:
        asked.append(arguments[0])
        found = arguments[0] == "install" and "update" in asked
        if found:
            (tmp_path / "widget").touch()
        return subprocess.CompletedProcess(arguments, 0 if found or arguments[0] == "update" else 100, stdout="")

    monkeypatch.setattr(packages, "administrator", list)
    monkeypatch.setattr(packages, "apt_get", apt_get)
    packages.main()
    assert asked == ["install", "update", "install"]
    packages.main()
    assert asked == ["install", "update", "install"], "what is there is not installed again"


def test_a_failed_installation_shows_the_words_of_apt_get(
    packages: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "administrator", list)
    monkeypatch.setattr(
        packages, "apt_get", lambda prefix, words: subprocess.CompletedProcess(words, 100, stdout="E: no space left\n")
    )
    with pytest.raises(SystemExit, match="apt-get could not install widget"):
        packages.main()
    assert "no space left" in capsys.readouterr().err
