"""A job's plan as a picture: its steps from left to right, how many stacks of each are where, and what feeds what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from neurocaas.server.jobs.status import Status
from neurocaas.server.web.jobs.state import Part, State

WIDTH, HEIGHT = 232, 92
ACROSS, DOWN = 56, 20
EDGE, BAR = 16, 8
MOST_STEPS = 60  # of a plan of more steps, the first are drawn; the table has them all
NAME_CHARACTERS = 26
LARGE_CHARACTERS = 19  # a longer name is written smaller
ORDER = (
    Status.SUCCEEDED,
    Status.RUNNING,
    Status.LAUNCHING,
    Status.WAITING,
    Status.CANCELLED,
    Status.FAILED,
)


def graph(state: State) -> SafeString:
    """The plan as SVG, whose size follows the number of steps, not that of stacks."""
    parts = state.parts[:MOST_STEPS]
    columns = depths([one.step.pk for one in parts], state.edges)
    rows: dict[int, int] = defaultdict(int)
    nodes: dict[int, dict[str, Any]] = {}
    for part in parts:
        column = columns[part.step.pk]
        x, y = column * (WIDTH + ACROSS) + 1, rows[column] * (HEIGHT + DOWN) + 1
        rows[column] += 1
        nodes[part.step.pk] = _node(part, x, y)
    drawn = [
        _edge(
            nodes[one],
            nodes[other],
            max((rows[between] for between in range(columns[one] + 1, columns[other])), default=0),
        )
        for one, other in state.edges
        if one in nodes and other in nodes
    ]
    return render_to_string(
        "web/job/graph_svg.html",
        {
            "nodes": list(nodes.values()),
            "edges": drawn,
            "width": (max(rows, default=0) + 1) * (WIDTH + ACROSS) - ACROSS + 2,
            "height": max(rows.values(), default=1) * (HEIGHT + DOWN),
            "node_width": WIDTH,
            "node_height": HEIGHT,
            "more": len(state.parts) - len(parts),
        },
    )


def depths(steps: Sequence[int], edges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """In which column each step stands: one after the last of those it waits for."""
    before: Mapping[int, list[int]] = defaultdict(list)
    for one, other in edges:
        before[other].append(one)
    found: dict[int, int] = {}
    for _ in steps:  # a plan has no circle, so the longest way has no more steps than there are
        nearer = {step: 1 + max((found.get(one, 0) for one in before[step]), default=-1) for step in steps}
        if nearer == found:
            break
        found = nearer
    return found


def _node(part: Part, x: int, y: int) -> dict[str, Any]:
    said = [(status, part.counts[status]) for status in ORDER if part.counts.get(status)]
    total, start, pieces = part.total or 1, float(EDGE), []
    for status, count in said:
        width = (WIDTH - 2 * EDGE) * count / total
        pieces.append({"status": status, "x": round(x + start, 1), "width": round(max(width, 1.5), 1)})
        start += width
    words = " · ".join(f"{count:,} {status}" for status, count in said)
    return {
        "x": x,
        "y": y,
        "text_x": x + EDGE,
        "name": _short(part.step.name),
        "long": len(part.step.name) > LARGE_CHARACTERS,
        "title": f"{part.step.name} ({part.step.label}): {words or 'no stack yet'}",
        "about": _short(part.step.label),
        "words": words if len(words) <= NAME_CHARACTERS + 8 else f"{said[0][1]:,} of {part.total:,} {said[0][0]}",
        "worst": Status.FAILED if part.counts.get(Status.FAILED) else "",
        "pieces": pieces,
    }


def _edge(one: Mapping[str, Any], other: Mapping[str, Any], rows_between: int) -> str:
    """rows_between: of the columns that it has to pass, which it does below their boxes."""
    x1, y1, x2, y2 = one["x"] + WIDTH, one["y"] + HEIGHT / 2, other["x"], other["y"] + HEIGHT / 2
    if not rows_between:
        middle = (x1 + x2) / 2
        return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2 - 5} {y2}"
    half, below = ACROSS / 2, rows_between * (HEIGHT + DOWN) - DOWN / 2
    down = f"C{x1 + half} {y1} {x1 + half} {below} {x1 + ACROSS} {below}"
    return f"M{x1} {y1}{down}H{x2 - ACROSS}C{x2 - half} {below} {x2 - half} {y2} {x2 - 5} {y2}"


def _short(text: str) -> str:
    return text if len(text) <= NAME_CHARACTERS else f"{text[: NAME_CHARACTERS - 1]}…"
