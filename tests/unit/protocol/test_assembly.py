"""From a plan to stacks: names looked up, folders told apart, and a sentence for all that is not right."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.blueprint import Family
from neurocaas.errors import Refused
from neurocaas.protocol import PlannedStack, assemble
from support.families import analysis, planned, submission
from support.random_world import random_plan

INPUTS = {
    "movie": {"title": "Movie", "kinds": [".npy"]},
    "mask": {"title": "Mask", "kinds": [".npy"], "required": False},
    "parts": {"title": "Parts", "form": "folder", "required": False},
}


def _own(**more: Any) -> Family:
    """An analysis whose plans are its own, and which uses another called `wide`."""
    wide = analysis("wide", inputs=INPUTS, outputs={"out": "npy"}, parameters={"components": 1})
    protocol = {"kind": "function", "file": "plan.py", "analyses": {"wide": f"wide@{wide.version.digest}"}}
    own = analysis(
        "own", inputs=INPUTS, outputs={"out": "npy"}, parameters={"components": 1}, protocol=protocol, **more
    )
    return Family(version=own.version, children={"wide": wide})


OWN = _own()


def _assembled(plan: dict[str, Any], count: int = 2, points: Any = ()) -> list[PlannedStack]:
    given = submission(OWN, count, points=points)
    return assemble(OWN, given, planned(OWN, given, plan))


def _stack(**more: Any) -> dict[str, Any]:
    return {"dataset": 0, "inputs": {"movie": "movie"}, **more}


def _step(name: str, *stacks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "stacks": list(stacks) or [_stack()], **more}


def _from(step: str, *stacks: int, output: str = "out") -> dict[str, Any]:
    return {"step": step, "stacks": list(stacks), "output": output}


@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_every_reference_points_backwards_and_every_stack_is_there_once(sizes: list[int], seed: int) -> None:
    plan = random_plan(sizes, 2, Random(seed), main="movie")
    stacks = _assembled(plan)
    assert [one.index for one in stacks] == list(range(sum(sizes)))
    for stack in stacks:
        for awaited in stack.awaited:
            assert max(awaited.stacks) < stack.index
            assert {stacks[one].step for one in awaited.stacks} != {stack.step}


WORDS = st.sampled_from(["", "a", "b", "A", "a-2", "..", ".", "a b", "é", "unlabelled", "1", "x" * 90])
PATHS = st.lists(WORDS, max_size=3).map("/".join).filter(lambda path: len(path) <= 200)


@given(
    steps=st.lists(PATHS, min_size=1, max_size=4, unique=True),
    stacks=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), PATHS), min_size=4, max_size=12),
)
def test_no_two_stacks_share_a_folder_and_none_lies_inside_anothers(
    steps: list[str], stacks: list[tuple[int, int, str]]
) -> None:
    plan = {
        "steps": [
            _step(name, *(_stack(dataset=dataset, label=label) for step, dataset, label in stacks if step == number))
            for number, name in enumerate(steps)
        ]
    }
    try:
        folders = [one.folder for one in _assembled(plan)]
    except Refused as refusal:
        if "which is a step's name" not in refusal.message:
            raise
        return
    plain = sorted(one.casefold() + "/" for one in folders)
    for one, after in pairwise(plain):
        assert not after.startswith(one)
    for one in folders:
        assert one.split("/")[0] in {"0", "1"} or one.split("/")[0].startswith(("0-", "1-"))
        assert not {"", ".", ".."} & {*one.split("/")}


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([], "the plan of own@{}: found 0 stacks; 1 to 100,000 are right."),
        ([_step("a", analysis="wid")], ": a: analysis: there is no 'wid'. Did you mean \"wide\"?"),
        ([_step("a"), _step("a")], ": two steps have one name; names of their own are right."),
        (
            [_step("a", _stack(dataset=2))],
            ": a: stacks[0].dataset: found 2; below 2, the number of datasets, is right.",
        ),
        (
            [_step("a"), _step("b", _stack(inputs={"movie": _from("c", 0)})), _step("c")],
            ": b: stacks[0].inputs.movie.step: found 'c', which is no earlier step. One of a is right.",
        ),
        (
            [_step("a", _stack(inputs={"movie": _from("a", 0)}))],
            ": a: stacks[0].inputs.movie.step: found 'a', which is no earlier step.",
        ),
        (
            [_step("a"), _step("b", _stack(inputs={"movie": _from("a", 1)}))],
            ": b: stacks[0].inputs.movie.stacks: found 1; below 1 is right.",
        ),
        (
            [_step("a"), _step("b", _stack(inputs={"movie": _from("a", 0, output="ou")}))],
            ": b: stacks[0].inputs.movie.output: a writes no 'ou'. Did you mean \"out\"?",
        ),
        (
            [_step("a", _stack(), _stack()), _step("b", _stack(inputs={"movie": _from("a", 0, 1)}))],
            ": b: stacks[0].inputs.movie: what several stacks wrote makes a folder; an input of form folder is right.",
        ),
        (
            [_step("a"), _step("b", _stack(inputs={"movie": "movie", "parts": _from("a", 0, 0)}))],
            ": b: stacks[0].inputs.parts.stacks: found 0 twice; each stack once is right.",
        ),
        (
            [_step("a"), _step("b", _stack(inputs={"movie": _from("a", 0)}, quorum=2))],
            ": b: stacks[0].quorum: found 2; at most 1, the stacks before it, is right.",
        ),
        ([_step("a", _stack(quorum=1))], ": a: stacks[0].quorum: found 1; at most 0"),
        (
            [_step("a", _stack(inputs={"movi": "movie"}))],
            ": a: stacks[0].inputs: own has no input 'movi'. Did you mean",
        ),
        ([_step("a", _stack(inputs={}))], ": a: stacks[0].inputs.movie: it is missing; own requires it."),
        (
            [_step("a", _stack(inputs={"movie": "movie", "mask": "maks"}))],
            ": a: stacks[0].inputs.mask: own has no input 'maks'. Did you mean \"mask\"?",
        ),
        (
            [_step("a", _stack(config={"component": 1}))],
            ': a: stacks[0].config.component: no such parameter. Did you mean "components"?',
        ),
        (
            [_step("a", _stack(config={"components": "x"}))],
            ': a: stacks[0].config.components: found "x"; a whole number is right.',
        ),
        ([_step("a", _stack(label="a"))], ": label: found 'a', which is a step's name; another label is right."),
        ([_step("a", _stack(seed=-1))], ": steps[0].stacks[0].seed: found -1; a number of at least 0 is right."),
        ([_step("a", _stack(quorum=0))], ".quorum: found 0; a number of at least 1 is right."),
        ([_step("a", _stack(dataset=-1))], ": steps[0].stacks[0].dataset: found -1; a number of at least 0 is right."),
        ([_step("a", _stack(x=1))], ": steps[0].stacks[0].x: this key is not known."),
        ([_step("a" * 201)], ": steps[0].name: found "),
        ([_step("a\0")], ": steps[0].name: found "),
        ([_step("a", _stack(label="\0"))], ": steps[0].stacks[0].label: found "),
    ],
)
@pytest.mark.parametrize("points", [(), ({"components": 1}, {"components": 2})])
def test_a_plan_that_is_not_right_is_refused_with_a_sentence_that_names_where(
    steps: list[dict[str, Any]], sentence: str, points: Any
) -> None:
    with pytest.raises(Refused) as refusal:
        _assembled({"steps": steps}, points=points)
    assert sentence.format(OWN.version.digest[:12]) in refusal.value.message
    assert refusal.value.message.startswith("the plan of own@")
    assert refusal.value.message.endswith((".", "?"))


@pytest.mark.parametrize("plan", [None, [], {}, {"steps": 1}, {"steps": [1]}, {"steps": [{"name": "a"}]}])
def test_what_is_no_plan_at_all_is_refused(plan: Any) -> None:
    with pytest.raises(Refused, match="the plan of own@"):
        _assembled(plan)


def test_a_plan_of_too_many_stacks_is_refused() -> None:
    with pytest.raises(Refused, match=r"found 100,001 stacks; 1 to 100,000 are right\."):
        _assembled({"steps": [_step("a", *[_stack()] * 100_001)]})


def test_an_analysis_with_a_protocol_of_its_own_can_not_be_a_part() -> None:
    from support.families import chain

    composite = chain("both", own=(OWN, {}))
    given = submission(composite, 1)
    with pytest.raises(Refused, match=r"own@\w+ has a protocol of its own \(function\), so it can't be a part of both"):
        planned(composite, given, {"steps": [_step("a")]})
