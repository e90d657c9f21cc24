from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from neurocaas.bank import State
from neurocaas.bank.slurm.answers import TaskState, read_sacct, read_sinfo, read_squeue
from neurocaas.bank.slurm.words import NEVER, STATES, WAITS, state_of, why

ONE, OTHER = "neurocaas-0011223344556677", "neurocaas-8899aabbccddeeff"
WORDS = st.text(st.characters(exclude_characters="|\r\n", exclude_categories=("Zl", "Zp", "Cc", "Cs")), max_size=20)


def test_tasks_are_told_apart_by_their_batch_and_index() -> None:
    said = (
        f"1|2|PENDING||N/A|N/A|{ONE}|Resources\n"
        f"1|0|RUNNING|n1|1700000000|1700000900|{ONE}|None\n"
        f"7|0|COMPLETED|n2|N/A|N/A|{OTHER}|None\n"
        "9|N/A|RUNNING|n2|1|2|somebody's own|None\n"
    )
    assert read_squeue(said) == {
        (ONE, 2): TaskState(id="1_2", state="PENDING", reason="Resources"),
        (ONE, 0): TaskState(
            id="1_0",
            state="RUNNING",
            node="n1",
            started_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
            ended_at=datetime(2023, 11, 14, 22, 28, 20, tzinfo=UTC),
        ),
        (OTHER, 0): TaskState(id="7_0", state="COMPLETED", node="n2"),
    }


def test_what_stands_for_several_tasks_is_taken_for_none() -> None:
    # So squeue tells of the tasks of an array that were cancelled before they began.
    assert read_squeue(f"1|N/A|CANCELLED||1|2|{ONE}|None\n1|[3-9]|PENDING||1|2|{ONE}|None\n") == {}
    assert read_sacct(f"1_[3-9]|CANCELLED by 0|None assigned|{ONE}\n") == {}


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([ONE, OTHER]), st.integers(0, 999)),
        st.tuples(st.sampled_from(sorted(STATES)), WORDS, WORDS),
        max_size=20,
    )
)
def test_every_task_that_squeue_prints_is_read(tasks: dict[tuple[str, int], tuple[str, str, str]]) -> None:
    lines = [
        f"5|{index}|{state}|{node}|N/A|1700000000|{name}|{why}" for (name, index), (state, node, why) in tasks.items()
    ]
    read = read_squeue("\n".join(lines))
    assert set(read) == set(tasks)
    for (name, index), (state, node, _) in tasks.items():
        assert read[name, index].state == state
        assert read[name, index].node == node
        assert read[name, index].id == f"5_{index}"


@given(st.text())
def test_nothing_that_a_program_prints_is_too_odd(said: str) -> None:
    read_squeue(said)
    read_sacct(said)
    read_sinfo(said)


def test_accounting_is_read() -> None:
    said = f"1_0|COMPLETED|n1|{ONE}\n1_1|CANCELLED by 1000|n2|{ONE}\n4|RUNNING|n1|{ONE}\n5_0|FAILED|n1|other\n"
    assert read_sacct(said) == {
        (ONE, 0): TaskState(id="1_0", state="COMPLETED", node="n1"),
        (ONE, 1): TaskState(id="1_1", state="CANCELLED", node="n2"),
    }


def test_shapes_of_nodes_are_read() -> None:
    said = "main|up|4|8000|(null)\ngpu|up|32+|128000+|gpu:a100:4(S:0-1),tmpdisk:9\n"
    said += "old|down|4|8000|(null)\na b|up|4|8000|(null)\n"
    main, gpu = read_sinfo(said)
    assert (main.partition, main.vcpus, main.memory_mib, main.gpus, main.gpu) == ("main", 4, 8000, 0, "")
    assert (gpu.partition, gpu.vcpus, gpu.memory_mib, gpu.gpus, gpu.gpu) == ("gpu", 32, 128000, 4, "a100")


def test_ends_of_other_making_are_told_from_lost_ones() -> None:
    ends = {
        "TIMEOUT": State.TIMED_OUT,
        "OUT_OF_MEMORY": State.OUT_OF_MEMORY,
        "PREEMPTED": State.INTERRUPTED,
        "NODE_FAIL": State.GONE,
        "COMPLETED": State.GONE,
        "A_WORD_OF_A_LATER_SLURM": State.GONE,
    }
    assert {state: state_of(TaskState(id="1_0", state=state)) for state in ends} == ends
    assert why(TaskState(id="1_0", state="NODE_FAIL", node="n1")) == "Slurm says that its node failed (on n1)."
    assert why(TaskState(id="1_0", state="COMPLETED", node="n1")) == ""


def test_why_a_task_waits_is_a_sentence() -> None:
    reasons = [
        *WAITS,
        *NEVER,
        "",
        "QOSMaxCpuPerUserLimit",
        "ReqNodeNotAvail, UnavailableNodes:n[1-2]",
        "Of another kind",
    ]
    for reason in reasons:
        said = why(TaskState(id="1_0", state="PENDING", reason=reason))
        assert said.endswith(".")
        assert "Slurm" in said or "slurm" in said
    assert why(TaskState(id="1_0", state="RUNNING", node="n1", reason="None")) == ""


def test_what_can_never_begin_is_given_up() -> None:
    for reason in NEVER:
        assert state_of(TaskState(id="1_0", state="PENDING", reason=reason)) is State.UNAVAILABLE
    assert state_of(TaskState(id="1_0", state="PENDING", reason="Resources")) is State.PENDING
