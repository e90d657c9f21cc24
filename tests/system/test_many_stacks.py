"""That pages stay as quick as they are with few stacks when the database holds very many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.measured import measured

pytestmark = pytest.mark.alone

STACKS, FEW = 200_000, 2_000
MOST_MS = 150
PROMISED = ("history", "job", "group", "home")


def test_pages_of_many_stacks_are_quick_and_ask_no_more_often(
    new_database: Callable[[], list[str]], record_property: Callable[[str, object], None]
) -> None:
    few = measured("stacks", "--stacks", str(FEW), "--requests", "2", *new_database())["pages"]
    many = measured("stacks", "--stacks", str(STACKS), *new_database())
    pages = many["pages"]
    cells = [f"{name} {one['p50']:.0f}/{one['p95']:.0f} ms, {one['queries']} queries" for name, one in pages.items()]
    record_property(
        "figures",
        f"{many['stacks']:,} stacks of {many['jobs']:,} jobs on {many['database']} (written in "
        f"{many['seeding_seconds']:.0f} s), p50/p95 of pages: {'; '.join(cells)}.",
    )
    assert many["stacks"] == STACKS
    asked = {name: one["queries"] for name, one in pages.items()}
    assert asked == {name: one["queries"] for name, one in few.items()}
    slow = {name: one for name, one in pages.items() if name.startswith(PROMISED) and one["p95"] > MOST_MS}
    assert not slow
