"""Amounts of US dollars as people read them."""

from __future__ import annotations

from decimal import Decimal


def shown(amount: Decimal) -> str:
    """To the cent, or below a dollar to two digits that count."""
    if amount == 0 or abs(amount) >= 1:
        return f"${amount:.2f}"
    places = max(2, 1 - amount.adjusted())
    return f"${amount:.{places}f}"
