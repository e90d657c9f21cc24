"""What a group and its users spent, month by month, from the ledger's running sums."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from neurocaas.server.jobs.models import Spending


@dataclass(frozen=True, kw_only=True)
class Month:
    """What was spent in one month. first: its first day. users: nano-dollars by user, the largest first."""

    first: date
    nanodollars: int
    users: dict[str, int]


def by_month(group: str, *, until: date, months: int = 12) -> list[Month]:
    """The last months, oldest first, those without spending among them."""
    firsts = [_months_before(until, back) for back in reversed(range(months))]
    spent: dict[date, dict[str, int]] = defaultdict(dict)
    for one in Spending.objects.filter(group_id=group, month__gte=firsts[0]).order_by("-nanodollars"):
        spent[one.month][one.user] = one.nanodollars
    return [Month(first=first, nanodollars=sum(spent[first].values()), users=spent[first]) for first in firsts]


def _months_before(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)
