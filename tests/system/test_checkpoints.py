"""A runner is killed in the middle; the next attempt goes on from the last checkpoint, to the same result."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.runner.checkpoint import last_checkpoint
from neurocaas.runner.document import ExitRecord
from neurocaas.storage import Store, keys, open_store
from neurocaas.storage.files import FileStore
from support.s3 import BUCKET
from support.sites import TestSite, kill, until

if TYPE_CHECKING:
    from conftest import Bench, Running

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = 60
COUNTING = """
set -e
cd "$NEUROCAAS_CHECKPOINT"
step=0 sum=7
if [ -e state ]; then read step sum < state; fi
echo "begins after step $step"
while [ $step -lt $STEPS ]; do
    sleep 0.05
    step=$((step + 1)) sum=$(((sum * 31 + step) % 1000003))
    echo "step $step"
    echo "$step $sum" > state.part
    mv state.part state
    if [ $((step % 5)) = 0 ]; then echo checkpoint > "$NEUROCAAS_REPORT"; fi
done
echo $sum > "$NEUROCAAS_RESULTS/sum.txt"
""".replace("$STEPS", str(STEPS))


def expected_sum() -> int:
    total = 7
    for step in range(1, STEPS + 1):
        total = (total * 31 + step) % 1000003
    return total


def number_of(checkpoint: str | None) -> int:
    return int(checkpoint.rpartition("/")[2]) if checkpoint else 0


# A whole site


def test_a_job_whose_runner_is_killed_goes_on_from_its_last_checkpoint(local_site: TestSite) -> None:
    local_site.analysis(
        "count",
        COUNTING,
        outputs={"sum": {"kind": "txt", "pattern": "sum.txt"}},
        workflow={"command": ["bash", "/workflow/workflow.sh"], "files": ["workflow.sh"], "checkpoints": True},
    )
    state = local_site.root / ".neurocaas"
    store = open_store((state / "store").as_uri())
    [data] = local_site.data(1)
    undisturbed = local_site("submit", "count", data).out.strip()
    local_site.wait(undisturbed)
    job = local_site("submit", "count", data, "--fresh").out.strip()
    first, second = (keys.attempt("local", job, 0, number) for number in (1, 2))
    until(lambda: number_of(last_checkpoint(store, [first])) >= 2)
    [runner] = state.glob("work/*/runner.json")
    kill(json.loads(runner.read_text())["pid"])

    described = local_site.wait(job)
    [stack] = described["stacks"]
    assert described["status"] == "succeeded"
    assert [one["status"] for one in stack["attempts"]] == ["failed", "succeeded"]
    log = _text(store, second)
    number, attempt = re.findall(r"\[The workflow goes on from checkpoint (\d+) of attempt (\S+),", log)[0]
    resumed_after = int(re.findall(r"begins after step (\d+)", log)[0])
    assert attempt == f"{job}/0/1"
    assert int(number) >= 2
    assert resumed_after >= 10
    assert re.findall(r"^step (\d+)$", log, re.MULTILINE) == [str(n) for n in range(resumed_after + 1, STEPS + 1)]
    sums = []
    for one in (undisturbed, job):
        local_site("results", one, "--out", local_site.folder / one)
        sums += [path.read_bytes() for path in (local_site.folder / one).rglob("sum.txt")]
    assert sums == [f"{expected_sum()}\n".encode()] * 2
    # The stack has ended, so nobody needs them any more.
    until(lambda: not [one.key for one in store.list("groups") if "/checkpoints/" in one.key])
    print(f"went on after step {resumed_after} of {STEPS}")


def _text(store: Store, prefix: str) -> str:
    return "".join(json.loads(store.get(one.key))["text"] for one in store.list(keys.log(prefix)))


# The runner alone, started by root and by an ordinary user


def start(bench: Bench, script: str, **changes: Any) -> Running:
    return bench.start(script, workflow={"checkpoints": True}, **changes)


def checkpoint_of(running: Running) -> str | None:
    return last_checkpoint(running.store, [running.document.prefix])


def test_the_next_attempt_finds_what_the_killed_one_left(bench: Bench) -> None:
    first = start(bench, COUNTING)
    first.until(lambda: number_of(checkpoint_of(first)) >= 2)
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = start(bench, COUNTING, checkpoint=checkpoint_of(first))
    assert second.wait() == 0
    record, log = second.record(), second.log()
    assert record.succeeded, record.message
    assert "[The workflow goes on from checkpoint " in log
    assert "begins after step 0" not in log
    assert second.store.get(keys.result(second.document.prefix, "sum.txt")) == f"{expected_sum()}\n".encode()
    assert {one.name for one in second.document.work.iterdir()} == {
        "attempt.json",
        "runner.json",
        "runner.lock",
        "runner.log",
    }


def test_files_in_folders_come_back_and_may_be_written(bench: Bench) -> None:
    first = start(
        bench,
        """cd "$NEUROCAAS_CHECKPOINT"; mkdir -p "step 1.part/ü"; echo one > "step 1.part/ü/a"; mv "step 1.part" "step 1"
        echo two > b; chmod 400 b; ln -s /etc/passwd link; mkfifo pipe
        echo checkpoint > "$NEUROCAAS_REPORT"; sleep 60""",
    )
    first.until(lambda: checkpoint_of(first) is not None)
    first.signal(signal.SIGKILL)
    first.wait()
    second = start(
        bench,
        """cd "$NEUROCAAS_CHECKPOINT"; find . -type f -o -type l -o -type p | sort; cat "step 1/ü/a" b
        echo more >> b; rm -r "step 1"; echo new > c""",
        checkpoint=checkpoint_of(first),
    )
    assert second.wait() == 0
    assert second.record().succeeded, second.record().message
    assert second.log().splitlines()[1:] == ["./b", "./step 1/ü/a", "one", "two"]


def test_a_damaged_checkpoint_is_not_used_and_the_workflow_begins_anew(own_bench: Bench) -> None:
    first = start(own_bench, COUNTING)
    first.until(lambda: checkpoint_of(first) is not None)
    first.signal(signal.SIGKILL)
    first.wait()
    checkpoint = checkpoint_of(first)
    assert checkpoint is not None
    own_bench.store.put(keys.checkpoint_file(checkpoint, 0), b"50 12345\n")
    second = start(own_bench, COUNTING, checkpoint=checkpoint)
    assert second.wait() == 0
    assert second.log().startswith("[The workflow begins anew: its last checkpoint can't be used, because 'state' is")
    assert "begins after step 0\n" in second.log()
    assert second.store.get(keys.result(second.document.prefix, "sum.txt")) == f"{expected_sum()}\n".encode()


def test_a_checkpoint_that_was_replaced_meanwhile_gives_way_to_its_successor(own_bench: Bench) -> None:
    # A runner that was taken for lost goes on until it misses its lease.
    first = start(own_bench, COUNTING)
    first.until(lambda: number_of(checkpoint_of(first)) >= 2)
    first.signal(signal.SIGKILL)
    first.wait()
    gone = keys.checkpoint(first.document.prefix, 1)
    second = start(own_bench, COUNTING, checkpoint=gone)
    assert second.wait() == 0
    assert f"goes on from checkpoint {number_of(checkpoint_of(first))} of" in second.log()


def test_without_the_blueprints_word_nothing_is_kept_or_used(own_bench: Bench) -> None:
    first = start(own_bench, 'echo 1 > "$NEUROCAAS_CHECKPOINT/x"; echo checkpoint > "$NEUROCAAS_REPORT"; sleep 60')
    first.until(lambda: checkpoint_of(first) is not None)
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    second = own_bench.start(
        'ls "$NEUROCAAS_CHECKPOINT"; echo checkpoint > "$NEUROCAAS_REPORT"; sleep 0.3; echo done',
        checkpoint=checkpoint_of(first),
    )
    assert second.wait() == 0
    assert second.log() == "done\n"
    assert checkpoint_of(second) is None


def test_a_store_that_takes_none_does_not_end_the_workflow(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    put_file = FileStore.put_file

    def full(self: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        if "/checkpoints/" in key:
            raise OSError(28, "No space left on device")
        put_file(self, path, key, move=move)

    monkeypatch.setattr(FileStore, "put_file", full)
    running = start(own_bench, COUNTING)
    assert running.wait() == 0
    assert running.record().succeeded, running.record().message
    assert running.log().count("A checkpoint could not be stored: the disk is full") == 1
    assert "[A checkpoint could not be stored" not in running.record().message


def test_the_heart_beats_while_a_checkpoint_is_stored(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    put_file = FileStore.put_file

    def slow(self: FileStore, path: Path, key: str, *, move: bool = False) -> None:
        """As slow as five heartbeats; for ever, if there are none."""
        log = keys.log(key.partition("/checkpoints/")[0])
        before = len(list(self.list(log)))
        until(lambda: len(list(self.list(log))) >= before + 5)
        put_file(self, path, key, move=move)

    monkeypatch.setattr(FileStore, "put_file", slow)
    running = start(
        own_bench,
        'echo 1 > "$NEUROCAAS_CHECKPOINT/state"; echo checkpoint > "$NEUROCAAS_REPORT"; sleep 60',
        heartbeat_seconds=0.05,
    )
    running.until(lambda: checkpoint_of(running) is not None)
    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    assert running.log() == ""


def test_the_contract_pages_example_goes_on_where_it_was(own_bench: Bench) -> None:
    page = (REPOSITORY / "docs" / "reference" / "workflow-contract.md").read_text()
    example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[-1]
    workflow = {"command": ["/usr/bin/python3", "/workflow/workflow.sh"], "checkpoints": True}
    undisturbed = own_bench.start(example, workflow=workflow)
    assert undisturbed.wait() == 0
    stopping = example.replace("        save(step + 1, total)\n", "        save(step + 1, total)\n        input()\n")
    stopping = "import time\n" + stopping.replace("input()", "time.sleep(60)")
    first = own_bench.start(stopping, workflow=workflow)
    first.until(lambda: checkpoint_of(first) is not None)
    first.signal(signal.SIGKILL)
    first.wait()
    second = own_bench.start(example, workflow=workflow, checkpoint=checkpoint_of(first))
    assert second.wait() == 0
    assert "Going on from step 100." in second.log()
    totals = [one.store.get(keys.result(one.document.prefix, "total.txt")) for one in (undisturbed, second)]
    assert totals[0] == totals[1]


# Killed between the files and the manifest, on every kind of store

# A runner that is killed where its second checkpoint has all its files and its manifest is about to be written.
DIES = """
import os, signal, sys
from neurocaas.runner.runner import main
from neurocaas.storage.files import FileStore
from neurocaas.storage.s3 import S3Store
for store in (FileStore, S3Store):
    def put(self, key, data, put=store.put):
        if key.endswith("/checkpoints/00000002/manifest.json"):
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, key, data)
    store.put = put
