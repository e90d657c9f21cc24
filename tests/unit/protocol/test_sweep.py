from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.errors import Refused
from neurocaas.protocol import assemble, grid
from support.families import analysis, chain, consensus_analysis, ensemble, planned, submission

VALUES = st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True)
ONE = analysis("one", parameters={"a": 1, "b": 2, "text": "t", "free": None})
TWO = analysis("two", inputs={"result": {"title": "Result", "kinds": [".npy"]}}, parameters={"c": 1})
BOTH = chain("both", first=(ONE, {}), then=(TWO, {}))


@given(a=VALUES, b=VALUES, count=st.integers(1, 4))
def test_a_sweep_of_one_analysis_has_a_stack_for_each_point_and_dataset(a: list[int], b: list[int], count: int) -> None:
    given = submission(ONE, count, points=grid({"a": a, "b": b}))
    stacks = assemble(ONE, given, planned(ONE, given))
    found = [(one.dataset_index, one.config["a"], one.config["b"]) for one in stacks]
    assert sorted(found) == sorted((dataset, x, y) for dataset in range(count) for x in a for y in b)
    assert len({one.folder for one in stacks}) == len(stacks)
    assert all({"a": one.config["a"], "b": one.config["b"]} == one.point for one in stacks)


@given(a=VALUES, c=VALUES, count=st.integers(1, 3))
def test_what_the_points_of_a_swept_chain_share_is_run_once(a: list[int], c: list[int], count: int) -> None:
    given = submission(BOTH, count, points=grid({"first.a": a, "then.c": c}))
    plan = planned(BOTH, given)
    assert [len(step.stacks) for step in plan.steps] == [len(a) * count, len(a) * len(c) * count]
    stacks = assemble(BOTH, given, plan)
    for stack in stacks:
        if stack.step == "first":
            assert stack.point == {"first.a": stack.config["a"]} | ({"then.c": c[0]} if len(c) == 1 else {})
            continue
        (needed,) = stack.awaited
        (upstream,) = (stacks[one] for one in needed.stacks)
        assert upstream.dataset_index == stack.dataset_index
        assert stack.point == {"first.a": upstream.config["a"], "then.c": stack.config["c"]}


@given(counts=st.lists(st.integers(3, 8), min_size=1, max_size=4, unique=True))
def test_members_that_swept_ensembles_of_several_sizes_share_are_run_once(counts: list[int]) -> None:
    family = ensemble("many", ONE, consensus_analysis(), members=3, succeed=2)
    given = submission(family, 1, points=grid({"members": counts}))
    stacks = assemble(family, given, planned(family, given))
    assert len(stacks) == max(counts) + len(counts)
    assert sorted(len(one.awaited[0].stacks) for one in stacks if one.awaited) == sorted(counts)


@given(texts=st.lists(st.text(max_size=6), min_size=1, max_size=5, unique=True))
def test_text_of_any_kind_can_be_swept(texts: list[str]) -> None:
    for family, name in ((ONE, "text"), (BOTH, "first.text")):
        given = submission(family, 1, points=grid({name: texts}))
        stacks = assemble(family, given, planned(family, given))
        assert [one.point[name] for one in stacks if one.step in {"one", "first"}] == texts
        assert not any("\0" in one.label for one in stacks)


def test_a_value_that_is_called_like_a_step_can_be_swept() -> None:
    given = submission(BOTH, 1, points=grid({"first.text": ["then/first", "a"]}))
    assert len(assemble(BOTH, given, planned(BOTH, given))) == 4


def test_points_need_not_name_the_same_parameters() -> None:
    given = submission(ONE, 1, points=[{"a": 5}, {"free": 6}])
    stacks = assemble(ONE, given, planned(ONE, given))
    assert [(one.config["a"], one.config.get("free")) for one in stacks] == [(5, None), (1, 6)]
    assert [one.point for one in stacks] == [{"a": 5}, {"a": 1, "free": 6}]


def test_the_last_parameter_of_a_grid_changes_fastest() -> None:
    assert grid({"a": [1, 2], "b": [3, 4]}) == ({"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"a": []}, "--sweep a: found no value; at least one is right."),
        ({"a": range(101), "b": range(100)}, "--sweep: found 10,100 combinations; at most 10,000 are right."),
    ],
)
def test_a_grid_that_is_empty_or_too_large_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        grid(values)
    assert refusal.value.message == sentence


@pytest.mark.parametrize(
    ("point", "sentence"),
    [
        ({"first.aa": 1}, 'config: first.aa: no such parameter. Did you mean "first.a"?'),
        ({"first.a": "x"}, 'config: first.a: found "x"; a whole number is right.'),
    ],
)
def test_a_point_that_is_not_right_is_refused(point: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        planned(BOTH, submission(BOTH, 1, points=[{"first.a": 1}, point]))
    assert refusal.value.message == sentence
