"""A runner beyond the site's machine arrives: it exchanges its ticket, once, for its document and credentials."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException

from neurocaas.documents import Document
from neurocaas.errors import NotFound, Refused, RemoteFailed, StorageFailed
from neurocaas.runner.document import AttemptDocument
from neurocaas.runner.log import timestamp
from neurocaas.storage import Store, keys, open_store
from neurocaas.storage.credentials import Connection, Renewed, SessionCredentials

TICKET = "NEUROCAAS_TICKET"
FETCH_SECONDS = 60
PAUSES_SECONDS = (0.5, 2.0, 8.0)  # between tries of a store that does not answer
MOST_BYTES = 64 << 20  # folders put together from a hundred thousand files


class _Sealed(Document):
    document: AttemptDocument
    exchange: str
    connection: Connection
    credentials: SessionCredentials


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What the runner goes on with: the attempt, and the store as far as the attempt reaches."""

    document: AttemptDocument
    store: Store


def take_ticket() -> str:
    """The ticket from this process's environment, where nothing that it starts will find it. Raises Refused."""
    ticket = os.environ.pop(TICKET, "")
    if not ticket:
        raise Refused(f"{TICKET} is not set; the ticket that the job manager gave is right.")
    return ticket


def arrive(ticket: str) -> Arrived:
    """Exchange the ticket: fetch what it names, claim the attempt, and take the sealed object away.

    Of several runners with one ticket exactly one gets through. Raises Refused for a ticket that was used or has
    ended, RemoteFailed if the store does not answer, StorageFailed.
    """
    sealed = _fetched(ticket)
    document = sealed.document
    renewed = Renewed(
        sealed.credentials, sealed.connection, store=document.store, key=keys.credentials(document.prefix)
    )
    store = open_store(document.store, credentials=renewed)
    _claim(store, document)
    with contextlib.suppress(StorageFailed):  # then it stays until the bucket expires it, and opens to nobody
        store.delete(sealed.exchange)
    document.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Arrived(document=document, store=store)


def _fetched(ticket: str) -> _Sealed:
    if not ticket.startswith(("https://", "http://")):
        raise Refused("The ticket is no address; the one that the job manager gave is right.")
    for pause in PAUSES_SECONDS:
        try:
            return _fetch(ticket)
        except RemoteFailed:
            time.sleep(pause)
    return _fetch(ticket)


def _fetch(ticket: str) -> _Sealed:
    # No message says the address itself: who has it may open it.
    try:
        with urllib.request.urlopen(ticket, timeout=FETCH_SECONDS) as answer:  # noqa: S310 - checked above
            return _Sealed.model_validate(json.loads(answer.read(MOST_BYTES)))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise Refused("This ticket was used: each can be exchanged once.") from None
        if error.code == 403:
            raise Refused("This ticket has ended: it was exchanged too late, or is not whole.") from None
        raise RemoteFailed(f"The ticket could not be exchanged: the store answered {error.code}.") from None
    except ValueError:
        raise Refused("The ticket could not be exchanged: what it names can't be read by this release.") from None
    except (OSError, HTTPException) as error:
        said = getattr(error, "reason", "") or type(error).__name__
        raise RemoteFailed(f"The ticket could not be exchanged: {said}.") from None


def _claim(store: Store, document: AttemptDocument) -> None:
    key, claim = keys.claimed(document.prefix), secrets.token_hex(16)
    said = json.dumps({"claim": claim, "host": socket.gethostname(), "at": timestamp()}).encode()
    if store.create(key, said):
        return
    # Where the answer to our own claim was lost, the claim that is there is ours.
    try:
        held = json.loads(store.get(key))
    except (NotFound, ValueError):
        held = {}
    if held.get("claim") != claim:
        raise Refused("This ticket was used: another runner performs the attempt.")
