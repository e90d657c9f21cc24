"""Every pair of the theme's colours that someone has to read keeps WCAG AA's contrast, in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import neurocaas

STYLE = Path(neurocaas.__file__).parent / "server" / "web" / "static" / "web" / "style.css"
STATUSES = ("waiting", "launching", "running", "succeeded", "failed", "cancelled", "caution")
GROUNDS = ("paper", "surface", "sunken")
TEXT = [
    *((ink, ground) for ink in ("ink", "muted", "accent", "accent-strong", "failed") for ground in GROUNDS),
    *((status, f"{status}-wash") for status in STATUSES),
    *(("ink", f"{status}-wash") for status in STATUSES),
    ("accent-strong", "accent-wash"),
    ("ink", "accent-wash"),
    ("muted", "accent-wash"),
    ("failed", "failed-wash"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("console-ink", "console"),
    ("console-muted", "console"),
    ("console-failed", "console"),
]
# What marks a control or the focus is not text: 3:1 (WCAG 1.4.11).
MARKS = [
    *(("edge", ground) for ground in ("paper", "surface")),
    *(("focus", ground) for ground in GROUNDS),
    *((bar, "line") for bar in ("accent", "failed", "caution")),
]


def colours(theme: int) -> dict[str, str]:
    """The theme's colours by name; theme 0 is light, 1 is dark."""
    sheet = STYLE.read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", sheet)
    both = re.findall(r"--([\w-]+): (#[0-9a-f]{6});", sheet)
    return {name: values[theme] for name, *values in pairs} | dict(both)


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_has_the_contrast_that_wcag_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_is_legible_on_its_ground(ink: str, ground: str, theme: int) -> None:
    known = colours(theme)
    assert contrast(known[ink], known[ground]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), MARKS)
def test_what_marks_a_control_is_seen_on_its_ground(mark: str, ground: str, theme: int) -> None:
    known = colours(theme)
    assert contrast(known[mark], known[ground]) >= 3
