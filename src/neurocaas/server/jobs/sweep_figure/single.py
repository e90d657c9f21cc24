"""A sweep of one point, and one without a single result."""

from __future__ import annotations

from collections import Counter

from neurocaas.server.jobs.sweep_figure.measures import Measure, Sweep, mean, spread
from neurocaas.server.jobs.sweep_figure.page import (
    COLOURS,
    FAINT,
    GREY,
    INK,
    Heading,
    Page,
    letters_wide,
    limits,
    round_values,
)
from neurocaas.server.jobs.sweep_figure.wording import plain

_WIDE, _LINE, _MOST_LINES = 2.3, 0.26, 40


def draw_single(sweep: Sweep, heading: Heading) -> bytes:
    """One point: a line per dataset, a panel per measure."""
    datasets = sweep.datasets[:_MOST_LINES]
    names = max(letters_wide(name, 8.5) for name in datasets) + 0.1
    columns = min(len(sweep.measures), 4)
    rows = -(-len(sweep.measures) // columns)
    high = _LINE * len(datasets) + 0.1
    subtitle = [*heading.subtitle, ", ".join(sweep.fixed[:8])] if sweep.fixed else heading.subtitle
    notes = list(heading.notes)
    if len(datasets) < len(sweep.datasets):
        notes.append(f"Drawn are the first {len(datasets)} of {len(sweep.datasets)} datasets; the table has all.")
    if len(sweep.datasets) > 2:
        notes.append("The dashed line is the mean.")
    heading = Heading(title=heading.title, subtitle=subtitle, notes=notes, totals=heading.totals)
    width = max(names + columns * (_WIDE + 0.3), 5.2)
    page = Page(heading, width, rows * (high + 0.75) - 0.1)
    for index, measure in enumerate(sweep.measures):
        row, column = divmod(index, columns)
        left, top = names + column * (_WIDE + 0.3), row * (high + 0.75) + 0.3
        page.write(left, top - 0.14, measure.label, weight="bold")
        _panel(page, sweep, measure, (left, top, _WIDE, high), names=datasets if column == 0 else None)
    return page.png()


def _panel(
    page: Page,
    sweep: Sweep,
    measure: Measure,
    place: tuple[float, float, float, float],
    *,
    names: tuple[str, ...] | None,
) -> None:
    axes = page.axes(*place)
    shown = min(len(sweep.datasets), _MOST_LINES)
    values = [mean(measure.values[row] for row in sweep.at((), dataset)) for dataset in range(shown)]
    known = [value for value in measure.values if value is not None]
    low, high = limits(known, is_log=measure.is_log, margin=0.12)
    # From zero, where that does not squeeze the differences.
    if not measure.is_log and min(known) >= 0:
        low, high = 0.0, max(known) * 1.08 or 1.0
    axes.set_xscale("log" if measure.is_log else "linear")
    axes.set_xlim(low, high)
    places, labels = round_values(measure, low, high, ticks=4)
    axes.set_xticks(places, labels, parse_math=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(shown - 0.5, -0.5)
    axes.set_yticks(range(shown), names or [""] * shown, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(range(shown), low, high, color=FAINT, linewidth=0.6, zorder=1)
    for line, value in enumerate(values):
        if value is None:
            rows = sweep.at((), line)
            state = next((plain(sweep.rows[n].status, 12) for n in rows if sweep.rows[n].status != "succeeded"), "–")
            axes.text(0.02, line, state, transform=axes.get_yaxis_transform(), va="center", size=8, color=GREY)
            continue
        axes.hlines([line], low, value, color=COLOURS[0], linewidth=2, zorder=2)
        axes.plot([value], [line], "o", color=COLOURS[0], markersize=6, zorder=3, clip_on=False)
    average, deviation = mean(values), spread(values)
    if average is not None and deviation is not None and len(sweep.datasets) > 2:
        axes.axvline(average, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.5)


def draw_empty(sweep: Sweep, heading: Heading) -> bytes:
    """No stack has a value to draw: say so, and what became of them."""
    page = Page(heading, 6.2, 1.5)
    states = Counter(row.status for row in sweep.rows)
    count = len(sweep.rows)
    if count and set(states) == {"failed"}:
        sentence = f"All {count} stacks failed." if count > 1 else "The only stack failed."
    elif count:
        sentence = "No stack has a result to draw."
    else:
        sentence = "The sweep has no stacks."
    page.write(3.1, 0.6, sentence, size=14, ha="center", weight="bold", color=GREY)
    detail = ", ".join(f"{number} {plain(state, 16)}" for state, number in sorted(states.items())[:5])
    reasons = "Each stack's reason stands in the job's description." if states.get("failed") else detail
    page.write(3.1, 0.95, reasons, ha="center", color=GREY)
    return page.png()
