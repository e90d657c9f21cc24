from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.cost import makespan

Plan = tuple[list[float], list[list[int]]]


# Whole seconds add without rounding, so that bounds can be asked for exactly.
@st.composite
def _plans(draw: st.DrawFn) -> Plan:
    lengths = [float(length) for length in draw(st.lists(st.integers(0, 1000), max_size=30))]
    earlier = [st.lists(st.integers(0, at - 1), max_size=4) if at else st.just([]) for at in range(len(lengths))]
    return lengths, [draw(some) for some in earlier]


def _critical_path(lengths: Sequence[float], waits_for: Sequence[Sequence[int]]) -> float:
    ends: list[float] = []
    for length, others in zip(lengths, waits_for, strict=True):
        ends.append(length + max((ends[other] for other in others), default=0.0))
    return max(ends, default=0.0)


@given(_plans(), st.integers(1, 8))
def test_a_plan_takes_no_less_than_its_longest_chain_and_no_more_than_list_scheduling_may(
    plan: Plan, at_once: int
) -> None:
    lengths, waits_for = plan
    took = makespan(lengths, at_once, waits_for)
    chain, work = _critical_path(lengths, waits_for), sum(lengths)
    assert max(chain, work / at_once) <= took <= work
    # Graham 1969, doi 10.1137/0117039: an instance stands idle only while the longest chain moves on.
    assert took <= work / at_once + (1 - 1 / at_once) * chain + 1e-6


@given(_plans())
def test_with_instances_for_all_a_plan_takes_its_longest_chain(plan: Plan) -> None:
    lengths, waits_for = plan
    assert makespan(lengths, None, waits_for) == _critical_path(lengths, waits_for)


@given(_plans())
def test_one_instance_does_all_the_work_in_turn(plan: Plan) -> None:
    lengths, waits_for = plan
    assert makespan(lengths, 1, waits_for) == sum(lengths)


@given(st.integers(1, 50), st.integers(1, 8))
def test_equal_stacks_run_in_full_rounds(stacks: int, at_once: int) -> None:
    rounds = -(-stacks // at_once)
    assert makespan([3.0] * stacks, at_once, [[]] * stacks) == 3.0 * rounds


def test_stacks_start_in_the_order_given() -> None:
    assert makespan([1, 1, 4], 2, [[], [], []]) == 5
    assert makespan([4, 1, 1], 2, [[], [], []]) == 4


def test_a_consensus_waits_for_every_member() -> None:
    assert makespan([5, 9, 7, 2], None, [[], [], [], [0, 1, 2]]) == 11
    assert makespan([5, 9, 7, 2], 2, [[], [], [], [0, 1, 2, 2]]) == 14


def test_a_plan_of_nothing_takes_no_time() -> None:
    assert makespan([], None, []) == 0


def test_ten_thousand_chains_of_two_are_no_trouble() -> None:
    waits_for = [[] if at < 10_000 else [at - 10_000] for at in range(20_000)]
    assert makespan([1200.0] * 20_000, None, waits_for) == 2400
    assert makespan([1200.0] * 20_000, 100, waits_for) == 1200 * 200


def test_stacks_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="2 of 3 stacks wait for each other"):
        makespan([1, 1, 1], None, [[], [2], [1]])


@pytest.mark.parametrize(
    ("lengths", "at_once", "waits_for", "why"),
    [
        ([1.0], None, [], "1 lengths and 0 lists of waits"),
        ([1.0], 0, [[]], "0 instances at once; 1 or more are right"),
        ([float("nan")], None, [[]], "stack 0 takes nan seconds"),
        ([-1.0], None, [[]], "stack 0 takes -1.0 seconds"),
        ([1.0], None, [[1]], "stack 0 waits for stack 1; there are 1, counted from 0"),
        ([1.0], None, [[-1]], "stack 0 waits for stack -1"),
    ],
)
def test_what_is_no_plan_is_refused(
    lengths: list[float], at_once: int | None, waits_for: list[list[int]], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        makespan(lengths, at_once, waits_for)
