from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neurocaas.protocol import assemble
from support.families import MOVIE, analysis, chain, consensus_analysis, ensemble, planned, submission

RESULT = {"result": {"title": "Result", "kinds": [".npy"]}}


@given(count=st.integers(1, 5), length=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_each_dataset_goes_its_own_way_through_a_chain(count: int, length: int, seed: int) -> None:
    steps = {"s0": (analysis("a0"), {})}
    steps |= {f"s{number}": (analysis(f"a{number}", inputs=RESULT), {}) for number in range(1, length)}
    family = chain("long", **steps)
    given = submission(family, count, seed=seed)
    stacks = assemble(family, given, planned(family, given))
    assert [(one.step, one.dataset_index) for one in stacks] == [(s, d) for s in steps for d in range(count)]
    for stack in stacks:
        assert stack.seed == seed
        before = [index for one in stack.awaited for index in one.stacks]
        assert before == ([stack.index - count] if stack.index >= count else [])
        assert bool(stack.inputs) == (stack.index < count)


def test_a_part_takes_the_composites_own_data_besides_what_was_made_of_it() -> None:
    both = analysis("both", inputs={**MOVIE, **RESULT, "mask": {"title": "M", "kinds": [".npy"], "required": False}})
    family = chain("chained", first=(analysis("one"), {}), then=(both, {}))
    given = submission(family, 1)
    *_, last = assemble(family, given, planned(family, given))
    assert [one.name for one in last.inputs] == ["movie"]
    assert [(one.name, one.output, one.pattern) for one in last.awaited] == [("result", "result", "result.npy")]


@given(members=st.integers(2, 6), count=st.integers(1, 3))
def test_an_ensemble_can_be_a_part_of_a_chain(members: int, count: int) -> None:
    inner = ensemble("many", analysis("one"), consensus_analysis(), members=members, succeed=1)
    last = (analysis("last", inputs=RESULT), {"inputs": {"result": "many.consensus.result"}})
    family = chain("chained", many=(inner, {}), last=last)
    family.check()
    given = submission(family, count)
    stacks = assemble(family, given, planned(family, given))
    assert len(stacks) == count * (members + 2)
    for stack in stacks:
        upstream = [stacks[index] for one in stack.awaited for index in one.stacks]
        assert {one.step for one in upstream} == {
            "many/members": set(),
            "many/consensus": {"many/members"},
            "last": {"many/consensus"},
        }[stack.step]
        assert {one.dataset_index for one in upstream} <= {stack.dataset_index}
