"""The watchdog itself, run with a clock, a Docker and a shutdown that the test holds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from neurocaas.bank.aws.infrastructure.machines import watchdog

MINUTE = 60


class Instance:
    """A machine whose uptime and tasks are files, and whose shutdown writes one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "watchdog.sh"
        self.script.write_text(watchdog())
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.program("docker", f'echo "$@" >>{folder}/asked; cat {folder}/tasks')
        self.program("shutdown", f'echo "$@" >{folder}/ended')
        self.tasks()

    def program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def tasks(self, *containers: str) -> None:
        (self.folder / "tasks").write_text("".join(f"{one}\n" for one in containers))

    def looks(self, *, minute: float, unclaimed: int = 30, lifetime: int = 600) -> bool:
        """Run the watchdog at this minute after boot. Returns whether it ended the instance."""
        (self.folder / "uptime").write_text(f"{minute * MINUTE:.2f} 12.34\n")
        (self.folder / "ended").unlink(missing_ok=True)
        subprocess.run(
            ["/bin/sh", self.script],
            check=True,
            env={
                "PATH": f"{self.programs}:/usr/bin:/bin",
                "UPTIME_FILE": str(self.folder / "uptime"),
                "STATE_FOLDER": str(self.folder / "state"),
                "UNCLAIMED_MINUTES": str(unclaimed),
                "LIFETIME_MINUTES": str(lifetime),
            },
            capture_output=True,
            timeout=30,
        )
        ended = self.folder / "ended"
        assert not ended.exists() or ended.read_text() == "-h now\n"
        return ended.exists()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def test_an_instance_that_never_gets_a_task_is_ended(instance: Instance) -> None:
    assert [instance.looks(minute=one) for one in (1, 15, 29.9, 30)] == [False, False, False, True]


def test_a_task_claims_it_and_the_minutes_count_from_its_end(instance: Instance) -> None:
    instance.tasks("4d1b")
    assert not any(instance.looks(minute=one) for one in (2, 100, 200))
    instance.tasks()
    assert not instance.looks(minute=229)
    assert instance.looks(minute=230)


def test_one_that_gets_task_after_task_lives(instance: Instance) -> None:
    for start in range(0, 400, 40):
        instance.tasks("4d1b")
        assert not instance.looks(minute=start)
        instance.tasks()
        assert not instance.looks(minute=start + 20)


def test_even_a_busy_one_is_ended_when_it_is_too_old(instance: Instance) -> None:
    instance.tasks("4d1b")
    assert not instance.looks(minute=599)
    assert instance.looks(minute=600)


def test_the_agents_own_container_is_no_task(instance: Instance) -> None:
    instance.looks(minute=1)
    assert (instance.folder / "asked").read_text() == "ps --quiet --filter label=com.amazonaws.ecs.task-arn\n"


def test_a_docker_that_does_not_answer_runs_no_task(instance: Instance) -> None:
    instance.tasks("4d1b")
    assert not instance.looks(minute=10)
    instance.program("docker", "echo half an answer; exit 1")
    assert not instance.looks(minute=39)
    assert instance.looks(minute=40)


def test_damaged_memory_of_the_last_task_does_not_keep_it_alive(instance: Instance) -> None:
    (instance.folder / "state").mkdir()
    (instance.folder / "state" / "claimed").write_text("")
    assert instance.looks(minute=31)
