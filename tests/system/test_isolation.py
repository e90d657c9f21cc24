"""From inside a workflow: what it must not reach, and what must stop it. Started by root and by an ordinary user."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neurocaas.reasons import Reason

if TYPE_CHECKING:
    from conftest import Bench

ROOT, SOMEBODY = "started by root", 61999
SECRET = "only-for-its-owner"
FORBIDDEN = ["another dataset", "a home", "the password file", "the site key", "the database", "a neighbour's work"]

FORK_BOMB = "for i in $(seq 10000); do sleep 30 & done; wait"
MEMORY_BOMB = """exec /usr/bin/python3 -c '
held = []
for _ in range(20 * 16):
    held.append(bytearray(64 << 20))
    held[-1][::4096] = b"x" * len(held[-1][::4096])
'"""
STORAGE_BOMB = 'for i in 1 2 3 4 5 6; do dd if=/dev/zero of="$NEUROCAAS_RESULTS/$i" bs=1M count=30; sleep 0.4; done'


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_workflow_cannot_read(bench: Bench, what: str) -> None:
    path = {
        "another dataset": bench.file("recordings/other.npy", SECRET),
        "a home": bench.file("home/someone/.ssh/id_ed25519", SECRET),
        "the password file": Path("/etc/shadow"),
        "the site key": bench.file("site/keys/site.pem", SECRET),
        "the database": bench.file("site/neurocaas.sqlite3", SECRET),
        "a neighbour's work": bench.file("work-neighbour/results/partial.npy", SECRET),
    }[what]
    running = bench.start(f'ls -la / /proc/1/root "{path.parent}"; cat /proc/*/environ; cat "{path}"')
    assert running.wait() == 0
    record = running.record()
    assert record.reason is Reason.WORKFLOW_FAILED
    assert "No such file" in record.message
    assert SECRET not in running.log()
    assert "root:" not in running.log()


def test_a_workflow_cannot_see_the_platforms_variables(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    running = bench.start("cat /proc/*/environ; env")
    assert running.wait() == 0
    assert SECRET not in running.log()


@pytest.mark.parametrize(
    "target",
    [
        "/env/bin/tool",
        "/env/new",
        "$NEUROCAAS_INPUT_RECORDING",
        "/job/inputs/recording/new",
        "/proc/sys/kernel/core_pattern",
        "/workflow/workflow.sh",
        "$NEUROCAAS_MANIFEST",
        "$NEUROCAAS_CONFIG",
        "/etc/passwd",
        "/usr/bin/new",
        "/new",
        "/dev/new",
    ],
)
def test_a_workflow_cannot_write(bench: Bench, target: str) -> None:
    tool = bench.file("environment/bin/tool", "as built")
    tool.chmod(0o666)
    recording = bench.file("recordings/a file.npy", "as recorded")
    recording.chmod(0o666)
    record = bench.perform(
        f'echo changed > "{target}"',
        inputs=[bench.input("recording", recording)],
        environment={"mounts": [{"source": str(bench.folder / "environment"), "target": "/env"}]},
    )
    assert record.reason is Reason.WORKFLOW_FAILED
    assert "denied" in record.message or "Read-only" in record.message
    assert tool.read_text() == "as built"
    assert recording.read_text() == "as recorded"


def test_a_workflow_has_no_network_unless_its_blueprint_asks(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]} && echo connected"
        alone = bench.perform(connect)
        allowed = bench.start(connect, workflow={"network": True})
        assert allowed.wait() == 0
    assert alone.reason is Reason.WORKFLOW_FAILED
    assert allowed.record().succeeded
    assert "connected" in allowed.log()


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        (FORK_BOMB, Reason.TOO_MANY_PROCESSES),
        (MEMORY_BOMB, Reason.OUT_OF_MEMORY),
        (STORAGE_BOMB, Reason.OUT_OF_STORAGE),
    ],
    ids=["10,000 processes", "20 GB of memory", "more than its storage"],
)
def test_a_greedy_workflow_is_stopped_and_its_neighbour_goes_on(bench: Bench, bomb: str, reason: Reason) -> None:
    neighbour = bench.start('sleep 2; (sleep 0; echo fine > "$NEUROCAAS_RESULTS/done") & wait')
    greedy = bench.start(bomb)
    assert greedy.wait() == 0
    assert greedy.record().reason is reason, greedy.record().message
    assert not greedy.processes()
    assert neighbour.wait() == 0
    record = neighbour.record()
    assert record.succeeded, record.message
    assert [one.path for one in record.outputs] == ["done"]


