"""That the composite fits its parts as they are; its pages are tested in tests/browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurocaas.blueprint import Family, read_version

ANALYSES = Path(__file__).resolve().parent.parent


def _family(name: str) -> Family:
    version = read_version(ANALYSES / name)
    children = {step: _family(pin.partition("@")[0]) for step, pin in version.blueprint.pins.items()}
    return Family(version=version, children=children)


@pytest.fixture(scope="module")
def family() -> Family:
    return _family("widefield")


def test_it_is_pinned_to_the_analyses_as_they_are(family: Family) -> None:
    """After an edit of one of them: make pins."""
    for name, pin in family.version.blueprint.pins.items():
        child = family.children[name].version
        assert pin == f"{child.name}@{child.digest}"
    family.check()


def test_every_recording_can_be_analysed_with_the_defaults(family: Family) -> None:
    config = family.complete({})
    assert config["locanmf.landmarks"] == []
    rates = {value for name, value in config.items() if name.endswith("sampling_rate_hz")}
    assert rates == {30}


def test_the_set_up_page_sets_a_parameter_that_there_is(family: Family) -> None:
    page = (ANALYSES / "widefield" / "pages" / "setup.html").read_text()
    assert "locanmf.landmarks" in page
    landmark = {"name": "OB_left", "x": 1.5, "y": 2}
    assert family.complete({"locanmf.landmarks": [landmark]})["locanmf.landmarks"] == [landmark]


@pytest.mark.parametrize("name", ["setup.html", "explore.html"])
def test_a_page_asks_for_nothing_from_elsewhere(name: str) -> None:
    page = (ANALYSES / "widefield" / "pages" / name).read_text()
    for word in ("http:", "https:", "import(", "fetch(", "XMLHttpRequest", "eval(", "src="):
        assert word not in page
