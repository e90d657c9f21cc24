from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.server.viewers.kinds import KINDS, OCTETS, PLAIN, content_type_for, viewer_for


@given(st.text(), st.sampled_from([*KINDS, ""]))
def test_every_name_has_a_kind_and_a_content_type(stem: str, ending: str) -> None:
    assert viewer_for(stem + ending) in {*KINDS, ""}
    assert "/" in content_type_for(stem + ending).name


@pytest.mark.parametrize("name", ["a.html", "a.HTM", "a.svg", "a.pdf", "a.xml", "a.xhtml", "a.js", "a", "a.unknown"])
def test_what_can_hold_a_script_is_never_served_inline(name: str) -> None:
    assert not content_type_for(name).inline


def test_inline_types_are_pictures_movies_and_plain_text_alone() -> None:
    inline = {kind.content.name for kind in KINDS.values() if kind.content.inline}
    assert {name for name in inline if not name.startswith(("image/", "video/"))} == {PLAIN}
    assert "image/svg+xml" not in inline


def test_endings_are_read_whatever_their_case() -> None:
    assert viewer_for("Session.NPY") == ".npy"
    assert viewer_for("archive.tar.gz") == ""
    assert content_type_for("x.npz") == (OCTETS, False)
