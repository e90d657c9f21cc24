"""The batch job that performs attempts: its options and its script, made of values alone."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurocaas.blueprint import Need

RUNNER_MIB = 256  # what the runner itself may take beside its workflow
MARGIN_SECONDS = 900  # to bring what is missing and to store results, beside the time that the workflow may take

# The manager's own environment is not passed on, so the script says where programs are.
_BEGIN = """#!/bin/bash
# Attempts of NeuroCAAS' job manager, one for each task of this array.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
case "$SLURM_ARRAY_TASK_ID" in
"""
_THERE = """esac
exec >> "$work/runner.log" 2>&1
exec "${run[@]}"
"""
# A folder of the node's own is left behind only if there is something to read in its log.
_ON_THE_NODE = """esac
mkdir -p -m 0700 "$work" || exit 1
exec >> "$work/runner.log" 2>&1
asked= runner=
trap 'asked=1; [ -z "$runner" ] || kill -TERM "$runner"' TERM
"${run[@]}" &
runner=$!
[ -z "$asked" ] || kill -TERM "$runner"
wait "$runner"; status=$?
# A signal ends the waiting, not the runner.
while [ -n "$asked" ] && [ "$status" -gt 128 ]; do asked=; wait "$runner"; status=$?; done
[ "$status" -eq 0 ] && rm -rf "$work"
exit "$status"
"""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What all tasks of one batch have in common. gres: the name of GPUs, such as "gpu:a100"."""

    partition: str
    need: Need
    timeout_seconds: float
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gres: str = "gpu"

    def options(self, name: str, tasks: int) -> list[str]:
        """For `sbatch`. The engine's own retries are off: the job manager alone decides."""
        given = {
            "--job-name": name,
            "--array": f"0-{tasks - 1}",
            "--partition": self.partition,
            "--nodes": "1",
            "--ntasks": "1",
            "--cpus-per-task": str(self.need.vcpus),
            "--mem": f"{self.need.memory_mib + RUNNER_MIB}M",
            "--gres": f"{self.gres}:{self.need.gpus}" if self.need.gpus else "",
            "--time": str(math.ceil((self.timeout_seconds + MARGIN_SECONDS) / 60)),
            "--account": self.account,
            "--qos": self.qos,
            "--constraint": self.constraint,
            "--chdir": "/",
            "--input": "/dev/null",
            "--output": "/dev/null",
        }
        return ["--parsable", "--no-requeue", *(f"{option}={value}" for option, value in given.items() if value)]


@dataclass(frozen=True, kw_only=True)
class Performed:
    """One attempt in a script. work: its folder on the node. document: there too; or a ticket instead of it."""

    work: Path
    document: Path | None = None
    ticket: str = field(default="", repr=False)


def batch_script(python: Path, performed: Sequence[Performed], *, on_the_node: bool) -> str:
    """Each task performs one attempt. on_the_node: work folders are the nodes' own, to be made and removed.

    A ticket stands in the script, which Slurm keeps readable by its user alone, and on no command line.
    """
    cases = "".join(f"{index}) {_case(python, one)} ;;\n" for index, one in enumerate(performed))
    return f"{_BEGIN}{cases}*) exit 64 ;;\n{_ON_THE_NODE if on_the_node else _THERE}"


def _case(python: Path, one: Performed) -> str:
    run = [str(python), "-m", "neurocaas.runner", *([str(one.document)] if one.document else [])]
    ticket = f"export NEUROCAAS_TICKET={shlex.quote(one.ticket)}; " if one.ticket else ""
    return f"{ticket}work={shlex.quote(str(one.work))}; run=({shlex.join(run)})"
