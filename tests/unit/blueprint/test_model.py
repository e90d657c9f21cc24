from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.blueprint import Blueprint, read_version
from neurocaas.blueprint.model import Growth, Hardware
from neurocaas.errors import NotFound, Refused

GIB = 1024**3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"title": None}, "title: it is missing"),
        ({"titel": "x"}, 'titel: this key is not known. Did you mean "title"?'),
        ({"hardware": {"vcpu": 2}}, 'hardware.vcpu: this key is not known. Did you mean "vcpus"?'),
        ({"hardware": {"vcpus": "two"}}, 'hardware.vcpus: found "two"; a whole number is right.'),
        ({"hardware": {"vcpus": 0}}, "hardware.vcpus: found 0; a number of at least 1 is right."),
        ({"limits": {"attempts": 99}}, "limits.attempts: found 99; a number of at most 10 is right."),
        ({"workflow": {"command": [], "files": ["workflow.py"]}}, "workflow.command: found []; at least 1 is right."),
        ({"workflow": {"command": ["x"], "files": ["../x"]}}, 'workflow.files[0]: found "../x"; a path inside'),
        ({"workflow": {"command": ["x"], "files": ["no.py"]}}, "which fits no file in the folder"),
        ({"environment": {"kind": "conda"}}, "environment.kind: found \"conda\"; 'python', 'image' is right."),
        ({"environment": {"lock": "x"}}, "environment.kind: it is missing; it must be given."),
        ({"environment": {"kind": "image"}}, 'environment: found {"kind": "image"}; one of reference and container'),
        (
            {"environment": {"kind": "image", "reference": "debian:12"}},
            'environment.reference: found "debian:12"; an image pinned by its digest, such as ',
        ),
        (
            {"environment": {"kind": "image", "reference": f"debian@sha256:{64 * '0'}", "network": True}},
            "files and network only beside a containerfile, since nothing else is built is right.",
        ),
        (
            {"environment": {"kind": "image", "containerfile": "Containerfile"}},
            "environment.containerfile: found 'Containerfile'; a file in the analysis' folder is right.",
        ),
        (
            {"environment": {"kind": "image", "containerfile": "workflow.py", "fils": []}},
            'environment.fils: this key is not known. Did you mean "files"?',
        ),
        ({"inputs": {"m": {"title": "M"}}}, 'inputs.m: found {"title": "M"}; kinds such as [".tif"]'),
        ({"inputs": {"m": {"title": "M", "kinds": ["tif"]}}}, 'inputs.m.kinds[0]: found "tif"; a file ending'),
        ({"parameters": "no.json"}, "parameters: found 'no.json'; a file in the analysis' folder is right."),
        ({"parameters": {"type": "array"}}, 'parameters: type: found "array"; "object" is right.'),
        ({"parameters": {"type": "objekt"}}, "parameters: type:"),
        ({"paper": {"title": "T", "doi": "doi:10.1/x"}}, "paper.doi: found"),
        ({"name": "other"}, "name: found 'other'; 'mean', the name of its folder, is right."),
    ],
)
def test_each_fault_names_its_path_what_was_found_and_what_is_right(
    make_analysis: Callable[..., Path], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((Refused, NotFound)) as refusal:
        read_version(make_analysis(**changes), "mean")
    assert sentence in str(refusal.value)
    assert "mean/blueprint.json" in str(refusal.value)


def test_all_faults_are_told_at_once(make_analysis: Callable[..., Path]) -> None:
    with pytest.raises(Refused) as refusal:
        read_version(make_analysis(title=None, summary=None, colour="red"))
    assert len(str(refusal.value).splitlines()) == 3


def test_a_document_that_is_not_json_names_line_and_column(make_analysis: Callable[..., Path]) -> None:
    folder = make_analysis()
    (folder / "blueprint.json").write_text('{"name": mean}')
    with pytest.raises(Refused, match="line 1, column 10"):
        read_version(folder)


def test_a_default_that_its_own_schema_refuses_is_a_fault(make_analysis: Callable[..., Path]) -> None:
    bad = {"type": "object", "properties": {"k": {"type": "integer", "default": "x", "description": "K."}}}
    with pytest.raises(Refused, match=r'properties.k.default: found "x"; a whole number is right'):
        read_version(make_analysis(parameters=bad))


def test_the_published_schema_accepts_what_the_model_accepts(make_analysis: Callable[..., Path]) -> None:
    import jsonschema_rs

    document = json.loads((make_analysis() / "blueprint.json").read_text())
    assert jsonschema_rs.is_valid(Blueprint.model_json_schema(), document)


@given(st.integers(0, 10**15), st.decimals(Decimal("0.1"), 64, places=2))
def test_a_need_grows_with_input_and_is_never_rounded_down(input_bytes: int, per_gib: Decimal) -> None:
    hardware = Hardware(memory_gib=Decimal(2), grow=(Growth(resource="memory_gib", per_input_gib=per_gib),))
    need = hardware.need(input_bytes)
    assert need.memory_mib >= (2 + per_gib * input_bytes / GIB) * 1024
    assert need.memory_mib < (2 + per_gib * input_bytes / GIB) * 1024 + 1
    assert need.vcpus == 1
