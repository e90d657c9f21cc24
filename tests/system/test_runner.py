"""The runner with real sandboxes: every way an attempt can go, and what is left afterwards."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neurocaas.bell import Bell
from neurocaas.reasons import Reason
from neurocaas.storage import keys

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
