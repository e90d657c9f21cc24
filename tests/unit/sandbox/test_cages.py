from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocaas.errors import Unavailable
from neurocaas.sandbox import Limits, cage_kinds, choose_cage, watching
from neurocaas.sandbox.cgroup_v1 import CONTROLLERS, SLICE, CgroupV1, counter, owned
from neurocaas.sandbox.cgroup_v2 import CageV2, CgroupV2
from neurocaas.sandbox.systemd_scope import ScopeCage, SystemdScope, scope_command
from neurocaas.sandbox.watching import Watching, WatchingCage

LIMITS = Limits(memory_bytes=1 << 30, processes=64)


def test_some_kind_always_works_and_describes_itself_in_a_sentence() -> None:
    assert choose_cage() in cage_kinds()
    assert all(kind.describe().endswith(".") for kind in cage_kinds())


def test_the_scope_command_sets_every_limit() -> None:
    assert " ".join(scope_command("a1", LIMITS)) == (
        "systemd-run --user --scope --quiet --collect --unit=neurocaas-a1 -p MemoryMax=1073741824 "
        "-p MemorySwapMax=0 -p OOMPolicy=kill -p TasksMax=64 --"
    )


def test_a_scope_without_its_manager_does_not_work_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert not SystemdScope().works()
    cage = SystemdScope().create("a1", LIMITS)
    cage.started(os.getpid())
    assert isinstance(cage, ScopeCage)
    assert cage.members() == []
    cage.remove()


# cgroup v1, on a folder that stands for the hierarchy


@pytest.fixture
def hierarchy(tmp_path: Path) -> Path:
    for controller in CONTROLLERS:
        (tmp_path / controller).mkdir()
    return tmp_path


def control_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each new cgroup hold its control files, as the kernel would."""
    made = Path.mkdir

    def mkdir(path: Path, *arguments: object, **named: object) -> None:
        made(path, *arguments, **named)  # type: ignore[arg-type]
        for name in ("memory.limit_in_bytes", "memory.max", "memory.swap.max", "memory.oom.group", "pids.max"):
            (path / name).touch()
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (path / name).touch()

    monkeypatch.setattr(Path, "mkdir", mkdir)


def test_cgroup_v1_writes_the_limits_and_reads_the_usage(hierarchy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control_files(monkeypatch)
    cage = CgroupV1(root=hierarchy).create("a1", LIMITS)
    memory, pids, cpu = (hierarchy / name / SLICE / owned("a1") for name in CONTROLLERS)
    assert (memory / "memory.limit_in_bytes").read_text() == str(1 << 30)
    assert (pids / "pids.max").read_text() == "64"
    (cpu / "cpuacct.usage").write_text("1500000000\n")
    (memory / "memory.usage_in_bytes").write_text("10\n")
    (memory / "memory.max_usage_in_bytes").write_text("20\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    (pids / "pids.events").write_text("max 0\n")
    usage = cage.usage()
    assert (usage.cpu_seconds, usage.memory_bytes, usage.peak_memory_bytes) == (1.5, 10, 20)
    assert usage.oom_killed
    assert not usage.too_many_processes


def test_cgroup_v1_that_may_not_be_written_does_not_work(tmp_path: Path) -> None:
    kind = CgroupV1(root=tmp_path / "none")
    assert not kind.works()
    with pytest.raises(Unavailable, match="cgroup v1"):
        kind.create("a1", LIMITS)


def test_cgroup_v2_hands_the_controllers_down_and_writes_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    control_files(monkeypatch)
    cage = CgroupV2(root=tmp_path).create("a1", LIMITS)
    folder = tmp_path / SLICE / owned("a1")
    assert (tmp_path / SLICE / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (folder / "memory.max").read_text() == str(1 << 30)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "memory.oom.group").read_text() == "1"
    assert (folder / "pids.max").read_text() == "64"
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (folder / "memory.current").write_text("30\n")
    (folder / "memory.events").write_text("oom 1\noom_kill 1\n")
    (folder / "pids.events").write_text("max 3\n")
    usage = cage.usage()
    assert (usage.cpu_seconds, usage.memory_bytes, usage.peak_memory_bytes) == (2.5, 30, 30)
    assert usage.oom_killed
    assert usage.too_many_processes


def test_a_machine_without_cgroup_v2_is_told(tmp_path: Path) -> None:
    assert not CgroupV2(root=tmp_path).works()


def test_usage_of_a_cage_that_is_gone_is_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 1000000\n")
    cage = CageV2(folder=str(tmp_path))
    before = cage.usage()
    (tmp_path / "cpu.stat").unlink()
    assert cage.usage() == before


def test_cages_of_dead_owners_go_and_those_of_the_living_stay(
    hierarchy: Path, family: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = owned("a1")
    for name in (ours, f"a1:{family.pid}-1", "a1:4194304-77", "without an owner"):
        for controller in CONTROLLERS:
            (hierarchy / controller / SLICE / name).mkdir(parents=True)
    assert CgroupV1(root=hierarchy).remove_stale() == 3
    assert [path.name for path in (hierarchy / "memory" / SLICE).iterdir()] == [ours]


def test_a_counter_is_found_by_its_whole_name() -> None:
    assert counter("oom 3\noom_kill 7\n", "oom_kill") == 7
    assert counter("", "max") == 0


# Watching


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with three children."""
    shell = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & sleep 60 & sleep 60 & wait"], start_new_session=True)
    deadline = time.monotonic() + 60
    while len(watching.descendants(shell.pid)) < 3:
        assert time.monotonic() < deadline
    yield shell
    shell.kill()
    shell.wait()


def test_watching_sees_all_descendants_and_kills_them(family: subprocess.Popen[bytes]) -> None:
    cage = Watching().create("a1", Limits(memory_bytes=1 << 30, processes=64))
    cage.started(family.pid)
    assert len(cage.members()) == 3
    usage = cage.usage()
    assert usage.processes == 3
    assert 0 < usage.memory_bytes < 1 << 24
    assert not usage.oom_killed
    assert not usage.too_many_processes
    cage.kill()
    assert family.wait(60) == 0


def test_watching_notices_too_many_processes(family: subprocess.Popen[bytes]) -> None:
    cage = WatchingCage(limits=Limits(processes=2))
    cage.started(family.pid)
    assert cage.process_limit == 3
    assert cage.usage().too_many_processes


def test_watching_counts_shared_pages_once_before_it_kills(
    family: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cage = WatchingCage(limits=Limits(memory_bytes=1))
    cage.started(family.pid)
    monkeypatch.setattr(watching, "_exact_memory", lambda inside: 0)
    assert not cage.usage().oom_killed
    monkeypatch.undo()
    assert cage.usage().oom_killed
