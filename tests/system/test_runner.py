"""The runner with real sandboxes: every way an attempt can go, and what is left afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.bell import Bell
from neurocaas.errors import StorageFailed
from neurocaas.reasons import Reason
from neurocaas.runner import staging
from neurocaas.runner.document import ExitRecord
from neurocaas.sandbox.watching import descendants
from neurocaas.storage import keys
from neurocaas.storage.files import FileStore

if TYPE_CHECKING:
    from conftest import Bench

GIB = 1024**3
REPOSITORY = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# The contract


def test_a_workflow_in_bash_gets_everything_the_contract_promises(own_bench: Bench) -> None:
    recording = own_bench.file("recordings/día 1 movie.npy", "frames")
    script = """
    cat "$NEUROCAAS_INPUT_RECORDING" "$NEUROCAAS_CONFIG" "$NEUROCAAS_MANIFEST"; echo
    echo $NEUROCAAS_SEED $NEUROCAAS_CORES $NEUROCAAS_MEMORY_MIB "[$NEUROCAAS_GPUS]" $OMP_NUM_THREADS $MKL_NUM_THREADS
    echo $PWD $HOME $TMPDIR $LANG $PATH; touch /tmp/here; ls "$NEUROCAAS_SCRATCH"
    echo out > "$NEUROCAAS_RESULTS/out.txt"; echo state > "$NEUROCAAS_CHECKPOINT/state"
    """
    running = own_bench.start(
        script,
        inputs=[own_bench.input("recording", recording)],
        environment={"path": ["/env/bin"], "variables": {"PYTHONHASHSEED": "0"}},
    )
    assert running.wait() == 0
    record, log = running.record(), running.log()
    assert record.succeeded, record.message
    assert 'frames{"rank": 3}{"inputs": {"recording"' in log
    assert "/job/inputs/recording/día 1 movie.npy" in log
    assert "7 1 256 [] 1 1\n/job/scratch /job/scratch /job/scratch C.UTF-8 /env/bin:/usr/bin:/bin\nhere\n" in log


def test_results_are_stored_with_their_digests_and_belong_to_the_platform(own_bench: Bench) -> None:
    running = own_bench.start(
        """mkdir -p "$NEUROCAAS_RESULTS/figures/a b"; cd "$NEUROCAAS_RESULTS"
        echo one > one.txt; echo two > "figures/a b/ü.png"; ln -s one.txt latest; ln -s /job/results/figures all
        chmod 000 one.txt "figures/a b" figures; chmod 4777 one.txt 2>/dev/null; chmod 000 one.txt""",
        outputs=[{"name": "figures", "pattern": "figures/**/*.png"}, {"name": "one", "pattern": "*.txt"}],
    )
    assert running.wait() == 0
    record = running.record()
    assert record.succeeded, record.message
    assert [one.path for one in record.outputs] == ["figures/a b/ü.png", "one.txt"]
    assert record.outputs[1].sha256 == hashlib.sha256(b"one\n").hexdigest()
    stored = running.store.local_path(keys.result(running.document.prefix, "one.txt"))
    assert stored is not None
    assert stored.read_text() == "one\n"
    assert stored.stat().st_mode & 0o7777 == 0o644
    assert stored.stat().st_uid == os.geteuid()


def test_progress_messages_and_the_failure_sentence_are_told(own_bench: Bench) -> None:
    running = own_bench.start(
        """report() { echo "$*" > "$NEUROCAAS_REPORT"; }
        report progress 0.25 reading; sleep 2; report nonsense; report progress 7; report message nearly; sleep 1.2
        report failure The movie has no frames.; exit 3"""
    )
    assert running.wait() == 0
    record = running.record()
    assert (record.reason, record.exit_code) == (Reason.WORKFLOW_FAILED, 3)
    assert record.message == "The movie has no frames."
    told = [(segment["progress"], segment["message"]) for segment in running.segments()]
    assert (0.25, "reading") in told
    assert told[-1] == (1.0, "nearly")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo almost; echo; exit 9", "The workflow ended with exit code 9; its last line was: almost"),
        ("exit 2", "The workflow ended with exit code 2 and printed nothing."),
        ("kill -SEGV $$", "The workflow was ended by signal 11 (SIGSEGV) and printed nothing."),
    ],
)
def test_a_failure_without_a_sentence_is_told_by_its_end(own_bench: Bench, script: str, message: str) -> None:
    assert own_bench.perform(script).message == message


def test_a_check_may_reject_the_dataset_before_the_workflow_starts(own_bench: Bench) -> None:
    check = ["/bin/bash", "-c", 'echo "failure The file is no movie." > "$NEUROCAAS_REPORT"; exit 1']
    running = own_bench.start("echo the workflow ran", workflow={"checks": [["/bin/true"], check]})
    assert running.wait() == 0
    assert running.record().reason is Reason.INPUT_REJECTED
    assert running.record().message == "The file is no movie."
    assert "the workflow ran" not in running.log()


def test_the_workflow_runs_on_its_cores(own_bench: Bench) -> None:
    core = max(os.sched_getaffinity(0))
    running = own_bench.start("nproc; grep Cpus_allowed_list /proc/self/status", resources={"cores": [core]})
    assert running.wait() == 0
    assert re.fullmatch(rf"1\nCpus_allowed_list:\t{core}\n", running.log())


@pytest.mark.parametrize(("language", "program"), [("bash", "/bin/bash"), ("python", "/usr/bin/python3")])
def test_the_contract_pages_examples_run(own_bench: Bench, language: str, program: str) -> None:
    page = (REPOSITORY / "docs" / "reference" / "workflow-contract.md").read_text()
    example = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)[0]
    command = {"command": [program, "/workflow/workflow.sh"]}
    good = own_bench.input("recording", own_bench.file("good.npy", "frames"))
    running = own_bench.start(example, workflow=command, inputs=[good])
    assert running.wait() == 0
    assert running.record().succeeded, running.record().message
    assert running.segments()[-1]["progress"] == 1.0
    empty = own_bench.input("recording", own_bench.file("empty.npy"))
    assert own_bench.perform(example, workflow=command, inputs=[empty]).message == "The recording is empty."


# Ends that somebody else decides


def test_the_time_limit_ends_the_workflow_and_all_its_children(own_bench: Bench) -> None:
    running = own_bench.start("(setsid sleep 77 &) ; sleep 77", timeout_seconds=3)
    running.until(lambda: len(running.processes()) >= 3)
    children = running.processes()
    assert running.wait() == 0
    assert running.record().reason is Reason.TIMED_OUT
    assert running.record().message == "The workflow was stopped at its time limit of 3 seconds."
    assert not any(map(alive, children))


def test_what_a_workflow_leaves_in_the_background_ends_with_it(own_bench: Bench) -> None:
    running = own_bench.start("(setsid sleep 78 >/dev/null 2>&1 &) ; sleep 2")
    running.until(lambda: len(running.processes()) >= 3)
    children = running.processes()
    assert running.wait() == 0
    assert running.record().succeeded
    assert not any(map(alive, children))


def test_a_signal_cancels(own_bench: Bench) -> None:
    running = own_bench.start("echo begun; sleep 79")
    running.until(lambda: "begun" in running.log())
    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    assert running.record().reason is Reason.CANCELLED


def test_an_attempt_without_its_lease_never_begins(own_bench: Bench) -> None:
    running = own_bench.start('touch "$NEUROCAAS_RESULTS/ran"', leased=False)
    assert running.wait() == 0
    assert running.record().reason is Reason.CANCELLED
    assert not running.segments()


def test_an_attempt_that_loses_its_lease_stops(own_bench: Bench) -> None:
    running = own_bench.start("echo begun; sleep 80", heartbeat_seconds=0.1)
    running.until(lambda: "begun" in running.log())
    running.store.delete(keys.lease(running.document.prefix))
    assert running.wait() == 0
    assert running.record().reason is Reason.CANCELLED


def test_killing_the_runner_kills_the_whole_sandbox(bench: Bench) -> None:
    running = bench.start("(setsid sleep 81 &); sleep 81 & sleep 81")
    running.until(lambda: len(running.processes()) >= 5)
    inside = running.processes()
    running.signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    running.until(lambda: not any(map(alive, inside)))
    assert running.store.head(keys.exit_record(running.document.prefix)) is None


def test_an_attempt_is_performed_once_however_often_it_is_launched(own_bench: Bench) -> None:
    document = own_bench.document('echo ran; sleep 0.5; echo x > "$NEUROCAAS_RESULTS/x"')
    own_bench.lease(document)
    first = own_bench.launch(document)
    first.until(lambda: "ran" in first.log())
    assert own_bench.launch(document).wait() == 0
    assert first.wait() == 0
    assert own_bench.launch(document).wait() == 0
    assert first.log() == "ran\n"
    assert first.record().succeeded


# Inputs


def test_a_changed_input_is_refused_before_the_workflow_starts(own_bench: Bench) -> None:
    path = own_bench.file("in.npy", "before")
    given = own_bench.input("movie", path)
    path.write_text("after, and longer")
    record = own_bench.perform("true", inputs=[given])
    assert record.reason is Reason.INPUT_CHANGED
    assert str(path) in record.message


def test_an_input_changed_on_the_way_fails_the_attempt(own_bench: Bench) -> None:
    path = own_bench.file("in.npy", "before")
    running = own_bench.start("echo reading; sleep 4", inputs=[own_bench.input("movie", path)])
    running.until(lambda: "reading" in running.log())
    path.write_text("after, and longer")
    assert running.wait() == 0
    assert running.record().reason is Reason.INPUT_CHANGED
    assert not running.record().outputs


def test_a_missing_input_is_named(own_bench: Bench) -> None:
    path = own_bench.file("in.npy", "before")
    given = own_bench.input("movie", path)
    path.unlink()
    record = own_bench.perform("true", inputs=[given])
    assert record.reason is Reason.INPUT_MISSING
    assert str(path) in record.message


def test_inputs_come_from_the_store_by_key(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    own_bench.store.put("uploads/one.txt", b"one ")
    own_bench.store.put("uploads/set/deep/two.txt", b"two")
    one = {"name": "one", "form": "file", "filename": "one.txt", "key": "uploads/one.txt"}
    both = {"name": "set", "form": "folder", "filename": "set", "key": "uploads/set"}
    inputs = [{**given, "sha256": "0" * 64, "size_bytes": 4} for given in (one, both)]
    script = 'cat "$NEUROCAAS_INPUT_ONE" "$NEUROCAAS_INPUT_SET/deep/two.txt"'
    mounted = own_bench.start(script, inputs=inputs)
    assert mounted.wait() == 0
    assert mounted.log() == "one two"
    # As from a store that is not on this machine.
    monkeypatch.setattr(FileStore, "local_path", lambda self, key: None)
    fetched = own_bench.start(script, inputs=inputs)
    assert fetched.wait() == 0
    assert fetched.log() == "one two"
    missing = own_bench.perform(script, inputs=[{**inputs[0], "key": "uploads/none.txt"}])
    assert missing.reason is Reason.INPUT_MISSING


def test_ten_gigabytes_are_mounted_not_copied(own_bench: Bench) -> None:
    path = own_bench.file("large.npy")
    os.truncate(path, 10 * GIB)
    given = own_bench.input("movie", own_bench.file("small.npy", "x"))
    given |= {"path": str(path), "filename": "large.npy", "fingerprint": None}
    before = time.monotonic()
    record = own_bench.perform('test $(stat -c %s "$NEUROCAAS_INPUT_MOVIE") = 10737418240', inputs=[given])
    assert record.succeeded, record.message
    print(f"10 GB staged, workflow and all: {time.monotonic() - before:.3f} s")


# Results


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ('ln -s /etc/passwd "$NEUROCAAS_RESULTS/passwd"', "'passwd' is a link that leads out"),
        ('ln -s ../../secret "$NEUROCAAS_RESULTS/up"', "'up' is a link that leads out"),
        ('mkfifo "$NEUROCAAS_RESULTS/pipe"', "'pipe' is no file"),
        ('touch "$NEUROCAAS_RESULTS/a"$\'\\n\'"b"', "a name that can't be kept"),
    ],
)
def test_what_can_be_no_result_is_refused_by_name(own_bench: Bench, script: str, named: str) -> None:
    record = own_bench.perform(script)
    assert record.reason is Reason.WORKFLOW_FAILED
    assert named in record.message


def test_a_missing_output_fails_an_attempt_that_ended_well(own_bench: Bench) -> None:
    record = own_bench.perform(
        'echo > "$NEUROCAAS_RESULTS/extra"',
        outputs=[{"name": "components", "pattern": "components.npy"}, {"name": "b", "pattern": "b", "required": False}],
    )
    assert record.reason is Reason.RESULTS_MISSING
    assert "'components' (components.npy)" in record.message


def test_results_that_cannot_be_stored_are_told(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr(FileStore, "put_file", full)
    record = own_bench.perform('echo > "$NEUROCAAS_RESULTS/x"')
    assert record.reason is Reason.RESULTS_NOT_STORED
    assert "The disk is full." in record.message


def test_when_nothing_can_be_stored_the_record_stays_in_the_work_folder(
    own_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: FileStore, key: str, data: bytes) -> bool:
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr("neurocaas.runner.attempt.FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(FileStore, "create", full)
    running = own_bench.start("true")
    assert running.wait() == 8
    record = ExitRecord.model_validate_json((running.document.work / "exit.json").read_bytes())
    assert record.succeeded


def test_a_fault_of_the_platform_is_a_record_and_a_traceback(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(staging, "lay_out", broken)
    running = own_bench.start("true")
    assert running.wait() == 0
    assert running.record().reason is Reason.INTERNAL
    assert "no such luck" in (running.document.work / "runner.log").read_text()


def test_a_vanished_environment_is_told(own_bench: Bench) -> None:
    mounts = [{"source": str(own_bench.folder / "gone"), "target": "/env"}]
    assert own_bench.perform("true", environment={"mounts": mounts}).reason is Reason.ENVIRONMENT_BROKEN


def test_only_the_documents_stay_in_the_work_folder(own_bench: Bench) -> None:
    running = own_bench.start('mkdir -m 000 "$NEUROCAAS_SCRATCH/closed"; echo > "$NEUROCAAS_RESULTS/x"; exit 1')
    assert running.wait() == 0
    left = {path.name for path in running.document.work.iterdir()}
    assert left == {"attempt.json", "runner.json", "runner.lock", "runner.log"}


# The log


def test_segments_are_stored_while_the_workflow_runs_and_the_bell_rings(own_bench: Bench) -> None:
    bell = Bell(own_bench.folder / "bell")
    own_bench.own(own_bench.folder / "bell")
    running = own_bench.start("echo first; sleep 82", bell=str(bell.path))
    before = time.monotonic()
    assert "log job/1/1" in bell.wait(30)
    assert time.monotonic() - before < 30
    assert running.log() == "first\n"
    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    assert bell.drain()[-1] == "exit job/1/1"
    bell.close()


def test_a_silent_workflow_has_a_heartbeat(own_bench: Bench) -> None:
    running = own_bench.start("sleep 83", heartbeat_seconds=0.05)
    running.until(lambda: len(running.segments()) >= 3)
    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    numbers = [segment["sequence"] for segment in running.segments()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert running.record().log.segments == numbers[-1]


def test_a_gigabyte_of_output_fills_no_memory_and_keeps_its_last_lines(own_bench: Bench) -> None:
    script = "echo the first line; head -c 1G /dev/zero | tr '\\0' 'x'; echo; echo the last line"
    before = time.monotonic()
    running = own_bench.start(script)
    peak_kib = 0
    while not running.store.head(keys.exit_record(running.document.prefix)):
        status = Path(f"/proc/{running.pid}/status").read_text()
        peak_kib = max(peak_kib, *map(int, re.findall(r"VmHWM:\s+(\d+)", status)), 0)
        time.sleep(0.02)
    assert running.wait() == 0
    wall_seconds = time.monotonic() - before
    record, log = running.record(), running.log()
    assert record.succeeded
    assert log.startswith("the first line\nxxx")
    assert log.endswith("x\nthe last line\n")
    marker = re.search(r"\n\[... ([\d,]+) bytes of output were dropped here ...\]\n", log)
    assert marker
    assert int(marker[1].replace(",", "")) == record.log.dropped_bytes
    total = len("the first line\n") + GIB + len("\nthe last line\n")
    assert len(log) - len(marker[0]) + record.log.dropped_bytes == total
    print(f"1 GiB of output: {wall_seconds:.2f} s, {GIB / wall_seconds / 1e6:.0f} MB/s, peak {peak_kib / 1024:.0f} MiB")
    # The runner is a fork of the test's process, so what that holds is counted too.
    base_kib = int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0])
    assert peak_kib - base_kib < 64 * 1024


# The nursery


class Nursery:
    """The warm parent as the local provider starts it."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "neurocaas.runner.nursery", str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self.line.settimeout(30)

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.line.recv(65536))
        return message

    def request(self, document: Path) -> dict[str, Any]:
        self.line.send(str(document).encode())
        return self.message()


