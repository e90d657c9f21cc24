"""How parts of a composite analysis are wired, and what of them is one form."""

from __future__ import annotations

from typing import Any

import pytest

from neurocaas.blueprint import Family
from neurocaas.blueprint.wiring import Wire
from neurocaas.errors import Refused
from support.families import analysis, chain, consensus_analysis, ensemble

MASK = {"title": "Mask", "kinds": [".png"]}
MOVIE = {"title": "Movie", "kinds": [".npy", ".tif"]}
CURVES = {"title": "Curves", "kinds": [".csv"]}
FIRST = analysis(
    "pca", inputs={"movie": MOVIE}, outputs={"curves": "csv", "maps": "npy"}, parameters={"components": 3, "scale": 1.5}
)


def _after(child: dict[str, Any], part: dict[str, Any], *, inputs: dict[str, Any] | None = None) -> Family:
    """FIRST, and then an analysis with these inputs, wired as `part` says."""
    second = analysis("smooth", inputs=child, parameters={"order": 2})
    return chain("both", inputs or {"movie": MOVIE}, first=(FIRST, {}), then=(second, part))


@pytest.mark.parametrize(
    ("child", "part", "wire"),
    [
        ({"curves": CURVES}, {}, Wire(step="first", name="curves")),
        ({"x": CURVES}, {}, Wire(step="first", name="curves")),
        (
            {"x": {"title": "X", "kinds": [".npy", ".csv"]}},
            {"inputs": {"x": "first.maps"}},
            Wire(step="first", name="maps"),
        ),
        ({"movie": MOVIE}, {}, Wire(step="first", name="maps")),
        ({"movie": MOVIE, "maps": MOVIE}, {}, Wire(step="", name="movie")),
        ({"movie": {"title": "Movie", "kinds": [".tif"]}}, {}, Wire(step="", name="movie")),
        ({"x": MOVIE}, {"inputs": {"x": "movie"}}, Wire(step="", name="movie")),
        ({"x": {"title": "X", "form": "folder"}}, {"inputs": {"x": "first.curves"}}, Wire(step="first", name="curves")),
    ],
)
def test_an_input_is_fed_as_declared_else_by_the_part_before_else_by_the_composite(
    child: Any, part: Any, wire: Wire
) -> None:
    family = _after(child, part)
    family.check()
    assert next(iter(family.wires["then"].values())) == wire
    assert family.wires["first"] == {"movie": Wire(step="", name="movie")}


def test_an_optional_input_that_nothing_feeds_is_left_out() -> None:
    family = _after({"curves": CURVES, "mask": MASK | {"required": False}}, {})
    assert list(family.wires["then"]) == ["curves"]


@pytest.mark.parametrize(
    ("child", "part", "sentence"),
    [
        (
            {"x": {"title": "X", "kinds": [".npy", ".csv"]}},
            {},
            (
                "both: then: inputs.x: it is not said where it comes from, "
                "and first.curves, first.maps fit alike; naming one of them is right."
            ),
        ),
        (
            {"x": MASK},
            {},
            (
                "both: then: inputs.x: it is not said where it comes from, "
                "and nothing that first writes fits; a source is right."
            ),
        ),
        (
            {"x": CURVES},
            {"inputs": {"x": "first.curvs"}},
            (
                "both: then: inputs.x: found 'first.curvs'; pca has no such output. "
                'Did you mean "curves"? One of curves, maps is right.'
            ),
        ),
        (
            {"x": CURVES},
            {"inputs": {"x": "then.curves"}},
            "both: then: inputs.x: found 'then.curves', but then is no earlier step; one of first is right.",
        ),
        (
            {"x": CURVES},
            {"inputs": {"x": "mvie"}},
            (
                "both: then: inputs.x: found 'mvie', which is no input of both. "
                'Did you mean "movie"? One of movie is right.'
            ),
        ),
        (
            {"x": CURVES},
            {"inputs": {"x": "first.maps"}},
            "both: then: inputs.x: first.maps gives .npy; a source of kind .csv is right.",
        ),
        (
            {"curves": CURVES, "movie": CURVES},
            {},
            "both: then: inputs.movie: movie gives .npy, .tif; a source of kind .csv is right.",
        ),
        ({"x": CURVES}, {"inputs": {"y": "movie"}}, "both: then: inputs.y: smooth has no such input."),
    ],
)
def test_a_wire_that_is_missing_or_wrong_is_refused_with_the_choices(child: Any, part: Any, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        _after(child, part).check()
    assert refusal.value.message == sentence


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("many.result", "no such"),
        ("many.consensu.result", "no such"),
        ("many.consensus.resul", "no such"),
        ("many.member.result.result", "no such"),
    ],
)
def test_a_wire_into_a_part_of_a_part_is_refused_if_it_leads_nowhere(source: str, sentence: str) -> None:
    inner = ensemble("many", analysis("one"), consensus_analysis(), members=2, succeed=1)
    last = analysis("last", inputs={"x": {"title": "X", "form": "folder"}})
    family = chain("outer", many=(inner, {}), last=(last, {"inputs": {"x": source}}))
    with pytest.raises(Refused) as refusal:
        family.check()
    assert refusal.value.message.startswith(f"outer: last: inputs.x: found {source!r}; ")


@pytest.mark.parametrize("source", ["many.consensus.result", "many.member.result"])
def test_a_wire_into_a_part_of_a_part_is_the_step_of_the_plan(source: str) -> None:
    from neurocaas.protocol import assemble
    from support.families import planned, submission

    inner = ensemble("many", analysis("one"), consensus_analysis(), members=2, succeed=1)
    last = analysis("last", inputs={"x": {"title": "X", "form": "folder"}})
    family = chain("outer", many=(inner, {}), last=(last, {"inputs": {"x": source}}))
    family.check()
    given = submission(family, 1)
    stacks = assemble(family, given, planned(family, given))
    (awaited,) = stacks[-1].awaited
    assert len(awaited.stacks) == (1 if "consensus" in source else 2)
