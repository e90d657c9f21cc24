from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neurocaas.protocol import MAX_SEED, assemble
from support.families import analysis, chain, consensus_analysis, ensemble, planned, submission

SEEDS = st.integers(0, MAX_SEED) | st.integers(MAX_SEED - 9, MAX_SEED)


@given(members=st.integers(1, 12), count=st.integers(1, 4), seed=SEEDS, data=st.data())
def test_members_of_a_dataset_differ_by_seed_alone_and_its_consensus_is_of_them(
    members: int, count: int, seed: int, data: st.DataObject
) -> None:
    succeed = data.draw(st.integers(1, members))
    family = ensemble("many", analysis("one"), consensus_analysis(), members=members, succeed=succeed)
    given = submission(family, count, seed=seed)
    stacks = assemble(family, given, planned(family, given))
    for dataset in range(count):
        *own, consensus = [one for one in stacks if one.dataset_index == dataset]
        assert [one.seed for one in own] == [(seed + number) % (MAX_SEED + 1) for number in range(members)]
        assert len({one.seed for one in own}) == members
        assert all(one.config == own[0].config for one in own)
        assert [one.label for one in own] == [f"member-{number + 1}" for number in range(members)]
        assert [one.stacks for one in consensus.awaited] == [tuple(one.index for one in own)]
        assert (consensus.quorum, consensus.seed) == (succeed, seed)
        assert all(one.quorum is None for one in own)


def test_how_many_members_there_are_is_a_parameter() -> None:
    family = ensemble("many", analysis("one"), consensus_analysis(), members=9, succeed=7)
    given = submission(family, 1, members=4, succeed=2)
    stacks = assemble(family, given, planned(family, given))
    assert (len(stacks), stacks[-1].quorum) == (5, 2)


def test_a_member_that_is_a_chain_has_one_seed_and_feeds_its_own_next_step() -> None:
    result = {"result": {"title": "Result", "kinds": [".npy"]}}
    member = chain("pair", first=(analysis("one"), {}), then=(analysis("two", inputs=result), {}))
    family = ensemble("many", member, consensus_analysis(), members=3, succeed=3)
    consensus = family.version.blueprint.protocol.consensus  # type: ignore[union-attr]
    deep = consensus.model_copy(update={"inputs": {"results": "member.then.result"}})
    protocol = family.version.blueprint.protocol.model_copy(update={"consensus": deep})
    blueprint = family.version.blueprint.model_copy(update={"protocol": protocol})
    family = type(family)(version=family.version.model_copy(update={"blueprint": blueprint}), children=family.children)
    given = submission(family, 2, seed=5)
    stacks = assemble(family, given, planned(family, given))
    assert len(stacks) == 2 * (3 * 2 + 1)
    for stack in stacks:
        upstream = [stacks[index] for one in stack.awaited for index in one.stacks]
        if stack.step == "members/then":
            assert [(one.seed, one.dataset) for one in upstream] == [(stack.seed, stack.dataset)]
        elif stack.step == "consensus":
            assert [one.seed for one in upstream] == [5, 6, 7]
