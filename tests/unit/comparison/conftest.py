"""Two places for the result files that are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurocaas.comparison import Comparison
from neurocaas.comparison.kinds import compare_here
from neurocaas.comparison.reading import Source

Write = Callable[[Path], Any]
Compared = Callable[[str, Write, Write], Comparison]


@pytest.fixture
def compared(tmp_path: Path) -> Compared:
    """Have two files written, of the given name's kind, and compare them by it.

    In this process: `test_apart` sees to the other one, whose start would take most of the time here.
    """

    def both(name: str, expected: Write, found: Write) -> Comparison:
        paths = [tmp_path / side / name for side in ("expected", "found")]
        for path, write in zip(paths, (expected, found), strict=True):
            path.parent.mkdir(exist_ok=True)
            write(path)
        one, other = (Source(path, path.parent.name, path.suffix) for path in paths)
        return compare_here(one, other)

    return both
