"""How often one user, or one address, may ask: enough for any program that means well."""

from __future__ import annotations

import time

from django.core.cache import cache
from django.http import HttpRequest
from ninja.errors import Throttled
from ninja.throttling import BaseThrottle

from neurocaas.server.groups.scope import Caller

PERIOD_SECONDS = 60


class Throttle(BaseThrottle):
    """So many requests in a minute. Ninja's own keep the time of each request, and share state between threads."""

    def __init__(self, name: str, most: int, *, by_user: bool) -> None:
        self.name, self.most, self._by_user = name, most, by_user

    def allow_request(self, request: HttpRequest) -> bool:
        key = f"throttle:{self.name}:{self._who(request)}:{int(time.time() // PERIOD_SECONDS)}"
        cache.add(key, 0, timeout=2 * PERIOD_SECONDS)
        try:
            return cache.incr(key) <= self.most
        except ValueError:  # it went out of the cache at this moment
            return True

    def wait(self) -> float:
        return PERIOD_SECONDS - time.time() % PERIOD_SECONDS

    def _who(self, request: HttpRequest) -> str:
        caller = getattr(request, "auth", None)
        if self._by_user and isinstance(caller, Caller):
            return caller.user
        return str(request.META.get("REMOTE_ADDR", ""))


BY_USER = Throttle("user", 1_200, by_user=True)
BY_ADDRESS = Throttle("address", 6_000, by_user=False)  # a lab, or a class, may share one
IMPORTING = Throttle("importing", 30, by_user=True)  # each asks somebody else's server
TESTING = Throttle("testing", 5, by_user=True)
SUBMITTING = Throttle("submitting", 120, by_user=True)


def check(throttle: Throttle, request: HttpRequest) -> None:
    """Raises Throttled."""
    if not throttle.allow_request(request):
        raise Throttled(wait=int(throttle.wait()) + 1)
