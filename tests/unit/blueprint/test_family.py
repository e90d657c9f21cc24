"""What a composite analysis asks of a user, as one form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.blueprint import Family
from neurocaas.errors import Refused
from support.families import analysis, chain, consensus_analysis, ensemble

RESULT = {"result": {"title": "Result", "kinds": [".npy"]}}
FIRST = analysis("pca", parameters={"components": 3, "scale": 1.5, "method": "fast"})
THEN = analysis("smooth", inputs=RESULT, parameters={"order": 2})


def _both(**part: Any) -> Family:
    return chain("both", first=(FIRST, part), then=(THEN, {}))


def _defaults(family: Family) -> dict[str, Any]:
    return {name: one["default"] for name, one in family.parameters["properties"].items()}


@given(
    fixed=st.dictionaries(st.sampled_from(["components"]), st.integers(1, 9)),
    changed=st.dictionaries(st.sampled_from(["components", "scale"]), st.integers(1, 9)),
    given=st.dictionaries(st.sampled_from(["first.scale", "first.method", "then.order"]), st.just(7)),
)
def test_a_form_offers_what_is_not_fixed_with_the_composites_defaults(
    fixed: dict[str, int], changed: dict[str, int], given: dict[str, Any]
) -> None:
    family = _both(config=fixed, defaults=changed)
    family.check()
    own = {"components": 3, "scale": 1.5, "method": "fast"} | changed
    expected = {f"first.{name}": one for name, one in own.items() if name not in fixed} | {"then.order": 2}
    assert _defaults(family) == expected
    chosen = {name: "exact" if name == "first.method" else one for name, one in given.items()}
    assert family.complete(chosen) == expected | chosen
    of_first = {name.partition(".")[2]: one for name, one in chosen.items() if name.startswith("first.")}
    assert family.config_of("first", family.complete(chosen)) == own | of_first | fixed


def test_parts_of_parts_have_longer_names() -> None:
    outer = chain("outer", inner=(_both(), {"defaults": {"then.order": 5}}), last=(analysis("last"), {}))
    assert _defaults(outer)["inner.then.order"] == 5
    full = outer.complete({"inner.first.scale": 2})
    assert outer.config_of("inner", full) == _both().complete({"first.scale": 2, "then.order": 5})


def test_an_ensemble_asks_how_many_members_besides() -> None:
    family = ensemble("many", FIRST, consensus_analysis(parameters={"share": 0.5}), members=9, succeed=7)
    member = {f"member.{name}": one for name, one in _defaults(FIRST).items()}
    assert _defaults(family) == {"members": 9, "succeed": 7, **member, "consensus.share": 0.5}
    assert family.complete({"members": 7})["members"] == 7


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"first.component": 1}, 'config: first.component: no such parameter. Did you mean "first.components"?'),
        ({"components": 1}, 'config: components: no such parameter. Did you mean "first.components"?'),
        (
            {"xyz": 1},
            "config: xyz: no such parameter. Known: first.components, first.method, first.scale, then.order.",
        ),
        ({"then.order": "x"}, 'config: then.order: found "x"; a whole number is right.'),
    ],
)
def test_a_config_that_is_not_right_is_refused_by_the_name_in_the_form(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        _both().complete(config)
    assert refusal.value.message == sentence


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"members": 3}, "config: succeed: found 7; at most 3, the members, is right."),
        ({"members": 0}, "config: members: found 0; a whole number at least 1 and at most 1000 is right."),
        ({"membrs": 3}, 'config: membrs: no such parameter. Did you mean "members"?'),
    ],
)
def test_an_ensembles_own_parameters_are_checked_too(config: dict[str, Any], sentence: str) -> None:
    family = ensemble("many", FIRST, consensus_analysis(), members=9, succeed=7)
    with pytest.raises(Refused) as refusal:
        family.complete(config)
    assert refusal.value.message == sentence


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"config": {"component": 1}}, 'both: first: component: no such parameter. Did you mean "components"?'),
        ({"defaults": {"scal": 1}}, 'both: first: scal: no such parameter. Did you mean "scale"?'),
        ({"config": {"components": "x"}}, 'config: first.components: found "x"; a whole number is right.'),
    ],
)
def test_a_part_whose_own_config_is_not_right_is_refused(part: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        _both(**part).check()
    assert refusal.value.message == sentence


def test_a_fixed_parameter_can_not_be_set() -> None:
    with pytest.raises(Refused, match=r"^config: first\.scale: no such parameter\."):
        _both(config={"scale": 2}).complete({"first.scale": 3})
