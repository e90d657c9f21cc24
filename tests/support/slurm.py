"""A real Slurm cluster of two nodes on this machine, of this test session's own: its daemons, its key, its ports."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.s3 import free_port
from support.sites import kill, until

NODES = ("n1", "n2")
MEMORY_MIB = 4000
NODE_TIMEOUT_SECONDS = 10  # a busy machine may keep a daemon from answering for a while
MARK = "NEUROCAAS_TEST_NODE"  # in the environment of a node's daemon and of its steps' keepers

CONFIGURATION = """
ClusterName=neurocaas-test
SlurmctldHost=localhost
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
SlurmdTimeout={timeout}
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP
PartitionName=one Nodes=n1 MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={hostname} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory={memory_mib}\n"


@dataclass(kw_only=True)
class Cluster:
    """The cluster. Its programs are told by `variables` which one is meant."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def ask(self, *command: str) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | self.variables, check=False, timeout=60
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def start(self) -> None:
        self._configure()
        munge = self.folder / "munge"
        key = munge / "key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o600)
        places = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "pid"}
        places |= {"log-file": munge / "log", "seed-file": munge / "seed"}
        options = [f"--{option}={path}" for option, path in places.items()]
        self._run("munged", "--foreground", "--force", "--num-threads=2", *options)
        until((munge / "socket").exists)
        self._run("slurmctld", "-D")
        for name in NODES:
            self.start_node(name)

    def start_node(self, name: str) -> None:
        """Start the node's daemon and wait until Slurm has the node for jobs."""
        self._run("slurmd", "-D", "-N", name, called=name, **{MARK: f"{self.folder}/{name}"})
        until(lambda: self.node_state(name) in {"idle", "mixed", "allocated"})

    def node_state(self, name: str) -> str:
        done = subprocess.run(
            ["sinfo", "--noheader", f"--nodes={name}", "--format=%T"],
            capture_output=True,
            text=True,
            env=os.environ | self.variables,
            check=False,
        )
        return done.stdout.strip()

    def kill_daemon(self, name: str) -> None:
        """The node's daemon alone: what it started goes on."""
        daemon = self.processes.pop(name)
        daemon.kill()
        daemon.wait()

    def kill_node(self, name: str) -> None:
        """Everything that runs on the node, at once, as when its power fails."""
        self.kill_daemon(name)
        while running := self.on_node(name):
            for pid in running:
                kill(pid)
            time.sleep(0.05)

    def on_node(self, name: str) -> set[int]:
        """The processes of the node's steps: their keepers, and all that descends from them."""
        mark, parents, found = f"{MARK}={self.folder}/{name}".encode(), {}, set()
        daemon = self.processes.get(name)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if stat[0] in b"ZX":
                continue
            parents[int(entry.name)] = int(stat[1])
            if mark in variables or (f"SLURMD_NODENAME={name}".encode() in variables and self._conf in variables):
                found.add(int(entry.name))
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {daemon.pid if daemon else 0}

    def busy(self) -> list[str]:
        """What runs or is being ended, as `squeue` tells of it."""
        return self.ask("squeue", "--noheader", "--array", "--format=%F_%K %T %N").splitlines()

    def jobs(self) -> list[list[str]]:
        """Array, index, state and node of all tasks that Slurm remembers."""
        said = self.ask("squeue", "--noheader", "--array", "--states=all", "--format=%F|%K|%T|%N|%j")
        return [line.split("|") for line in said.splitlines()]

    def stop(self) -> None:
        for name in NODES:
            for pid in self.on_node(name):
                kill(pid)
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def _conf(self) -> bytes:
        return f"SLURM_CONF={self.folder / 'slurm.conf'}".encode()

    def _configure(self) -> None:
        for name in ("munge", "state"):
            (self.folder / name).mkdir(mode=0o755)
        said = CONFIGURATION.format(
            folder=self.folder, port=free_port(), nodes=",".join(NODES), timeout=NODE_TIMEOUT_SECONDS
        )
        for name in NODES:
            said += NODE.format(name=name, hostname=socket.gethostname(), port=free_port(), memory_mib=MEMORY_MIB)
        # Nodes are declared before the partition that has them.
        lines = said.strip().splitlines()
        ordered = sorted(lines, key=lambda line: line.startswith("PartitionName"))
        (self.folder / "slurm.conf").write_text("\n".join(ordered) + "\n")

    def _run(self, program: str, *arguments: str, called: str = "", **variables: str) -> None:
        path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if path is None:
            pytest.fail(f"{program} is missing: apt-get install slurm-wlm munge")
        clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        with (self.folder / f"{called or program}.out").open("ab") as output:
            self.processes[called or program] = subprocess.Popen(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=clean | self.variables | variables,
                cwd="/",
            )


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[Cluster]:
    """The cluster of this test process, started when first wanted and stopped with everything on it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-slurm-"))
    folder.chmod(0o755)
    running = Cluster(folder=folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(slurm_session: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The same with nothing on it and both its nodes up, as this process's own cluster."""
    cluster = slurm_session
    monkeypatch.setenv("SLURM_CONF", cluster.variables["SLURM_CONF"])
    for line in cluster.busy():
        cluster.ask("scancel", "--quiet", line.split()[0])
    for name in NODES:
        if name not in cluster.processes:
            cluster.start_node(name)
    until(lambda: not cluster.busy() and all(cluster.node_state(name) == "idle" for name in NODES))
    return cluster


def nodes_free(cluster: Cluster) -> Callable[[], bool]:
    return lambda: all(cluster.node_state(name) == "idle" for name in NODES)
