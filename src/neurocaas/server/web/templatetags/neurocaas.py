"""How pages write amounts, sizes, times and icons: `{% load neurocaas %}`."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

from django import template
from django.http import HttpRequest
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from neurocaas.server.jobs.ledger import shown
from neurocaas.server.web.links import job_page

register = template.Library()

NOTHING = "–"
SPACE = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
BINARY = ("KiB", "MiB", "GiB", "TiB", "PiB")
MINUTE, HOUR, DAY = 60, 3600, 86400
OLD_DAYS = 30  # from here on a date says more than a number of days


@register.filter
def dollars(nanodollars: int | None) -> str:
    """An amount of nano-dollars as people read it: $12.40, $0.0031."""
    return NOTHING if nanodollars is None else shown(nanodollars)


@register.filter(name="bytes")
def bytes_(count: int | None) -> str:
    """A size: 812 bytes, 1.5 GiB."""
    if count is None:
        return NOTHING
    if count < 1024:
        return f"{count}{SPACE}byte{'' if count == 1 else 's'}"
    size = float(count)
    for unit in BINARY:
        size /= 1024
        # What would be rounded up to 1024 is one of the next unit.
        if size < 1023.95 or unit == BINARY[-1]:
            break
    return f"{size:.1f}{SPACE}{unit}"


@register.filter
def seconds(duration: float | timedelta | None) -> str:
    """A duration, as its two largest units: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min, 4 d 6 h."""
    if duration is None:
        return NOTHING
    total = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if total < 9.95:
        return f"{max(total, 0):.1f}".removesuffix(".0") + f"{SPACE}s"
    whole = round(total)
    for unit, name, smaller, smaller_name in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit}{SPACE}{name}" + (f" {rest}{SPACE}{smaller_name}" if rest else "")
    return f"{whole}{SPACE}s"


@register.filter
def ago(at: datetime | None, now: datetime | None = None) -> str:
    """How long since, in one unit: "3 minutes ago"; "in 2 days" for what is to come; a date for what is long past."""
    if at is None:
        return NOTHING
    since = ((now or timezone.now()) - at).total_seconds()
    length = abs(since)
    if length >= OLD_DAYS * DAY:
        return f"{at.day}{SPACE}{at:%b}{SPACE}{at.year}"
    if length < MINUTE:
        return "just now" if since >= 0 else "in a moment"
    unit, name = next(
        (unit, name) for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")) if length >= unit
    )
    count = int(length // unit)
    words = f"{count}{SPACE}{name}{'' if count == 1 else 's'}"
    return f"{words} ago" if since >= 0 else f"in {words}"


@register.filter
def words(reason: str) -> str:
    """A reason as people read it: OUT_OF_MEMORY, out of memory."""
    return reason.replace("_", " ").lower()


@register.filter
def percent(part: float, whole: float) -> int:
    """How much of the whole, 0 to 100; of nothing, nothing."""
    return max(0, min(100, round(100 * part / whole))) if whole else 0


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """A picture beside a word, for eyes only: one of icons.svg, among them one for each status."""
    return format_html(
        '<svg class="icon" aria-hidden="true" viewBox="0 0 16 16"><use href="{}#{}"></use></svg>',
        static("web/icons.svg"),
        name,
    )


@register.inclusion_tag("parts/place.html", takes_context=True)
def place(context: Context, route: str, title: str) -> dict[str, object]:
    """A link of a navigation list, marked where the reader is. A route that the site doesn't have is left out."""
    try:
        url = reverse(route)
    except NoReverseMatch:
        return {}
    request: HttpRequest | None = context.get("request")
    path = request.path if request else ""
    inside = url != "/" and path.startswith(url.rstrip("/") + "/")
    return {"url": url, "title": title, "here": "page" if path == url else "true" if inside else ""}


@register.simple_tag(name="job_page")
def job_page_(job_id: str) -> str:
    """The address of a job's page."""
    return job_page(job_id)
