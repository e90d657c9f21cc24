"""Requests to other people's servers: to checked addresses only, within limits, and never longer than allowed.

httpcore rather than httpx, because it lets a connection's address be chosen: the one that was checked is the one that
is connected to, whatever the name says a moment later.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpcore

from neurocaas.errors import NeurocaasError, NotFound, Refused, RemoteFailed
from neurocaas.server.fetching.addresses import Resolve, checked, look_up
from neurocaas.server.fetching.urls import Place, place, redirected
from neurocaas.settings import FetchLimits

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# httpcore's debug log holds headers, and with them signed addresses.
logging.getLogger("httpcore").setLevel(logging.INFO)


class Cancelled(NeurocaasError):
    """Whoever asked for this does not want it any more."""

    http_status = 409


class Broken(RemoteFailed):
    """The connection broke, or the server is busy: the same request may go well a moment later."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """What lies outside: names, whom to trust, and time. `tls`: left out, the machine's certificates."""

    resolve: Resolve = look_up
    tls: ssl.SSLContext | None = None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A server's answer. `headers` by lower-case name; `body` can be read once, while the request is open."""

    place: Place
    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes] = field(repr=False)
    redirected: bool = False


class Web:
    """Requests that belong together: one total time for all of them. To be closed."""

    def __init__(self, limits: FetchLimits, network: Network, cancelled: Callable[[], bool] = lambda: False) -> None:
        self.limits = limits
        self.network = network
        self._cancelled = cancelled
        self._deadline = network.clock() + limits.total_minutes * 60
        self._pool = httpcore.ConnectionPool(
            ssl_context=network.tls or ssl.create_default_context(), network_backend=_Checked(self)
        )

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    @contextlib.contextmanager
    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Iterator[Answer]:
        """The answer to a request, after at most five redirects, each checked like the first.

        A request with content is not sent on: its redirect is its answer. Raises Refused, NotFound, RemoteFailed
        (Broken, where trying again may help) and Cancelled.
        """
        at = place(url, self.limits)
        for redirects in range(MAX_REDIRECTS + 1):
            with self._asked(method, at, headers or {}, content) as answer:
                location = answer.headers.get("location", "")
                if content is not None or answer.status not in _REDIRECTS or not location:
                    yield replace(answer, redirected=redirects > 0)
                    return
            at = redirected(at, location, self.limits)
        raise Refused(f"The address redirects more than {MAX_REDIRECTS} times; give the one it leads to.")

    def left_seconds(self) -> float:
        """What is left of the total time. Raises RemoteFailed when it is over, and Cancelled."""
        if self._cancelled():
            raise Cancelled("It was cancelled.")
        left = self._deadline - self.network.clock()
        if left <= 0:
            raise RemoteFailed(f"The server took longer than the {self.limits.total_minutes:g} minutes it may take.")
        return left

    @contextlib.contextmanager
    def _asked(self, method: str, at: Place, headers: Mapping[str, str], content: bytes | None) -> Iterator[Answer]:
        url = httpcore.URL(scheme=at.scheme, host=at.host, port=at.port, target=at.target)
        sent = {"Host": at.authority, "User-Agent": "neurocaas", "Accept-Encoding": "identity", **headers}
        limits = self.limits
        timeout = {
            "connect": limits.connect_seconds,
            "read": limits.read_seconds,
            "write": limits.read_seconds,
            "pool": limits.connect_seconds,
        }
        with (
            _told(at.host),
            self._pool.stream(
                method, url, headers=list(sent.items()), content=content, extensions={"timeout": timeout}
            ) as response,
        ):
            received = {_text(name).lower(): _text(value) for name, value in response.headers}
            yield Answer(place=at, status=response.status, headers=received, body=response.iter_stream())


def status_fault(answer: Answer) -> NeurocaasError:
    """What an answer other than success means."""
    host, status = answer.place.host, answer.status
    if status in {404, 410}:
        return NotFound(f"{host} has nothing at this address (HTTP {status}); check it.")
    if status in {401, 403}:
        return Refused(f"{host} does not give this to everyone (HTTP {status}); only public data is fetched.")
    if status == 429 or status >= 500:
        return Broken(f"{host} is out of order or busy (HTTP {status}); try again later.")
    return RemoteFailed(f"{host} answered with HTTP {status}, which is not the data.")


class _Checked(httpcore.NetworkBackend):
    """Connects to the addresses that were checked, and to no others."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        web = self._web
        fault: Exception = httpcore.ConnectError("no address")
        for number, at_port in checked(host, port, web.limits.allow_private, web.network.resolve):
            seconds = _shorter(timeout, web.left_seconds())
            try:
                stream = self._plain.connect_tcp(number, at_port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
            else:
                return _Timed(stream, web)
        raise fault


class _Timed(httpcore.NetworkStream):
    """A connection whose every step ends with the total time, so that a trickle of bytes can't hold it open."""

    def __init__(self, stream: httpcore.NetworkStream, web: Web) -> None:
        self._stream = stream
        self._web = web

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _shorter(timeout, self._web.left_seconds()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _shorter(timeout, self._web.left_seconds()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _shorter(timeout, self._web.left_seconds())
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, seconds), self._web)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _text(header: bytes) -> str:
    """Headers are UTF-8 wherever they are more than ASCII, except on old servers."""
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _shorter(timeout: float | None, left: float) -> float:
    return left if timeout is None else min(timeout, left)


@contextlib.contextmanager
def _told(host: str) -> Iterator[None]:
    """Turns httpcore's errors into sentences."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise Broken(f"{host} does not answer; try again later.") from error
    except httpcore.ConnectError as error:
        cause = error.args[0] if error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise RemoteFailed(f"{host} can't prove who it is: {cause.verify_message}.") from error
        raise Broken(f"{host} can't be reached: {error}.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise Broken(f"The connection to {host} broke: {error}.") from error
