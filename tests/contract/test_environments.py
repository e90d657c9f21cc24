"""What every kind of environment promises: built once, found again, kept whole, and the same view for a workflow."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from neurocaas.environment import Environment, EnvironmentSpec, EnvironmentStore, ImageSource
from neurocaas.environment import tree as trees
from neurocaas.errors import NotFound
from neurocaas.reasons import Reason
from support.attempts import AttemptBench, wait_until
from support.engine import BASE, podman

CONTAINERFILE = f"""\
FROM {BASE}
COPY greeting.txt /opt/greeting.txt
RUN echo 'echo made in the build' > /usr/local/bin/made && chmod +x /usr/local/bin/made
ENV PATH=/usr/local/bin:/usr/bin:/bin GREETING=hello
"""
SPECS = {
    "python": EnvironmentSpec(lock=b""),
    "image": EnvironmentSpec(
        kind="image",
        image=ImageSource(containerfile=CONTAINERFILE.encode(), files=(("greeting.txt", b"hello\n"),)),
    ),
}


@dataclass
class Kind:
    """One kind of environment, and a store in which one is built."""

    name: str
    spec: EnvironmentSpec
    store: EnvironmentStore
    environment: Environment

    def harm(self, environment: Environment) -> None:
        """Take away what the environment consists of, behind the store's back."""
        if self.name == "image":
            podman("rmi", "--force", environment.image)
            return
        place = environment.mounts[-1].source / "pyvenv.cfg"
        place.chmod(0o644)
        place.write_text("something else")

    def is_left(self, environment: Environment) -> bool:
        """Whether anything of it still takes room."""
        if self.name == "image":
            return environment.image in podman("images", "--quiet", "--no-trunc")
        return environment.mounts[-1].source.exists()


# The engine has one storage for all tests, so one worker has the engine.
@pytest.fixture(scope="module", params=["python", pytest.param("image", marks=pytest.mark.xdist_group("engine"))])
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    engine = request.getfixturevalue("engine") if request.param == "image" else ""
    root = tmp_path_factory.mktemp("environments")
    store = EnvironmentStore(root, engine=engine)
    spec = SPECS[request.param]
    yield Kind(request.param, spec, store, store.build(spec))
    store.gc(set(), timedelta())
    trees.remove(root)


@pytest.fixture
def bench(kind: Kind) -> Iterator[AttemptBench]:
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-attempts-"))
    folder.chmod(0o755)
    yield AttemptBench(folder, kind.environment)
    shutil.rmtree(folder)


# The store


def test_it_is_built_once_and_found_again(kind: Kind) -> None:
    said: list[str] = []
    again = kind.store.build(kind.spec, progress=said.append)
    assert again == kind.environment == kind.store.find(kind.spec) == kind.store.get(kind.environment.digest)
    assert said == []
    assert [one.digest for one in kind.store.list()] == [kind.environment.digest]
    assert (kind.environment.kind, kind.store.verify(kind.environment.digest)) == (kind.name, [])


def test_the_same_request_gives_the_same_digest_in_another_store(kind: Kind, tmp_path: Path) -> None:
    store = EnvironmentStore(tmp_path / "store", engine=kind.environment.engine)
    assert store.build(kind.spec).digest == kind.environment.digest
    trees.remove(tmp_path / "store")


def test_one_that_is_damaged_is_seen_not_handed_out_and_built_anew(kind: Kind) -> None:
    kind.harm(kind.environment)
    assert kind.store.verify(kind.environment.digest) != []
    said: list[str] = []
    assert kind.store.find(kind.spec, progress=said.append) is None
    assert len(said) == 1
    again = kind.store.build(kind.spec)
    assert again.digest == kind.environment.digest
    assert kind.store.verify(again.digest) == []


def test_cleaning_spares_what_is_kept_and_leaves_nothing_of_what_is_not(kind: Kind, tmp_path: Path) -> None:
    store = EnvironmentStore(tmp_path / "store", engine=kind.environment.engine)
    built = store.build(kind.spec)
    assert [one.what for one in store.gc({built.digest}, timedelta()) if one.what == "environment"] == []
    assert store.find(kind.spec) is not None
    assert "environment" in [one.what for one in store.gc(set(), timedelta())]
    assert not kind.is_left(built)
    assert store.find(kind.spec) is None
    with pytest.raises(NotFound):
        store.verify(built.digest)
    assert kind.store.build(kind.spec).digest == built.digest


# What a workflow sees


def test_a_workflow_gets_everything_the_contract_promises(bench: AttemptBench) -> None:
    script = """
    cat "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_CONFIG" "$NEUROCAAS_MANIFEST"; echo
    echo $NEUROCAAS_SEED $NEUROCAAS_CORES $NEUROCAAS_MEMORY_MIB "[$NEUROCAAS_GPUS]" $OMP_NUM_THREADS
    echo $PWD $HOME $TMPDIR $LANG; touch /tmp/here; ls "$NEUROCAAS_SCRATCH"; ls /workflow
    echo out > "$NEUROCAAS_RESULTS/out.txt"; echo state > "$NEUROCAAS_CHECKPOINT/state"
    """
    record, log = bench.perform(
        script, files={"día 1, movie.npy": "frames"}, outputs=[{"name": "out", "pattern": "out.txt"}]
    )
    assert record.succeeded, (record.message, log)
    assert 'frames{"rank": 3}{"inputs": {"data"' in log
    assert "/job/inputs/data/día 1, movie.npy" in log
    assert "7 1 256 [] 1\n/job/scratch /job/scratch /job/scratch C.UTF-8\nhere\nworkflow.sh\n" in log
    assert [one.path for one in record.outputs] == ["out.txt"]
    assert record.usage.cpu_seconds > 0
    assert record.usage.peak_memory_bytes > 0


