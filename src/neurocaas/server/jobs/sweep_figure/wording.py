"""Words and numbers as a figure shows them: short, in the font's own letters, never taken for mathematics."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NO_BREAK = "\N{NO-BREAK SPACE}"
_UNKNOWN = "\N{WHITE VERTICAL RECTANGLE}"
# Longer whole numbers are no floats, and far longer ones can't even be written in decimal.
_LONGEST_INTEGER_BITS = 1000


def plain(text: str, limit: int = 40) -> str:
    """The text on one line, shortened in the middle to `limit` letters, with a box for each letter the font lacks."""
    known = _letters()
    line = " ".join("".join(one if one.isprintable() else " " for one in text[: 50 * limit]).split())
    return shortened("".join(one if ord(one) in known else _UNKNOWN for one in line), limit)


def shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def with_unit(title: str, unit: str) -> str:
    """The unit in brackets, where a line is never broken."""
    return f"{title} [{unit.replace(' ', NO_BREAK)}]" if unit else title


def power_of_ten(exponent: int) -> str:
    return f"10{str(exponent).translate(_SUPERSCRIPT)}"


def compact(number: float) -> str:
    """Three digits at most, and a power of ten for what is very large or very small."""
    size = abs(number)
    if size == 0 or 1e-3 <= size < 1e5:
        text = f"{number:.0f}" if size >= 100 else f"{number:.3g}"
        return text.replace("-", "−")
    mantissa, _, exponent = f"{number:.2e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".").replace("-", "−")
    return power_of_ten(int(exponent)) if mantissa == "1" else f"{mantissa}×{power_of_ten(int(exponent))}"


def fixed(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def of_value(value: Any) -> str:
    """A parameter's value as it stands in the config."""
    if isinstance(value, str):
        return plain(value, 24) or "“”"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER_BITS:
        return "very large" if value > 0 else "very small"
    if isinstance(value, int) and abs(value) < 10**7:
        return str(value).replace("-", "−")
    if isinstance(value, float) and (value == 0 or 1e-4 <= abs(value) < 1e7):
        return f"{value:.6g}".replace("-", "−")
    if isinstance(value, int | float) and math.isfinite(value):
        return compact(float(value)) if abs(value) < 1e300 else plain(str(value), 16)
    return plain(json.dumps(value, ensure_ascii=False, default=str), 24)


@functools.cache
def _letters() -> frozenset[int]:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    folder = Path(get_data_path(), "fonts", "ttf")
    regular, bold = (FT2Font(str(folder / name)) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"))
    return frozenset(regular.get_charmap()) & frozenset(bold.get_charmap())