@contextmanager
def nursery() -> Iterator[Nursery]:
    started = Nursery()
    try:
        yield started
    finally:
        started.line.close()
        assert started.process.wait(30) == 0


def test_the_nursery_forks_runners_and_tells_their_end(own_bench: Bench) -> None:
    document = own_bench.document('echo x > "$NEUROCAAS_RESULTS/x"')
    own_bench.lease(document)
    with nursery() as warm:
        reply = warm.request(document)
        assert reply["path"] == str(document)
        assert warm.message() == {"gone": reply["pid"], "status": 0}
    record = ExitRecord.model_validate_json(own_bench.store.get(keys.exit_record(keys.attempt("lab", "job", 1, 1))))
    assert record.succeeded
    said = json.loads((document.parent / "runner.json").read_text())
    assert (said["pid"], said["start_ticks"]) == (reply["pid"], reply["start_ticks"])


def test_runners_live_on_when_the_manager_and_the_nursery_are_gone(own_bench: Bench) -> None:
    document = own_bench.document('sleep 1; echo x > "$NEUROCAAS_RESULTS/x"')
    own_bench.lease(document)
    with nursery() as warm:
        warm.request(document)
    key = keys.exit_record(keys.attempt("lab", "job", 1, 1))
    deadline = time.monotonic() + 30
    while own_bench.store.head(key) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ExitRecord.model_validate_json(own_bench.store.get(key)).succeeded


