"""Small charts as SVG, drawn on the server: no script, no style, readable without them by the table beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

WIDTH, HEIGHT, FOOT = 720, 180, 24


def bars(values: Sequence[tuple[str, float, str]]) -> SafeString:
    """A bar for each of (label, value, value as read), none of them negative."""
    largest = max((value for _, value, _ in values), default=0) or 1
    step = WIDTH / max(1, len(values))
    drawn = [
        {
            "x": round(index * step + step * 0.15, 1),
            "width": round(step * 0.7, 1),
            "middle": round(index * step + step / 2, 1),
            "height": round((HEIGHT - FOOT - 20) * value / largest, 1),
            "y": round(HEIGHT - FOOT - (HEIGHT - FOOT - 20) * value / largest, 1),
            "label": label,
            "shown": shown if value else "",
        }
        for index, (label, value, shown) in enumerate(values)
    ]
    return render_to_string(
        "web/charts/bars.html", {"bars": drawn, "width": WIDTH, "height": HEIGHT, "base": HEIGHT - FOOT}
    )


LINE_WIDTH, LINE_HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 420, 170, 74, 26, 10, 10


def line(
    points: Sequence[tuple[float, float]], *, up: Callable[[float], str], across: Callable[[float], str]
) -> SafeString:
    """A line through (x, y) from 0 on, with axes; up, across: how their numbers are read. At least one point."""
    most_x = max(x for x, _ in points) or 1
    most_y = _round_up(max(y for _, y in points)) or 1
    wide, high = LINE_WIDTH - LEFT - RIGHT, LINE_HEIGHT - TOP - BOTTOM
    places = [(LEFT + wide * x / most_x, TOP + high * (1 - y / most_y)) for x, y in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    base = TOP + high
    return render_to_string(
        "web/charts/line.html",
        {
            "width": LINE_WIDTH,
            "height": LINE_HEIGHT,
            "left": LEFT,
            "right": LEFT + wide,
            "base": base,
            "path": path,
            "area": f"{path}L{places[-1][0]:.1f} {base}L{places[0][0]:.1f} {base}Z",
            "ups": [
                {"y": round(TOP + high * (1 - part), 1), "shown": up(most_y * part) if part else "0"}
                for part in (0, 0.5, 1)
            ],
            "acrosses": [
                {"x": round(LEFT + wide * part, 1), "shown": across(most_x * part) if part else "0", "anchor": anchor}
                for part, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
            ],
        },
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 4 or 8 times a power of ten, or of 1024 for what is as large as sizes in bytes are."""
    if value <= 0:
        return 0.0
    base = 1024.0 ** int(math.log(value, 1024)) if value >= 1024 else 1.0
    scale = base * 10.0 ** math.floor(math.log10(value / base))
    return next(scale * step for step in (1, 2, 4, 8, 10) if scale * step >= value * 0.999)
