from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from neurocaas.bank.slurm.script import MARGIN_SECONDS, RUNNER_MIB, Performed, Shape, batch_script
from neurocaas.blueprint import Need

NEED = Need(vcpus=3, memory_mib=1000, storage_mib=64, gpus=0)


def perform(script: str, index: int) -> int:
    variables = {"PATH": "/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": str(index)}
    return subprocess.run(["bash", "-s"], input=script, text=True, env=variables, check=False, timeout=20).returncode


def python(folder: Path, body: str) -> Path:
    """What is run instead of an interpreter."""
    path = folder / "a python"
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    return path


def test_each_task_performs_its_own_document(tmp_path: Path) -> None:
    performed = []
    for index in range(3):
        work = tmp_path / f"it's {index}"
        work.mkdir()
        performed.append(Performed(work=work, document=work / "document.json"))
    script = batch_script(python(tmp_path, 'echo "$@"; exit 7'), performed, on_the_node=False)
    assert perform(script, 1) == 7
    assert (performed[1].work / "runner.log").read_text() == f"-m neurocaas.runner {performed[1].document}\n"
    assert not (performed[0].work / "runner.log").exists()
    assert perform(script, 3) == 64


def test_a_folder_of_the_nodes_own_is_made_and_removed_unless_its_log_is_of_use(tmp_path: Path) -> None:
    work = tmp_path / "scratch" / "one"
    performed = [Performed(work=work, document=tmp_path / "document.json")]
    assert (
        perform(batch_script(python(tmp_path, f"stat -c %a {work} > {tmp_path}/mode"), performed, on_the_node=True), 0)
        == 0
    )
    assert (tmp_path / "mode").read_text() == "700\n"
    assert not work.exists()
    assert perform(batch_script(python(tmp_path, "echo why; exit 3"), performed, on_the_node=True), 0) == 3
    assert (work / "runner.log").read_text() == "why\n"


def test_the_signal_for_the_script_reaches_the_runner(tmp_path: Path) -> None:
    work = tmp_path / "one"
    runner = python(
        tmp_path,
        f"trap 'echo asked > {tmp_path}/asked; exit 0' TERM\ntouch {tmp_path}/begun\n" + "while :; do sleep 0.05; done",
    )
    script = tmp_path / "script"
    script.write_text(batch_script(runner, [Performed(work=work, document=tmp_path / "d")], on_the_node=True))
    process = subprocess.Popen(["bash", script], env=os.environ | {"SLURM_ARRAY_TASK_ID": "0"})
    deadline = time.monotonic() + 20
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert (tmp_path / "asked").read_text() == "asked\n"
    assert not work.exists()


def test_a_ticket_is_in_the_runners_environment_and_on_no_command_line(tmp_path: Path) -> None:
    work = tmp_path / "one"
    one = Performed(work=work, ticket="https://bucket/exchange?a=1&b=$HOME'")
    show = python(tmp_path, f'echo "$# $NEUROCAAS_TICKET" > {tmp_path}/said')
    assert perform(batch_script(show, [one], on_the_node=True), 0) == 0
    assert (tmp_path / "said").read_text() == f"2 {one.ticket}\n"
    assert one.ticket not in repr(one)


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1), max_size=5))
def test_no_path_or_ticket_is_read_as_a_command(names: list[str]) -> None:
    performed = [Performed(work=Path("/x") / name.lstrip("/"), ticket=name) for name in names]
    script = batch_script(Path("/python"), performed, on_the_node=False)
    begin = script.index("case ")
    shown = script[:begin] + script[begin:].partition("esac")[0].replace("run=(", "run=(echo ") + "esac\n"
    checked = subprocess.run(["bash", "-n", "-s"], input=shown.encode(), capture_output=True, check=False, timeout=20)
    assert checked.returncode == 0
    assert all(shlex.quote(str(one.work)) in script for one in performed)


def test_slurm_is_asked_for_what_the_stack_needs_and_its_runner_and_never_tries_again() -> None:
    shape = Shape(partition="main", need=NEED, timeout_seconds=90, account="lab")
    options = shape.options("neurocaas-1", 16)
    assert "--no-requeue" in options
    wanted = {
        "--array=0-15",
        "--job-name=neurocaas-1",
        "--partition=main",
        "--account=lab",
        "--cpus-per-task=3",
        f"--mem={1000 + RUNNER_MIB}M",
        f"--time={(90 + MARGIN_SECONDS + 59) // 60}",
    }
    assert wanted <= set(options)
    assert not any(option.startswith(("--gres", "--qos", "--constraint")) for option in options)


def test_gpus_are_asked_for_by_the_name_that_slurm_has_for_them() -> None:
    need = Need(vcpus=1, memory_mib=1000, storage_mib=64, gpus=2)
    assert "--gres=gpu:a100:2" in Shape(partition="gpu", need=need, timeout_seconds=1, gres="gpu:a100").options("n", 1)
