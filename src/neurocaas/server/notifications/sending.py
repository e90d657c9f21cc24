"""One message to one user, by the channel they chose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from smtplib import SMTPException, SMTPRecipientsRefused

from neurocaas.server.fetching.network import Network
from neurocaas.server.notifications import webhook
from neurocaas.server.notifications.choice import Choice
from neurocaas.server.notifications.message import Message
from neurocaas.settings import FetchLimits

# Subject, text, recipient; the site gives Django's, whose backend prints to the console unless told otherwise.
SendMail = Callable[[str, str, str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """again: it may go well later. why: what went wrong, without secrets."""

    delivered: bool
    again: bool = False
    why: str = ""


def send(
    choice: Choice,
    message: Message,
    *,
    address: str,
    secret: str,
    send_mail: SendMail,
    limits: FetchLimits,
    network: Network | None = None,
) -> Outcome:
    """Send it. address: the user's e-mail address; secret: what signs a webhook's body. Raises nothing on purpose."""
    if choice.channel == "webhook":
        delivered, again, why = webhook.post(choice.webhook, message, secret=secret, limits=limits, network=network)
        return Outcome(delivered=delivered, again=again, why=why)
    if choice.channel == "none":
        return Outcome(delivered=False, why="the user wants no messages")
    if not address:
        return Outcome(delivered=False, why="the user has no verified e-mail address")
    try:
        send_mail(message.title, message.body, address)
    except SMTPRecipientsRefused:
        return Outcome(delivered=False, why="the mail server does not accept the user's e-mail address")
    except (SMTPException, OSError) as error:
        return Outcome(delivered=False, again=True, why=f"the mail server failed: {type(error).__name__}")
    return Outcome(delivered=True)
