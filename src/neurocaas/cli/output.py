"""What commands print: JSON for programs, a few words for people, errors on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """`--json`: one JSON document on standard output, and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Left-aligned columns, wide enough for their widest cell."""
    cells = [[str(one) for one in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for row in [list(heads), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def say(message: str) -> None:
    """A word to the person, apart from the command's output."""
    click.echo(message, err=True)


def fail(message: str, code: int, *, remedy: str = "", as_json: bool = False) -> int:
    """Print an error as sentences, or as JSON on standard output, and hand back the exit code."""
    if as_json:
        print_json({"error": {"messages": message.splitlines(), "remedy": remedy, "exit_code": code}})
    for line in message.splitlines():
        say(f"error: {line}")
    if remedy:
        say(remedy)
    return code
