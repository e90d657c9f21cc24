"""Other people's servers, real ones on the loopback: HTTP or HTTPS by any name, each path answered by a function."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import trustme

from neurocaas.server.fetching import FetchLimits, Network

LOOPBACK = "127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    """One request to a stand-in."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def reply(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Answer; header names are written with _ for -."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if "Content-Length" not in named and "Transfer-Encoding" not in named:
            named["Content-Length"] = str(len(body))
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def file(self, data: bytes, etag: str = '"e1"', **headers: str) -> None:
        """Answer with a file as a good server does: ranges, and If-Range."""
        wanted = self.headers.get("Range", "")
        if wanted and self.headers.get("If-Range", etag) == etag:
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            part = data[int(start) : int(end) + 1 if end else None]
            span = f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
            self.reply(206, part, ETag=etag, Content_Range=span, **headers)
        else:
            self.reply(200, data, ETag=etag, **headers)

    def sever(self) -> None:
        """Break the connection off."""
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length)
        self.server.asked.append((self.command, self.path, dict(self.headers), self.body))
        act = self.server.pages.get(urlsplit(self.path).path) or self.server.pages.get("*")
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            act(self) if act else self.reply(404)

    do_GET = do_HEAD = do_POST = _answer

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    pages: dict[str, Callable[[Handler], None]]
    asked: list[tuple[str, str, dict[str, str], bytes]]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what tests are about."""


@cache
def authority() -> trustme.CA:
    """The authority that all stand-ins' certificates are from."""
    return trustme.CA()


def trusting() -> ssl.SSLContext:
    """A TLS context that trusts the stand-ins' authority, and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


@dataclass
class Elsewhere:
    """A stand-in server. `names`: what it is called; every one resolves to it, and nothing else does."""

    port: int
    pages: dict[str, Callable[[Handler], None]]
    asked: list[tuple[str, str, dict[str, str], bytes]]
    names: tuple[str, ...]
    paused: list[float] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        if host in self.names:
            return [(LOOPBACK, self.port)]
        if host.replace(".", "").replace(":", "").isalnum() and not host.endswith(".test"):
            return [(str(one[4][0]), int(one[4][1])) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        raise socket.gaierror(f"no such name: {host}")

    @property
    def network(self) -> Network:
        return Network(resolve=self.resolve, tls=trusting(), pause=self.paused.append)


@contextlib.contextmanager
def elsewhere(*names: str, tls: bool = True) -> Iterator[Elsewhere]:
    """A server of these names (`data.test` if none are given), with a certificate for them."""
    names = names or ("data.test",)
    server = _Server((LOOPBACK, 0), Handler)
    server.pages, server.asked = {}, []
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert(*names).configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Elsewhere(port=server.server_port, pages=server.pages, asked=server.asked, names=names)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def limits(**changes: object) -> FetchLimits:
    """The usual limits, for servers on the loopback."""
    return FetchLimits.model_validate({"allow_private": ["127.0.0.1/32"], "read_seconds": 5, **changes})
