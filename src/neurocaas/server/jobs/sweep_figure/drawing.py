"""Choose the form of the figure by what was swept, and write its heading and its last line."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal

from neurocaas.server.jobs.sweep_figure.measures import Sweep, prepared
from neurocaas.server.jobs.sweep_figure.wording import plain
from neurocaas.server.jobs.sweep_table import SweepTable

_MOST_LEVELS_OF_MAP = 40
_LEAST_FILLED = 0.6  # of a grid's cells, for it to be drawn as one


def draw(table: SweepTable) -> bytes:
    """The sweep as a PNG. The same table gives the same bytes; any thread may draw; nothing global is changed.

    One swept parameter: a panel of lines per measure. Two on a grid: heat maps. Anything else: ranked points.
    Measures are the declared metrics, the running time and the cost.
    """
    # matplotlib takes most of a second to import, so only once there is something to draw.
    from neurocaas.server.jobs.sweep_figure.lines import draw_lines
    from neurocaas.server.jobs.sweep_figure.maps import draw_maps
    from neurocaas.server.jobs.sweep_figure.page import Heading
    from neurocaas.server.jobs.sweep_figure.ranking import draw_ranking, ranked
    from neurocaas.server.jobs.sweep_figure.single import draw_empty, draw_single

    sweep = prepared(table)
    title = plain(table.title, 80) or "Parameter sweep"
    fixed = [f"{', '.join(sweep.fixed[:8])} throughout"] if sweep.fixed and len(sweep.points) > 1 else []
    notes = list(sweep.notes)
    if sweep.is_averaged and sweep.swept and any(row.status == "failed" for row in sweep.rows):
        notes.append("Means are over the datasets that succeeded at that point.")
    heading = Heading(title=title, subtitle=fixed, notes=notes, totals=totals(table))
    if not sweep.measures:
        return draw_empty(sweep, heading)
    if not sweep.swept:
        return draw_single(sweep, heading)
    if len(sweep.swept) == 1:
        return draw_lines(sweep, heading)
    if is_grid(sweep):
        return draw_maps(sweep, heading)
    ranking = ranked(sweep)
    subtitle = [ranking.sentence, *fixed]
    heading = Heading(title=title, subtitle=subtitle, notes=notes, totals=heading.totals)
    return draw_ranking(sweep, heading, ranking)


def is_grid(sweep: Sweep) -> bool:
    """Whether heat maps suit: two parameters, most of whose combinations were run."""
    sizes = [len(one.levels) for one in sweep.swept]
    filled = len(sweep.points) / math.prod(sizes)
    return len(sizes) == 2 and max(sizes) <= _MOST_LEVELS_OF_MAP and filled >= _LEAST_FILLED


def totals(table: SweepTable) -> str:
    """How many stacks, what they cost, how many failed, and how many were answered from earlier results."""
    count = len(table.rows)
    dollars = sum((row.cost_dollars for row in table.rows), Decimal(0))
    parts = [f"{count} {'stack' if count == 1 else 'stacks'}", f"{money(dollars)} in total"]
    states = Counter(row.status for row in table.rows if row.status != "succeeded")
    parts.append(f"{states.pop('failed', 0) or 'none'} failed")
    parts += [f"{number} {plain(state, 12)}" for state, number in sorted(states.items())[:4]]
    if reused := sum(row.reused for row in table.rows):
        parts.append(f"{reused} answered from earlier results")
    return "  ·  ".join(parts)


def money(dollars: Decimal) -> str:
    """Cents, and more digits where cents would hide what was spent."""
    return f"${dollars:.4f}" if 0 < dollars < 1 else f"${dollars:,.2f}"
