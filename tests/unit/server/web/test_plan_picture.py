"""A job's plan as a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence


def drawn(steps: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
    """The plan of a job of these steps, of one waiting stack each, whose edges are told by the steps' places."""
    from neurocaas.server.jobs.models import Job, Step
    from neurocaas.server.web.jobs.graph import graph
    from neurocaas.server.web.jobs.state import Part, State

    parts = tuple(Part(step=Step(pk=k, name=name), counts={"waiting": 1}) for k, name in enumerate(steps))
    state = State(
        job=Job(), parts=parts, edges=tuple(edges), total=len(steps), done=0, cost_nanodollars=0, held_nanodollars=0
    )
    return str(graph(state))


def test_steps_stand_in_the_column_after_those_they_wait_for() -> None:
    columns = [int(x) for x in re.findall(r'class="node " x="(\d+)"', drawn(["a", "b", "c"], [(0, 1), (1, 2), (0, 2)]))]
    assert columns == sorted(set(columns))


def test_what_feeds_a_step_far_on_passes_below_the_steps_between() -> None:
    picture = drawn(["overview", "motion", "pmd", "locanmf"], [(1, 2), (2, 3), (0, 3)])
    bottom = max(int(y) for x, y in re.findall(r'class="node " x="(\d+)" y="(\d+)"', picture) if x == "289") + 92
    [passing] = re.findall(r" (\d+\.\d+)H", picture)
    assert float(passing) > bottom


def test_a_long_name_is_written_smaller() -> None:
    picture = drawn(["locanmf", "preprocess/hemodynamics"], [])
    assert re.findall(r'class="name( long)?"[^>]*>([^<]+)<', picture) == [
        ("", "locanmf"),
        (" long", "preprocess/hemodynamics"),
    ]