sys.exit(main(sys.argv[1]))
"""
RUNS = "import sys; from neurocaas.runner.runner import main; sys.exit(main(sys.argv[1]))"


@pytest.fixture(params=["file", "s3"])
def make_store(request: pytest.FixtureRequest, own_bench: Bench) -> Callable[[], Store]:
    """Opens a store of this test's own, as a runner on another machine would."""
    if request.param == "file":
        url = own_bench.store.url
    else:
        request.getfixturevalue("s3_endpoint")
        url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    return lambda: open_store(url)


def test_a_checkpoint_without_its_manifest_is_never_used(own_bench: Bench, make_store: Callable[[], Store]) -> None:
    store = make_store()

    def run(program: str, **changes: Any) -> tuple[str, int]:
        # Not forked from here: a process that has used a bucket has no children that do.
        path = own_bench.document(COUNTING, store=store.url, workflow={"checkpoints": True}, **changes)
        document = json.loads(path.read_text())
        store.put(keys.lease(document["prefix"]), json.dumps({"token": document["token"]}).encode())
        done = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=90, env=dict(os.environ)
        )
        assert "Traceback" not in done.stderr, done.stderr
        return document["prefix"], done.returncode

    first, code = run(DIES)
    assert code == -signal.SIGKILL
    partial = [one.key for one in store.list(keys.checkpoint(first, 2))]
    assert partial == [keys.checkpoint_file(keys.checkpoint(first, 2), 0)]
    checkpoint = last_checkpoint(store, [first])
    assert checkpoint == keys.checkpoint(first, 1)
    second, code = run(RUNS, checkpoint=checkpoint)
    assert code == 0
    record = ExitRecord.model_validate_json(store.get(keys.exit_record(second)))
    assert record.succeeded, record.message
    log = _text(store, second)
    assert "goes on from checkpoint 1 of attempt" in log
    resumed_after = int(re.findall(r"begins after step (\d+)", log)[0])
    assert 5 <= resumed_after < STEPS
    assert len(re.findall(r"^step \d+$", log, re.MULTILINE)) == STEPS - resumed_after
    assert store.get(keys.result(second, "sum.txt")) == f"{expected_sum()}\n".encode()
