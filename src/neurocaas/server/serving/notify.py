"""Tell systemd how the service is (sd_notify(3)); silent where nobody asked."""

from __future__ import annotations

import contextlib
import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> None:
    """Send READY=1, STOPPING=1 and the like to the service manager, if one started this process."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return
    # An address that begins with @ lies in the abstract namespace, whose names begin with a zero byte.
    path = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), path)
