from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurocaas.errors import Unavailable
from neurocaas.sandbox import engine
from neurocaas.sandbox.engine import find_engine, last_words

PODMAN = {"host": {"security": {"rootless": False}, "cgroupManager": "cgroupfs"}, "version": {"Version": "4.3.1"}}
ROOTLESS = {"host": {"security": {"rootless": True}, "cgroupManager": "cgroupfs"}, "version": {"Version": "5.0.0"}}
SYSTEMD = {"host": {"security": {"rootless": False}, "cgroupManager": "systemd"}, "version": {"Version": "5.0.0"}}
DOCKER = {"ServerVersion": "27.1", "CgroupDriver": "systemd"}
NO_DAEMON = {"ServerErrors": ["Cannot connect to the Docker daemon. Is it running?"]}

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts programs on an otherwise empty PATH that answer as engines do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    engine._ask.cache_clear()

    def add(name: str, said: object, *, status: int = 0, error: str = "") -> None:
        (tmp_path / f"{name}.json").write_text(json.dumps(said))
        lines = ("#!/bin/sh", f"/bin/cat {tmp_path}/{name}.json", f"echo '{error}' >&2", f"exit {status}")
        (tmp_path / name).write_text("\n".join(lines))
        (tmp_path / name).chmod(0o755)

    yield add
    engine._ask.cache_clear()


def test_the_first_engine_that_is_found_is_taken_unless_one_is_named(install: Install) -> None:
    install("docker", DOCKER)
    assert find_engine().name == "docker"
    install("podman", PODMAN)
    assert find_engine().name == "podman"
    assert find_engine("docker").version == "27.1"


@pytest.mark.parametrize(
    ("said", "own_cgroups", "rootless"), [(PODMAN, True, False), (ROOTLESS, False, True), (SYSTEMD, False, False)]
)
def test_cgroups_are_made_below_ours_only_where_the_engine_lets_itself_be_told(
    install: Install, said: object, own_cgroups: bool, rootless: bool
) -> None:
    install("podman", said)
    found = find_engine("podman")
    assert (found.own_cgroups, found.rootless) == (own_cgroups, rootless)


def test_a_machine_without_an_engine_is_told_what_to_install(install: Install) -> None:
    with pytest.raises(Unavailable, match="podman and docker not on PATH") as refusal:
        find_engine()
    assert "apt-get install podman" in refusal.value.remedy


def test_an_engine_that_does_not_work_is_said_to_be_so_in_its_own_words(install: Install) -> None:
    install("docker", NO_DAEMON)
    with pytest.raises(Unavailable, match=r"docker is on PATH but does not work: Cannot connect .* Is it running\?"):
        find_engine()
    install("podman", {}, status=125, error="Error: no such storage")
    with pytest.raises(Unavailable, match=r"podman is on PATH but does not work: no such storage\."):
        find_engine("podman")


def test_last_words_end_a_sentence() -> None:
    assert last_words("STEP 1\nError: it broke\n\n") == "it broke."
    assert last_words("") == "it said nothing."
