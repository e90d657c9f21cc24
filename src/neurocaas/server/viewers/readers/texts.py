"""Texts, JSON and tables: a page of them, decoded without fail and without what a browser or terminal obeys."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurocaas.comparison.reading import lines
from neurocaas.comparison.tables import NUMBER, delimiter_of, is_header
from neurocaas.server.viewers.readers.said import Said, Wanted, line, source_of
from neurocaas.server.viewers.sizes import CELL_CHARACTERS, MOST_COLUMNS, MOST_ROWS, READ_BYTES, TEXT_CHARACTERS

PAGE_BYTES = TEXT_CHARACTERS
JSON_BYTES = 8 * 1024**2
UNSAID = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
CONTINUES = range(0x80, 0xC0)  # a byte within a letter of UTF-8
BYTE_ORDERS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def show_text(path: Path, kind: str, wanted: Wanted) -> Said:
    source = source_of(path, kind or "text")
    with source.reading(), path.open("rb") as file:
        size = path.stat().st_size
        start = file.read(PAGE_BYTES)
        encoding = BYTE_ORDERS.get(start[:2], "utf-8")
        if encoding == "utf-8" and not _is_text(start, known=bool(kind)):
            raise source.unreadable("it is not text" if kind else "it is of no kind that has a viewer, and is no text")
        if encoding != "utf-8":
            preview = {
                "form": "text",
                "text": _plain(start.decode(encoding, "replace")),
                "truncated": size > len(start),
            }
            return Said(preview=preview)
        pages = max(1, -(-size // PAGE_BYTES))
        page = min(wanted.page, pages - 1)
        file.seek(page * PAGE_BYTES)
        # A letter that lies across the end of a page belongs to the page on which it begins.
        raw, ahead = file.read(PAGE_BYTES), file.read(3)
        raw += bytes(itertools.takewhile(CONTINUES.__contains__, ahead))
        raw = bytes(itertools.dropwhile(CONTINUES.__contains__, raw[:3])) + raw[3:] if page else raw
    text = _plain(raw.decode("utf-8-sig" if not page else "utf-8", "replace"))
    preview = {"form": "text", "text": text[:TEXT_CHARACTERS], "page": page, "pages": pages, "truncated": pages > 1}
    return Said(preview=preview)


def _is_text(start: bytes, *, known: bool) -> bool:
    if b"\0" in start:
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as fault:
        return known or fault.start > len(start) - 4
    return True


def _plain(text: str) -> str:
    return UNSAID.sub("�", text.replace("\r\n", "\n").replace("\r", "\n"))[:TEXT_CHARACTERS]


def show_json(path: Path, kind: str, wanted: Wanted) -> Said:
    source = source_of(path, kind)
    if path.stat().st_size > JSON_BYTES:
        said = show_text(path, kind, wanted)
        note = f"It is too long to be indented: more than {JSON_BYTES:,} bytes."
        return Said(preview=said.preview | {"note": note})
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError) as cause:
        said = show_text(path, kind, wanted)
        reason = "it is nested too deeply" if isinstance(cause, RecursionError) else line(cause, 200)
        return Said(preview=said.preview | {"note": f"It is not read as JSON, so it is shown as text: {reason}."})
    except OSError as cause:
        raise source.unreadable(cause.strerror or "the disk can't be read") from cause
    text = text.encode("utf-8", "replace").decode()
    return Said(preview={"form": "json", "text": _plain(text), "truncated": len(text) > TEXT_CHARACTERS})


def show_table(path: Path, kind: str, wanted: Wanted) -> Said:
    source = source_of(path, kind)
    delimiter = "\t" if kind == ".tsv" else delimiter_of(source)
    with source.reading(), path.open("rb") as file:
        if b"\0" in file.read(PAGE_BYTES):
            raise source.unreadable("it is not text")
        file.seek(0)
        rows = csv.reader(_bounded(lines(file, source)), delimiter=delimiter)
        first = next(rows, None)
        if first is None:
            return Said(preview=_table([], [], 0, 0, wanted.page, more=False))
        named = is_header(first)
        body = rows if named else itertools.chain([first], rows)
        start = wanted.page * MOST_ROWS
        skipped = sum(1 for _ in itertools.islice(body, start))
        shown = list(itertools.islice(body, MOST_ROWS))
        following = sum(1 for _ in body)
        whole = file.tell() >= path.stat().st_size
    width = max(map(len, [first, *shown]))
    names = first if named else []
    columns = [*names, *(f"column {number}" for number in range(len(names) + 1, width + 1))]
    total = skipped + len(shown) + following if whole else None
    preview = _table(columns, shown, start, total, wanted.page, more=following > 0 or not whole)
    if not whole:
        preview["note"] = f"Of this file only the first {READ_BYTES:,} bytes are read; download it to see all rows."
        preview["has_more"] = following > 0
    return Said(preview=preview)


def _bounded(every: Iterator[bytes]) -> Iterator[str]:
    """The lines of as much of the file as is read, so that no page makes a large one be read to its end."""
    left = READ_BYTES
    for number, one in enumerate(every):
        left -= len(one)
        text = one.decode("utf-8", "replace")
        yield text.removeprefix("\ufeff") if number == 0 else text
        if left <= 0:
            return


def _table(
    columns: list[str], rows: list[list[str]], first_row: int, total: int | None, page: int, *, more: bool
) -> dict[str, Any]:
    shown = [[line(cell, CELL_CHARACTERS) for cell in row[:MOST_COLUMNS]] for row in rows]
    cells = [[row[number] for row in shown if len(row) > number] for number in range(min(len(columns), MOST_COLUMNS))]
    numeric = [any(one.strip() for one in each) and all(_is_number(one) for one in each) for each in cells]
    return {
        "form": "table", "columns": [line(name, CELL_CHARACTERS) for name in columns[:MOST_COLUMNS]],
        "numeric": numeric, "rows": shown, "first_row": first_row, "total_rows": total,
        "total_columns": len(columns), "page": page, "has_more": more,
    }  # fmt: skip


def _is_number(cell: str) -> bool:
    return not cell.strip() or NUMBER.fullmatch(cell.strip()) is not None
