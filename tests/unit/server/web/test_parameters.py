"""The form that a parameter schema makes, and the config that what people type in it makes."""

from __future__ import annotations

from typing import Any

import pytest

from neurocaas.errors import Refused
from neurocaas.server.web.parameters import Typed, as_yaml, config_in, parts, swept_in, typed_in, typed_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["free"],
    "properties": {
        "count": {
            "type": "integer",
            "default": 3,
            "minimum": 1,
            "maximum": 9,
            "unit": "cells",
            "description": "How many.",
        },
        "rate": {"type": "number", "default": 1e-6, "exclusiveMinimum": 0, "description": "How fast."},
        "fit": {"type": "boolean", "default": True, "description": "Whether."},
        "mode": {"enum": ["a", 2, None], "default": "a", "description": "Which."},
        "label": {"type": "string", "default": "x", "description": "What."},
        "free": {"type": "string", "description": "Needed."},
        "window": {"type": "array", "default": [0, 1], "description": "From and to."},
        "model": {"type": "object", "description": "Deep."},
        "limit": {"type": ["number", "null"], "default": None, "description": "Maybe."},
    },
}
FORM = {"p.count": "4", "p.rate": "1e-3", "p.mode": "2", "p.label": "3", "p.window": "[1, 2]", "p.limit": "null"}


def fields(typed: Typed) -> dict[str, Any]:
    return {one.name: one for part in parts(SCHEMA, typed, {}) for one in part.fields}


def test_every_kind_of_parameter_has_a_field() -> None:
    kinds = {name: one.kind for name, one in fields(Typed()).items()}
    assert kinds == {
        "count": "integer",
        "rate": "number",
        "fit": "boolean",
        "mode": "choice",
        "label": "text",
        "free": "text",
        "window": "yaml",
        "model": "yaml",
        "limit": "yaml",
    }


def test_a_field_shows_default_unit_bounds_and_whether_it_is_needed() -> None:
    found = fields(Typed())
    count = found["count"]
    assert (count.text, count.unit, count.minimum, count.maximum, count.step) == ("3", "cells", "1", "9", "1")
    assert count.right == "1 to 9"
    assert found["rate"].right == "above 0"
    assert found["free"].required
    assert not count.required
    assert found["mode"].choices == [('"a"', "a"), ("2", "2"), ("null", "null")]


def test_what_is_typed_becomes_values_of_the_right_type() -> None:
    config = config_in(SCHEMA, typed_in(SCHEMA, FORM))
    assert config == {
        "count": 4,
        "rate": 1e-3,
        "fit": False,
        "mode": 2,
        "label": "3",
        "window": [1, 2],
        "limit": None,
    }


def test_the_form_of_a_config_gives_the_config_back() -> None:
    config = {
        "count": 5,
        "rate": 0.25,
        "fit": False,
        "mode": None,
        "label": "",
        "free": "ü",
        "window": [],
        "limit": 2.5,
    }
    assert config_in(SCHEMA, typed_of(SCHEMA, config)) == config


def test_text_that_is_no_number_is_kept_for_the_schema_to_refuse() -> None:
    assert config_in(SCHEMA, typed_in(SCHEMA, FORM | {"p.count": "many"}))["count"] == "many"
    assert config_in(SCHEMA, typed_in(SCHEMA, FORM | {"p.count": "["}))["count"] == "["


def test_a_list_that_is_no_yaml_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="config: window: "):
        config_in(SCHEMA, typed_in(SCHEMA, FORM | {"p.window": "[1,"}))


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("count", "1, 2,5", [1, 2, 5]),
        ("count", "1:4", [1, 2, 3, 4]),
        ("count", "1:9:4, 2", [1, 5, 9, 2]),
        ("rate", "0:1:0.25", [0, 0.25, 0.5, 0.75, 1]),
        ("rate", "0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("rate", "1e-3, 1e-2", [0.001, 0.01]),
        ("fit", "true, false", [True, False]),
        ("mode", "a, 2", ["a", 2]),
        ("window", "[0, 1], [1, 2]", [[0, 1], [1, 2]]),
    ],
)
def test_values_of_a_sweep_are_lists_or_ranges(name: str, text: str, values: list[Any]) -> None:
    found = swept_in(SCHEMA, Typed(swept={name: text}))
    assert found[name] == pytest.approx(values) if name == "rate" else found[name] == values


@pytest.mark.parametrize("text", ["5:1", "1:5:0", "1:5:-1", "0:1000000", "1:2:1e-300"])
def test_a_range_that_is_none_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"^sweep: rate: "):
        swept_in(SCHEMA, Typed(swept={"rate": text}))


def test_a_grid_of_points_fills_the_fields_of_its_parameters() -> None:
    points = [{"count": one, "mode": other} for one in (1, 2) for other in ("a", 2)]
    typed = typed_of(SCHEMA, {}, points)
    assert swept_in(SCHEMA, typed) == {"count": [1, 2], "mode": ["a", 2]}


def test_parameters_of_a_composite_are_grouped_by_part() -> None:
    one = {"type": "integer", "default": 1, "description": "N."}
    schema = {"properties": {"members": one, "first.size": one, "first.bins": one, "second.deep.size": one}}
    assert [(part.name, len(part.fields)) for part in parts(schema, Typed(), {})] == [
        ("", 1),
        ("first", 2),
        ("second.deep", 1),
    ]


def test_yaml_of_a_config_has_a_line_for_each_parameter() -> None:
    assert as_yaml({"b": 1, "a": "ü"}) == "b: 1\na: ü\n"