def test_the_cage_of_a_killed_runner_is_removed(own_bench: Bench) -> None:
    document = own_bench.document("sleep 84")
    own_bench.lease(document)
    with nursery() as warm:
        pid = warm.request(document)["pid"]
        deadline = time.monotonic() + 30
        while len(descendants(pid)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        assert warm.message() == {"gone": pid, "status": -9}
        while list(Path("/sys/fs/cgroup").glob(f"**/neurocaas/*:{pid}-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_document_that_is_none_ends_its_runner_and_not_the_nursery(own_bench: Bench) -> None:
    wrong = own_bench.file("wrong.json", "{}")
    with nursery() as warm:
        reply = warm.request(wrong)
        assert warm.message() == {"gone": reply["pid"], "status": 2}
        assert warm.request(wrong)["pid"] != reply["pid"]
        assert "gone" in warm.message()


# A store elsewhere


def test_the_heart_beats_while_inputs_are_fetched_and_results_are_stored(
    own_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving gigabytes takes minutes, and whoever is silent for one is taken for lost."""
    get_file, put_file = FileStore.get_file, FileStore.put_file
    beats: dict[str, int] = {"get": 2, "put": 4}

    def until_it_has_beaten(store: FileStore, times: int) -> None:
        deadline = time.monotonic() + 30
        while sum("/log/" in entry.key for entry in store.list("groups")) < times:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def slow_get(store: FileStore, key: str, path: Path) -> None:
        until_it_has_beaten(store, beats["get"])
        get_file(store, key, path)

    def slow_put(store: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        until_it_has_beaten(store, beats["put"])
        put_file(store, path, key, move=move)

    monkeypatch.setattr(FileStore, "get_file", slow_get)
    monkeypatch.setattr(FileStore, "put_file", slow_put)
    monkeypatch.setattr(FileStore, "local_path", lambda store, key: None)
    key = keys.content_file("lab", "c1")
    own_bench.store.put(key, b"data")
    given = {"name": "data", "form": "file", "filename": "d", "key": key, "sha256": "0" * 64, "size_bytes": 4}
    record = own_bench.perform(
        'cp /job/inputs/data/d "$NEUROCAAS_RESULTS/copy"',
        inputs=[given],
        outputs=[{"name": "copy", "pattern": "copy"}],
        heartbeat_seconds=0.05,
    )
    assert record.succeeded, record.message
    assert record.log.segments >= beats["put"]


def test_a_runner_that_stores_its_results_can_be_cancelled(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    put_file = FileStore.put_file

    def hanging(store: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        store.delete(keys.lease(key.partition("/results/")[0]))
        time.sleep(60)
        put_file(store, path, key, move=move)

    monkeypatch.setattr(FileStore, "put_file", hanging)
    running = own_bench.start(
        'echo 1 > "$NEUROCAAS_RESULTS/one"', outputs=[{"name": "one", "pattern": "one"}], heartbeat_seconds=0.05
    )
    assert running.wait(20) == 0
    assert running.record().reason is Reason.CANCELLED
