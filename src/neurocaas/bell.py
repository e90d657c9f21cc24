"""Wake another process on this machine at once. A lost ring costs latency, never truth: the database is the truth."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

MESSAGE_BYTES = 4096


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The socket's address through its folder's descriptor: a socket's path may have only 108 characters."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class Bell:
    """The end that listens: a Unix datagram socket at `path`, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with _short(path) as address:
            self._socket.bind(address)
        path.chmod(0o600)

    def fileno(self) -> int:
        return self._socket.fileno()

    def wait(self, timeout_seconds: float) -> list[str]:
        """Messages as soon as there are any; an empty list after `timeout_seconds`."""
        select.select([self._socket], [], [], max(0.0, timeout_seconds))
        return self.drain()

    def drain(self) -> list[str]:
        """Everything that has arrived, without waiting."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self._socket.recv(MESSAGE_BYTES).decode(errors="replace"))
        return messages

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)


def ring(path: Path, message: str = "") -> bool:
    """Send one message; False when nobody listens or the listener is far behind. Never blocks, never raises."""
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
            _short(path) as address,
        ):
            sender.sendto(message.encode()[:MESSAGE_BYTES], address)
    except OSError:
        return False
    return True
