from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.blueprint.config_files import read_assignments, read_config
from neurocaas.blueprint.parameters import check_schema, complete
from neurocaas.errors import NeurocaasError, Refused

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "components": {"type": "integer", "default": 10, "minimum": 1, "description": "How many."},
        "method": {"enum": ["fast", "exact"], "default": "fast", "description": "Which."},
        "window": {"type": "number", "default": 1.5, "exclusiveMinimum": 0, "unit": "s", "description": "Width."},
    },
}


def test_defaults_complete_a_config() -> None:
    assert complete(SCHEMA, {"components": 3}) == {"components": 3, "method": "fast", "window": 1.5}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"component": 3}, 'component: no such parameter. Did you mean "components"?'),
        ({"xyz": 3}, "xyz: no such parameter. Known: components, method, window."),
        ({"components": "three"}, 'components: found "three"; a whole number at least 1 is right.'),
        ({"components": 0}, "components: found 0; a whole number at least 1 is right."),
        ({"method": "slow"}, 'method: found "slow"; one of "fast", "exact" is right.'),
        ({"window": 0}, "window: found 0; a number above 0 s is right."),
        ({"window": float("nan")}, "window: found nan; a finite number"),
    ],
)
def test_a_wrong_config_says_which_parameter_what_was_found_and_what_is_right(
    config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused) as refusal:
        complete(SCHEMA, config)
    assert sentence in str(refusal.value)


def test_an_analysis_without_parameters_takes_none() -> None:
    assert complete({}, {}) == {}
    with pytest.raises(Refused, match="This analysis has no parameters"):
        complete({}, {"a": 1})


def test_a_schema_can_not_make_the_platform_fetch_a_url() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x", "description": "A."}}}
    with pytest.raises((NeurocaasError, ValueError), match=r"127\.0\.0\.1"):
        complete(schema, {"a": 1})


def test_every_parameter_must_be_described() -> None:
    with pytest.raises(Refused, match=r"properties.k.description: it is missing"):
        check_schema({"type": "object", "properties": {"k": {"type": "integer"}}}, "p")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("c.yaml", "a: [1", "line 1: it is not YAML"),
        ("c.yaml", "- 1\n- 2\n", "found [1, 2]; parameter names with values"),
        ("c.yaml", "1: 2\n", "parameter names with values"),
        ("c.json", '{"a": }', "JSON is right in a .json file"),
        ("c.yaml", "!!python/object/apply:os.system [id]", "it is not YAML"),
        ("c.yaml", "\x00", "it is not YAML"),
    ],
)
def test_a_config_file_that_can_not_be_read_says_why(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(Refused) as refusal:
        read_config(tmp_path / name)
    assert sentence in str(refusal.value)


def test_a_config_folder_or_a_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="can't be read"):
        read_config(tmp_path)
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match="it is not text"):
        read_config(tmp_path / "c.yaml")


def test_numbers_are_read_as_scientists_write_them() -> None:
    read = read_assignments(["a=1e-3", "b=3", "c=true", "d=x", "e=[1, 2]", "f=1_000", "g=-2.5E+4"])
    assert read == {"a": 1e-3, "b": 3, "c": True, "d": "x", "e": [1, 2], "f": 1000, "g": -2.5e4}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_survives_the_command_line(number: float) -> None:
    assert read_assignments([f"x={number!r}"]) == {"x": number}


@given(st.dictionaries(st.text(min_size=1), st.none() | st.booleans() | st.integers() | st.text()))
def test_any_json_config_file_is_read_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("c") / "c.json"
    path.write_text(json.dumps(config))
    assert read_config(path) == config


@given(st.binary(max_size=200))
def test_no_bytes_make_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("c") / "c.yaml"
    path.write_bytes(data)
    with contextlib.suppress(NeurocaasError):
        assert isinstance(read_config(path), dict)
