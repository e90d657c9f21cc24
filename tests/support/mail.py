"""Mail that a site sends, as it arrives at a server of this process."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message as MailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from support.sites import until

CODE = re.compile(r"^([A-Z0-9]{3,}-?[A-Z0-9]{3,})\s*$", re.MULTILINE)


class Mailbox(Message):
    """What was sent so far. url: for NEUROCAAS_MAIL_URL."""

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self.came: list[MailMessage] = []

    def handle_message(self, message: MailMessage) -> None:
        self.came.append(message)

    def code_for(self, address: str) -> str:
        """The code by which the address is verified, from the newest message to it, once that has come."""
        until(lambda: any(message["To"] == address for message in self.came), 30)
        text = self.text_to(address)
        found = CODE.search(text)
        assert found, f"no code is in: {text}"
        return found.group(1)

    def text_to(self, address: str) -> str:
        newest = [message for message in self.came if message["To"] == address][-1]
        return bytes(newest.get_payload(decode=True)).decode()  # type: ignore[arg-type]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server at a free port, for as long as the block lasts."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box.url = f"smtp://127.0.0.1:{port}"
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
