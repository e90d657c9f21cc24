"""Small charts as SVG, drawn on the server: no script, no style, readable without them by the table beside."""

from __future__ import annotations

from collections.abc import Sequence

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
