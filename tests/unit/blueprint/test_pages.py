"""Interactive pages: what a blueprint may say of them, what of them names a version, and what a set-up page shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurocaas.blueprint import Family, read_version
from neurocaas.blueprint.pinning import pin
from neurocaas.errors import Refused
from support.families import MOVIE, analysis, chain
from support.families import pin as pin_of

SETUP = {"file": "setup.html", "preview": "look@" + "a" * 64}
RESULTS = {"file": "explore.html"}
MASK = {"mask": {"title": "Mask", "kinds": [".npy"], "required": False}}


@pytest.fixture
def with_pages(make_analysis: Callable[..., Path]) -> Callable[..., Path]:
    def make(**changes: Any) -> Path:
        folder = make_analysis(**{"pages": {"setup": SETUP, "results": RESULTS}, **changes})
        for name in ("setup.html", "explore.html"):
            (folder / name).write_text("<!doctype html>")
        return folder

    return make


def test_a_page_is_part_of_the_version_and_not_of_what_can_change_a_result(with_pages: Callable[..., Path]) -> None:
    folder = with_pages()
    before = read_version(folder)
    assert {"setup.html", "explore.html"} <= {file.path for file in before.files}
    (folder / "explore.html").write_text("<!doctype html><title>Better</title>")
    after = read_version(folder)
    assert after.digest != before.digest
    assert after.execution_digest == before.execution_digest == read_version(with_pages(pages={})).execution_digest


def test_a_page_that_the_workflow_reads_can_change_a_result(with_pages: Callable[..., Path]) -> None:
    workflow = {"command": ["python", "/workflow/workflow.py"], "files": ["workflow.py", "*.html"]}
    folder = with_pages(workflow=workflow)
    before = read_version(folder).execution_digest
    (folder / "explore.html").write_text("<!doctype html><title>Template</title>")
    assert read_version(folder).execution_digest != before


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ({"results": {"file": "../explore.html"}}, "pages.results.file: .*a path inside the analysis' folder"),
        ({"results": {"file": "explore.js"}}, "pages.results.file: .*one HTML file inside the folder"),
        ({"results": {"file": "absent.html"}}, "pages.results.file: found 'absent.html'; a file in"),
        ({"results": {"file": "explore.html", "preview": "look"}}, "pages.results.preview"),
        ({"setup": {"file": "setup.html"}}, "pages.setup.preview"),
        ({"setup": {"file": "setup.html", "preview": "Look!"}}, "pages.setup.preview: .*a step's name, or another"),
        ({"setup": {"file": "setup.html", "preview": "look"}}, "which is no step. Another analysis as name@digest"),
        ({"setup": {"file": "setup.html", "preview": "look@12ab"}}, "the full digest of a version"),
        ({"other": {"file": "explore.html"}}, "pages.other"),
    ],
)
def test_what_is_wrong_with_pages_is_said_where_it_is(
    with_pages: Callable[..., Path], pages: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        read_version(with_pages(pages=pages))


def test_a_page_is_text_of_at_most_four_mebibytes(with_pages: Callable[..., Path]) -> None:
    folder = with_pages()
    (folder / "setup.html").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match=r"pages.setup.file: setup.html is not text; HTML in UTF-8 is right"):
        read_version(folder)
    (folder / "setup.html").write_bytes(b" " * (4 * 1024**2 + 1))
    with pytest.raises(Refused, match=r"4,194,305 bytes; at most 4 MiB"):
        read_version(folder)


def test_a_composites_preview_is_one_of_its_steps(with_pages: Callable[..., Path]) -> None:
    steps = [{"name": "look", "analysis": "look@" + "a" * 64}]
    own = dict.fromkeys(("environment", "workflow", "parameters"))
    pages = {"setup": {"file": "setup.html", "preview": "lok"}}
    with pytest.raises(Refused, match=r"found 'lok', which is no step. One of look is right"):
        read_version(with_pages(protocol={"kind": "chain", "steps": steps}, pages=pages, **own))


def test_the_preview_of_a_leaf_is_pinned_like_a_part(with_pages: Callable[..., Path]) -> None:
    pages = {"setup": {"file": "setup.html", "preview": "look"}, "results": RESULTS}
    folder = with_pages(pages=pages)
    assert pin(folder, lambda name: "b" * 64) == {"look": "look@" + "b" * 64}
    assert read_version(folder).blueprint.preview_pin == "look@" + "b" * 64
    pin(folder, lambda name: "c" * 64)
    document = json.loads((folder / "blueprint.json").read_text())
    assert document["pages"]["setup"]["preview"] == "look@" + "c" * 64


def test_a_step_that_is_the_preview_is_not_pinned_as_an_analysis(with_pages: Callable[..., Path]) -> None:
    """Though an analysis may have its name."""
    steps = [{"name": "look", "analysis": "look@" + "a" * 64}]
    pages = {"setup": {"file": "setup.html", "preview": "look"}}
    folder = with_pages(protocol={"kind": "chain", "steps": steps}, pages=pages)
    pin(folder, lambda name: "b" * 64)
    document = json.loads((folder / "blueprint.json").read_text())
    assert document["pages"]["setup"]["preview"] == "look"
    assert document["protocol"]["steps"][0]["analysis"] == "look@" + "b" * 64


def _chain(first: Family, preview: str = "first") -> Family:
    second = analysis("then", inputs={"result": {"title": "Result", "kinds": [".npy"]}}, parameters={"order": 2})
    return _with_setup(chain("both", first=(first, {"defaults": {"scale": 2}}), then=(second, {})), preview)


def _with_setup(family: Family, preview: str, beside: Family | None = None) -> Family:
    pages = {"setup": {"file": "setup.html", "preview": preview}}
    document = family.version.blueprint.model_dump(by_alias=True, exclude_defaults=True) | {"pages": pages}
    blueprint = type(family.version.blueprint).model_validate(document)
    return replace(family, version=family.version.model_copy(update={"blueprint": blueprint}), beside=beside)


def test_a_step_is_previewed_with_the_very_config_that_it_will_have() -> None:
    family = _chain(analysis("look", parameters={"scale": 1, "bins": 3}))
    family.check()
    preview = family.preview
    assert preview is not None
    assert (preview.step, preview.inputs) == ("first", {"movie": "movie"})
    assert preview.config(family, {"first.bins": 5, "then.order": 9}) == {"scale": 2, "bins": 5}
    with pytest.raises(Refused, match=r"config: first.bins: found"):
        preview.config(family, {"first.bins": "many"})


def test_another_analysis_is_previewed_with_what_has_the_same_name() -> None:
    look = analysis("look", inputs={"video": MOVIE["movie"], **MASK}, parameters={"bins": 3, "colours": 7})
    family = _with_setup(analysis("fit", inputs={**MOVIE, **MASK}, parameters={"bins": 4}), pin_of(look), look)
    family.check()
    preview = family.preview
    assert preview is not None
    assert preview.inputs == {"mask": "mask", "video": "movie"}
    assert preview.config(family, {"bins": 9}) == {"bins": 9, "colours": 7}
    assert [one.version.name for one in family.everyone] == ["fit", "look"]


@pytest.mark.parametrize(
    ("family", "said"),
    [
        (
            _chain(analysis("look", parameters={"scale": 1}), "then"),
            "then takes first.result; a step that takes inputs",
        ),
        (_chain(analysis("look", parameters={"scale": 1}, reproducible=False)), "look is not reproducible"),
        (_with_setup(analysis("fit"), "look@" + "a" * 64), "which is not to be had"),
        (
            _with_setup(analysis("fit"), "x@" + "a" * 64, analysis("look", inputs={**MOVIE, "dark": MOVIE["movie"]})),
            "look requires dark, which is no input of fit",
        ),
        (
            _with_setup(
                analysis("fit"), "x@" + "a" * 64, analysis("look", inputs={"a": {"title": "A", "kinds": [".csv"]}})
            ),
            "movie gives .npy; a source of kind .csv is right",
        ),
        (
            _with_setup(analysis("fit"), "x@" + "a" * 64, _chain(analysis("look", parameters={"scale": 1}))),
            "more than one stack",
        ),
    ],
)
def test_what_can_not_be_a_preview_is_refused(family: Family, said: str) -> None:
    with pytest.raises(Refused, match=said):
        family.check()