def test_a_workflow_can_write_its_own_folders_only(bench: AttemptBench) -> None:
    places = ("/x", "/etc/x", "/usr/x", "/job/x", "/workflow/x", "/workflow/workflow.sh", "/job/inputs/data/d.txt")
    attempt = "(echo x > $place) 2>/dev/null && echo wrote $place"
    script = f"for place in {' '.join(places)} /dev/x /run/x; do {attempt}; done; true"
    record, log = bench.perform(script, files={"d.txt": "data"})
    assert record.succeeded, record.message
    assert log == ""


def test_a_workflow_is_nobody_of_this_machine_alone_and_without_a_network(bench: AttemptBench) -> None:
    script = """
    id -u; id -g; id -un; grep -E 'Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs' /proc/self/status | sort -u
    ls /sys/class/net 2>/dev/null || tail -n +3 /proc/net/dev | cut -d: -f1
    ls -d /proc/[0-9]* | wc -l; ls MARK 2>/dev/null; hostname
    (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo wrote core_pattern
    unshare --user true 2>/dev/null && echo made a user namespace; true
    """
    record, log = bench.perform(script.replace("MARK", __file__))
    assert record.succeeded, record.message
    lines = log.split()
    uid = str(60001 if os.geteuid() == 0 else 1000)
    assert lines[:3] == [uid, uid, "workflow"]
    assert lines[3:13] == [
        "CapAmb:", "0000000000000000", "CapBnd:", "0000000000000000", "CapEff:", "0000000000000000",
        "CapPrm:", "0000000000000000", "NoNewPrivs:", "1",
    ]  # fmt: skip
    assert lines[13] == "lo"
    assert int(lines[14]) < 10
    assert lines[15:] == ["instance"]


def test_a_workflow_that_asked_for_a_network_has_one(bench: AttemptBench) -> None:
    script = "tail -n +3 /proc/net/dev | cut -d: -f1 | grep -v lo | head -n 1 | wc -l"
    record, log = bench.perform(script, workflow={"network": True})
    assert record.succeeded, record.message
    assert log == "1\n"


def test_what_a_workflow_reports_is_told(bench: AttemptBench) -> None:
    script = 'echo progress 0.5 reading > "$NEUROCAAS_REPORT"; echo failure No frames. > "$NEUROCAAS_REPORT"; exit 3'
    record, _ = bench.perform(script)
    assert (record.reason, record.exit_code, record.message) == (Reason.WORKFLOW_FAILED, 3, "No frames.")


def test_a_check_may_reject_the_dataset_before_the_workflow_starts(bench: AttemptBench) -> None:
    record, log = bench.perform("echo it ran", workflow={"checks": [["/bin/true"], ["/bin/false"]]})
    assert record.reason is Reason.INPUT_REJECTED
    assert "it ran" not in log


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("bash -c 'held=$(head -c 400000000 /dev/zero | tr \"\\0\" x)'; exit 1", Reason.OUT_OF_MEMORY),
        ("sleep 300 & sleep 300", Reason.TIMED_OUT),
        ("for i in $(seq 200); do sleep 300 & done; wait", Reason.TOO_MANY_PROCESSES),
        ('head -c 80000000 /dev/zero > "$NEUROCAAS_RESULTS/big"', Reason.OUT_OF_STORAGE),
        ("kill -SEGV $$", Reason.WORKFLOW_FAILED),
        ("no-such-program", Reason.WORKFLOW_FAILED),
    ],
)
def test_every_limit_and_failure_has_its_reason(bench: AttemptBench, script: str, reason: Reason) -> None:
    record, log = bench.perform(script, timeout_seconds=5 if reason is Reason.TIMED_OUT else 50)
    assert record.reason is reason, (record.message, log)


def test_the_signal_that_ended_a_workflow_is_told(bench: AttemptBench) -> None:
    assert bench.perform("kill -SEGV $$")[0].signal == signal.SIGSEGV


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_nothing_of_a_workflow_outlives_its_runner(bench: AttemptBench, how: str) -> None:
    mark = f"{os.getpid()}.{os.urandom(4).hex()}"
    attempt = bench.start(f"exec -a {mark} sleep 300 & echo started; wait")
    wait_until(lambda: running(mark))
    getattr(attempt, how)()
    if how == "cancel":
        assert attempt.wait().reason is Reason.CANCELLED
    wait_until(lambda: not running(mark))


def running(mark: str) -> bool:
    """Whether a process of that name is on this machine, in whatever namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes().startswith(mark.encode()):
                    return True
            except OSError:
                continue
    return False
