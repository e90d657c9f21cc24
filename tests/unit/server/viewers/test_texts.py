"""Tables, JSON and texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocaas.server.viewers.readers import texts
from neurocaas.server.viewers.sizes import MOST_COLUMNS, TEXT_CHARACTERS
from unit.server.viewers.conftest import Seen

See = Callable[..., Seen]
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def numbered(rows: int) -> bytes:
    return b"cell,area [px],name\n" + b"".join(b"%d,%.1f,n%d\n" % (n, n * 1.5, n) for n in range(rows))


def test_a_table_is_seen_page_by_page(see: See) -> None:
    preview = see("a.csv", numbered(250), page=2).preview
    assert preview.columns == ("cell", "area [px]", "name")
    assert preview.numeric == (True, True, False)
    assert (preview.first_row, len(preview.rows), preview.total_rows, preview.has_more) == (200, 50, 250, False)
    assert preview.rows[0] == ("200", "300.0", "n200")
    assert see("a.csv", numbered(250)).preview.has_more
    beyond = see("a.csv", numbered(250), page=10**9).preview
    assert (beyond.rows, beyond.total_rows) == ((), 250)


@pytest.mark.parametrize(
    ("name", "content", "columns", "rows"),
    [
        ("a.csv", b"1,2\n3,4\n", ("column 1", "column 2"), (("1", "2"), ("3", "4"))),
        ("a.csv", "\ufeffa;b\n1,5;2\n".encode(), ("a", "b"), (("1,5", "2"),)),
        ("a.tsv", b"a\tb\n1,5\t2\n", ("a", "b"), (("1,5", "2"),)),
        ("a.csv", b'a,b\n"x, ""y""\nz",2\n', ("a", "b"), (('x, "y" z', "2"),)),
        ("a.csv", b"a\n1,2,3\n", ("a", "column 2", "column 3"), (("1", "2", "3"),)),
        ("a.csv", b"a,b\n\xff,\x1b[31m\n", ("a", "b"), (("�", " [31m"),)),
        ("a.csv", b"a,b\n", ("a", "b"), ()),
        ("a.csv", b"", (), ()),
    ],
)
def test_whatever_a_table_looks_like_its_cells_are_found(
    see: See, name: str, content: bytes, columns: Any, rows: Any
) -> None:
    preview = see(name, content).preview
    assert (preview.columns, preview.rows) == (columns, rows)


def test_of_a_wide_table_the_first_columns_are_shown(see: See) -> None:
    preview = see("a.csv", b",".join(b"c%d" % n for n in range(3000)) + b"\n" + b"1," * 2999 + b"1\n").preview
    assert (len(preview.columns), len(preview.rows[0]), preview.total_columns) == (MOST_COLUMNS, MOST_COLUMNS, 3000)


def test_a_long_cell_is_shortened(see: See) -> None:
    assert len(see("a.csv", b"a,b\n" + b"x" * 100_000 + b",2\n").preview.rows[0][0]) == 300


def test_of_a_long_table_the_beginning_is_read(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "READ_BYTES", 5000)
    preview = see("a.csv", numbered(10_000)).preview
    assert (preview.total_rows, preview.has_more) == (None, True)
    assert "only the first 5,000 bytes are read" in preview.note
    assert not see("a.csv", numbered(10_000), page=50).preview.has_more


@quick
@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=4), max_size=5), st.binary(max_size=80))
def test_any_bytes_are_a_table_or_a_sentence(see: See, rows: list[list[str]], tail: bytes) -> None:
    text = "\n".join(",".join(row) for row in rows)
    assert see("a.csv", text.encode() + tail).preview.form in ("table", "not shown")


@quick
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_json_is_indented_and_means_the_same(see: See, value: Any) -> None:
    preview = see("a.json", json.dumps(value).encode()).preview
    assert preview.form == "json"
    assert repr(json.loads(preview.text)) == repr(
        json.loads(json.dumps(value, ensure_ascii=False).replace("\x7f", "�"))
    )


@pytest.mark.parametrize("content", [b"{", b"[1,]", b"", b"\xff", b"[" * 200_000, b"9" * 10_000])
def test_what_is_no_json_is_shown_as_text_with_the_reason(see: See, content: bytes) -> None:
    preview = see("a.json", content).preview
    assert preview.form == "text"
    assert preview.note.startswith("It is not read as JSON, so it is shown as text: ")


def test_a_long_json_document_is_cut(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    preview = see("a.json", json.dumps(list(range(100_000))).encode()).preview
    assert (preview.truncated, len(preview.text)) == (True, TEXT_CHARACTERS)
    monkeypatch.setattr(texts, "JSON_BYTES", 100)
    assert "too long to be indented" in see("a.json", json.dumps(list(range(100))).encode()).preview.note


@pytest.mark.parametrize("name", ["a.txt", "a.log", "a.yaml", "a.md", "a.py", "a", "a.unheard-of"])
def test_texts_are_shown_whatever_their_ending(see: See, name: str) -> None:
    preview = see(name, "größe: 3 µm\r\nok\x1b[31m\x00red".replace("\x00", "").encode()).preview
    assert (preview.text, preview.truncated) == ("größe: 3 µm\nok�[31mred", False)


def test_markup_is_text_and_left_to_the_templates(see: See) -> None:
    assert see("a.md", b"<script>alert(1)</script>").preview.text == "<script>alert(1)</script>"


def test_the_pages_of_a_long_text_make_up_the_whole(see: See) -> None:
    whole = "äöü€𝄞\n" * 60_000
    first = see("a.log", whole.encode()).preview
    assert (first.pages, first.truncated) == (4, True)
    pages = [see("a.log", whole.encode(), page=page).preview.text for page in range(4)]
    assert "".join(pages) == whole
    assert see("a.log", whole.encode(), page=99).preview.page == 3


def test_utf_16_is_read_by_its_mark(see: See) -> None:
    assert see("a.txt", "größe".encode("utf-16")).preview.text.removeprefix("\ufeff") == "größe"


@pytest.mark.parametrize("name", ["a.txt", "a", "a.dat"])
def test_what_is_no_text_is_a_sentence(see: See, name: str) -> None:
    preview = see(name, bytes(range(256))).preview
    assert preview.form == "not shown"
    assert "text" in preview.sentence


@quick
@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.json", "a.tsv", "a"]))
def test_any_bytes_are_text_or_a_sentence(see: See, content: bytes, name: str) -> None:
    assert see(name, content).preview.form in ("text", "json", "table", "not shown")
