"""The API's limits of how often one may ask, for pages that do the same."""

from __future__ import annotations

from django.http import HttpRequest

from neurocaas.errors import NeurocaasError
from neurocaas.server.api.throttles import Throttle
from neurocaas.server.groups.scope import Caller


class TooOften(NeurocaasError):
    """What was asked for is done only so many times in a minute."""

    http_status = 429


def throttled(throttle: Throttle, request: HttpRequest, caller: Caller) -> None:
    """Count one request of the caller's. Raises TooOften."""
    request.auth = caller  # type: ignore[attr-defined]
    if not throttle.allow_request(request):
        raise TooOften(f"This may be done {throttle.most} times in a minute; wait a moment, then try again.")
