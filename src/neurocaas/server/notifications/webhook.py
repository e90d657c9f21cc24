"""Webhooks: which addresses are accepted, and what is sent to them.

Two ways, because of who chooses the server. A named service (Slack, Discord, …) is reached through apprise, which knows
its form and its one fixed address. A server of the user's choosing is reached by the platform's own client, since
apprise would connect wherever the name leads, inside the site's network too, and signs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from neurocaas.errors import NeurocaasError, Refused
from neurocaas.server.fetching.addresses import checked
from neurocaas.server.fetching.network import Network, Web
from neurocaas.server.fetching.urls import place
from neurocaas.server.notifications.message import Message
from neurocaas.settings import FetchLimits

SIGNATURE = "X-NeuroCAAS-Signature"
TIMEOUT_SECONDS = 10.0
MAX_CHARACTERS = 2000
# By apprise's scheme: services that it reaches at their own servers, wherever the address that a user gives points.
_FIXED = {
    "discord": ("Discord", "discord.NotifyDiscord"),
    "gchat": ("Google Chat", "google_chat.NotifyGoogleChat"),
    "pover": ("Pushover", "pushover.NotifyPushover"),
    "slack": ("Slack", "slack.NotifySlack"),
    "tgram": ("Telegram", "telegram.NotifyTelegram"),
}
# Services that people run themselves, by apprise's scheme.
_OWN_SERVERS = frozenset({"jsons", "mmosts", "ntfys"})
_RIGHT = (
    "https://server/path, ntfys://server/topic, mmosts://server/token, slack://…, discord://…, tgram://…, gchat://… "
    "or pover://… is right."
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One POST of JSON to a server of the user's choosing."""

    url: str
    content: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Service:
    """A named service, and apprise's plugin that reaches it."""

    called: str
    plugin: Any


def validate_webhook(url: str, *, limits: FetchLimits, network: Network | None = None) -> str:
    """What the address leads to, in words. Raises Refused if nothing is sent there, NotFound if there is no server."""
    if service := _service(url):
        return service.called
    at = place(_request(url, None).url, limits)
    checked(at.host, at.port, limits.allow_private, (network or Network()).resolve)
    return at.host


def masked(url: str) -> str:
    """The address without what makes it secret, to be shown and logged."""
    parts = urlsplit(url)
    known = parts.hostname if parts.scheme in {"https", *_OWN_SERVERS} else ""
    return f"{parts.scheme}://{known or ''}…"


def post(
    url: str, message: Message, *, secret: str, limits: FetchLimits, network: Network | None = None
) -> tuple[bool, bool, str]:
    """Send to a webhook: whether it arrived, whether to try again, and why not. Raises nothing."""
    try:
        if service := _service(url):
            arrived = bool(service.plugin.notify(title=message.title, body=message.body))
            return arrived, not arrived, "" if arrived else f"{service.called} did not accept it"
        return _post_signed(_request(url, message), secret, limits, network or Network())
    except Refused as error:
        return False, False, error.message
    except NeurocaasError as error:
        return False, True, error.message


def signature(secret: str, body: bytes) -> str:
    """What a receiver computes itself from the body, to know that the message is from this site."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _post_signed(request: Request, secret: str, limits: FetchLimits, network: Network) -> tuple[bool, bool, str]:
    body = json.dumps(request.content, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", SIGNATURE: signature(secret, body)}
    quick = limits.model_copy(
        update={
            "total_minutes": min(limits.total_minutes, TIMEOUT_SECONDS / 60),
            "read_seconds": min(limits.read_seconds, TIMEOUT_SECONDS),
        }
    )
    with Web(quick, network) as web, web.open("POST", request.url, headers=headers, content=body) as answer:
        status = answer.status
    if 200 <= status < 300:
        return True, False, ""
    return False, status >= 500 or status in {408, 425, 429}, f"{answer.place.host} answered with HTTP {status}"


def _request(url: str, message: Message | None) -> Request:
    """The POST that a server of the user's choosing gets; `text` is what Mattermost, Rocket.Chat and Slack show."""
    title, body, facts = (message.title, message.body, message.facts) if message else ("", "", {})
    parts = urlsplit(url)
    scheme, server = parts.scheme, parts.netloc
    path = quote(unquote(parts.path).strip("/"), safe="/")
    if scheme == "https":
        return Request(url=url, content={"title": title, "text": f"{title}\n{body}", **facts})
    if scheme == "jsons":
        return Request(url=f"https{url[5:]}", content={"title": title, "text": f"{title}\n{body}", **facts})
    if scheme == "mmosts" and path:
        return Request(url=f"https://{server}/hooks/{path}", content={"text": f"{title}\n{body}"})
    if scheme == "ntfys" and path and "/" not in path:
        return Request(url=f"https://{server}/", content={"topic": path, "title": title, "message": body})
    raise Refused(f"The address begins with {scheme or 'nothing'}:, to which nothing is sent; {_RIGHT}")


def _service(url: str) -> _Service | None:
    """One of the services with fixed addresses, if this is an address of one: apprise's own, or the service's."""
    if len(url) > MAX_CHARACTERS or not url.isprintable():
        return None
    scheme = url.partition("://")[0].lower()
    for name in {scheme} & _FIXED.keys() or (_FIXED if scheme == "https" else ()):
        plugin = _plugin(name)
        bare = _without_options(url)
        found = plugin.parse_native_url(bare) if scheme == "https" else plugin.parse_url(bare)
        if not found:
            continue
        try:
            made = plugin(**found)
        except TypeError as error:  # how apprise says that a part is missing or malformed
            raise Refused(f"The address is none of {_FIXED[name][0]}'s; copy it whole. {_RIGHT}") from error
        made.socket_connect_timeout = made.socket_read_timeout = TIMEOUT_SECONDS
        return _Service(called=_FIXED[name][0], plugin=made)
    return None


def _without_options(url: str) -> str:
    """The address without apprise's options, which read files of this machine (template) or trust anyone (verify)."""
    base, _, query = url.partition("?")
    kept = [pair for pair in query.split("&") if pair.partition("=")[0] in {"key", "token"}]  # Google Chat's own parts
    return f"{base}?{'&'.join(kept)}" if kept else base


@cache
def _plugin(scheme: str) -> Any:
    """apprise's class for a service, and no other: it would load a hundred and thirty of them.

    What it and its HTTP library log holds addresses, so they are kept quiet.
    """
    for name in ("apprise", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    module, _, plugin = _FIXED[scheme][1].partition(".")
    return getattr(importlib.import_module(f"apprise.plugins.{module}"), plugin)