@pytest.mark.parametrize(
    "script",
    [
        'dd if=/dev/zero of="$NEUROCAAS_RESULTS/one" bs=1M count=200',
        "dd if=/dev/zero of=/tmp/one bs=1M count=200",
        'truncate -s 10G "$NEUROCAAS_SCRATCH/hole"',
        "for i in $(seq 4); do exec {fd}>/tmp/$i; rm /tmp/$i; head -c 30M /dev/zero >&$fd; done; sleep 30",
    ],
    ids=["one file", "in /tmp", "a file with a hole", "files without a name"],
)
def test_storage_is_limited_however_it_is_used(bench: Bench, script: str) -> None:
    record = bench.perform(script)
    assert record.reason is Reason.OUT_OF_STORAGE, record.message


def test_shared_memory_is_a_part_of_the_memory_limit(bench: Bench) -> None:
    record = bench.perform("dd if=/dev/zero of=/dev/shm/filled bs=1M count=200", resources={"storage_mib": 400})
    assert not record.succeeded
    assert record.reason in {Reason.WORKFLOW_FAILED, Reason.OUT_OF_MEMORY}
    assert record.usage.peak_memory_bytes < 300 << 20


def test_no_process_of_a_workflow_is_root_on_the_host_or_has_a_capability(bench: Bench) -> None:
    running = bench.start("sleep 31.25 & sleep 31.25")
    running.until(lambda: len(_named(running.processes(), "31.25")) == 2)
    for pid in _named(running.processes(), "31.25"):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert "0" not in status["Uid"].split()
        assert "0" not in status["Gid"].split()
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
    running.signal(signal.SIGTERM)
    assert running.wait() == 0


@pytest.mark.parametrize("command", ["unshare --user true", "unshare --user --map-root-user mount -t tmpfs none /mnt"])
def test_a_workflow_cannot_make_a_user_namespace(bench: Bench, command: str) -> None:
    assert bench.perform(command).reason is Reason.WORKFLOW_FAILED


def test_a_set_user_id_program_gives_nothing(bench: Bench) -> None:
    programs = [path for path in ("su", "passwd", "mount") if Path("/usr/bin", path).exists()]
    running = bench.start("grep -E '^(NoNewPrivs|CapBnd)' /proc/self/status; grep ' /usr ' /proc/mounts")
    assert running.wait() == 0
    assert programs
    assert "NoNewPrivs:\t1" in running.log()
    assert "nosuid" in running.log()


def test_a_private_recording_can_be_used_and_stays_as_it_is(bench: Bench) -> None:
    recording = bench.file("private/mine.npy", "mine")
    recording.chmod(0o600)
    recording.parent.chmod(0o700)
    if bench.who == ROOT:
        os.chown(recording, SOMEBODY, SOMEBODY)
        os.chown(recording.parent, SOMEBODY, SOMEBODY)
    running = bench.start('cat "$NEUROCAAS_INPUT_MINE"', inputs=[bench.input("mine", recording)])
    assert running.wait() == 0
    assert running.record().succeeded, running.record().message
    assert running.log() == "mine"
    assert recording.stat().st_mode & 0o777 == 0o600


def _named(pids: list[int], part: str) -> list[int]:
    """Those whose own command line holds `part` as a word, so not the shells around them."""
    found = []
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"sleep") and part.encode() in words:
            found.append(pid)
    return found
