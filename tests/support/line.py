"""A line to a server that can be cut: a small TCP proxy that drops connections when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK_BYTES = 1 << 20
DOWN_SECONDS = 1.0


@dataclass
class Line:
    """url: of this end. sent: bytes that went towards the server. mishaps: what happens once so many have gone."""

    port: int
    listening: socket.socket
    sent: int = 0
    mishaps: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    _down_until: float = 0.0
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def cut(self) -> None:
        """Drop every connection, and for a moment each new one."""
        self._down_until = time.monotonic() + DOWN_SECONDS
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def carry(self) -> None:
        """Carry what comes until the listening socket is shut down."""
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            if time.monotonic() < self._down_until:
                return
            with socket.create_connection(("127.0.0.1", self.port)) as far:
                with self._lock:
                    self._open |= {near, far}
                back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
                back.start()
                self._pump(near, far, self._count)
                back.join()
                with self._lock:
                    self._open -= {near, far}

    def _pump(self, source: socket.socket, sink: socket.socket, count: Callable[[int], None] | None = None) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK_BYTES):
                sink.sendall(block)
                if count:
                    count(len(block))
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _count(self, size_bytes: int) -> None:
        with self._lock:
            self.sent += size_bytes
            due = self.mishaps.pop(0) if self.mishaps and self.sent >= self.mishaps[0][0] else None
        if due:
            due[1]()


@contextlib.contextmanager
def line_to(port: int) -> Iterator[Line]:
    """A line to a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        line = Line(port=port, listening=listening)
        carrier = threading.Thread(target=line.carry)
        carrier.start()
        try:
            yield line
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            line.cut()
            carrier.join()
