"""Addresses as people give them, taken apart once and strictly, so that no two parsers read them differently."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from neurocaas.errors import Refused
from neurocaas.settings import FetchLimits

MAX_CHARACTERS = 8192
_DEFAULT_PORT = {"https": 443, "http": 80}
_PATH = "/%:@!$&'()*+,;=~"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one request goes. `target` is path and query as the request line holds them."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def place(url: str, limits: FetchLimits) -> Place:
    """The place that a URL names. Raises Refused for what the site does not fetch."""
    if len(url) > MAX_CHARACTERS:
        raise Refused(f"The address has {len(url)} characters; at most {MAX_CHARACTERS} are right.")
    if "\\" in url or any(character.isspace() or not character.isprintable() for character in url):
        raise Refused("The address contains a space, a backslash or an invisible character; write it without.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"The address can't be read: {error}; https://server/path is right.") from error
    schemes = ("https", "http") if limits.allow_http else ("https",)
    if parts.scheme not in schemes:
        raise Refused(f"The address begins with {parts.scheme or 'nothing'}:, which is not fetched; https:// is right.")
    if "@" in parts.netloc:
        raise Refused("The address holds a user name or password; only addresses without are fetched.")
    port = _DEFAULT_PORT[parts.scheme] if port is None else port
    if port not in limits.ports:
        right = ", ".join(map(str, limits.ports))
        raise Refused(f"The address names port {port}; one of {right} is right.")
    query = f"?{quote(parts.query, safe=_PATH + '?[]')}" if parts.query else ""
    return Place(
        scheme=parts.scheme, host=_host(parts.hostname), port=port, target=quote(parts.path or "/", safe=_PATH) + query
    )


def redirected(before: Place, location: str, limits: FetchLimits) -> Place:
    """Where a redirect leads, under the same rules. Raises Refused where it would give up encryption."""
    after = place(urljoin(before.url, location), limits)
    if before.scheme == "https" and after.scheme != "https":
        raise Refused(f"{before.host} redirects from https:// to http://; an address that stays encrypted is right.")
    return after


def _host(host: str | None) -> str:
    if not host:
        raise Refused("The address names no server; https://server/path is right.")
    if "%" in host:
        raise Refused(f"The address names the server {host!r}, which has a zone or escapes; a plain name is right.")
    try:
        return host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError as error:
        raise Refused(f"The address names the server {host[:80]!r}, which can't be the name of one.") from error
