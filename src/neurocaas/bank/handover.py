"""Hand an attempt to a runner beyond this machine: its document and credentials, sealed in one object of the store.

The runner gets a *ticket*, the signed address of that object, which it exchanges once (`neurocaas.runner.arrival`).
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from neurocaas.errors import NeurocaasError, Refused
from neurocaas.settings import Settings, StorageSettings
from neurocaas.storage import Store, keys, open_store
from neurocaas.storage.credentials import Connection, SessionCredentials
from neurocaas.storage.scope import POLICY_CHARACTERS, PolicyTooLong, scope_of, session_policy

log = logging.getLogger(__name__)

RECORD = "handover.json"  # in the attempt's work folder, for as long as the manager keeps that
RETRY = timedelta(minutes=1)
MOST_AT_ONCE = 20  # renewals in one call, so that no sweep of a site with a thousand runners lasts for minutes

Mint = Callable[[str, Mapping[str, Any], str, int], SessionCredentials]


def _mint(role: str, policy: Mapping[str, Any], name: str, seconds: int) -> SessionCredentials:
    from neurocaas.storage.sessions import mint

    return mint(role, policy, name, seconds)


@dataclass(kw_only=True)
class _HandedOver:
    """One attempt whose credentials are kept fresh. exchange: the key of its sealed object."""

    document: dict[str, Any]
    exchange: str
    renew_at: datetime


class Handovers:
    """All attempts that this site handed over and that have not ended. Their record is on disk: a new manager goes on.

    For the one process that leads the site; nothing here is safe for threads.
    """

    def __init__(
        self, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), mint: Mint = _mint
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._mint = mint
        self._handed_over: dict[Path, _HandedOver] = {}
        self._store: Store | None = None
        self._recovered = False
        self._not_before = datetime.min.replace(tzinfo=UTC)

    def hand_over(self, document: Mapping[str, Any], work: Path) -> str:
        """Seal the attempt document as it is (`work` and all are those of the other machine). Returns the ticket.

        work: the attempt's work folder on this machine, where a record stays. Raises Refused if the site's store or
        settings do not allow it, StorageFailed.
        """
        self._recover()
        storage = self._checked()
        exchange = keys.exchange(secrets.token_urlsafe(32))
        one = _HandedOver(document=dict(document), exchange=exchange, renew_at=self._clock())
        credentials = self._minted(one)
        # The record first: a manager that dies now leaves an object that nobody can open, and knows of it.
        work.mkdir(parents=True, exist_ok=True)
        record = work / RECORD
        record.touch(mode=0o600)
        record.write_text(json.dumps({"document": one.document, "exchange": exchange}), encoding="utf-8")
        self._opened().put(exchange, self._sealed(one, credentials))
        self._handed_over[record] = one
        return self._ticket(exchange, storage)

    def renew(self) -> None:
        """Put new credentials where runners look for them, when those they have are half used up. Never raises.

        Cheap if nothing is due: to be called at every sweep.
        """
        self._recover()
        now = self._clock()
        if now < self._not_before:
            return
        due = sorted((one.renew_at, record) for record, one in self._handed_over.items() if one.renew_at <= now)
        for _, record in due[:MOST_AT_ONCE]:
            one = self._handed_over[record]
            try:
                if record.exists():
                    self._renew(one)
                else:
                    del self._handed_over[record]
                    self._forget(one)
            except NeurocaasError as fault:
                # The others would fail as slowly.
                log.warning("credentials of %s could not be renewed: %s", one.document["attempt"], fault)
                self._not_before = now + RETRY
                return

    def _renew(self, one: _HandedOver) -> None:
        credentials, store = self._minted(one), self._opened()
        # Always, because the sealed object may be fetched between a look at it and its renewal.
        store.put(keys.credentials(one.document["prefix"]), credentials.model_dump_json().encode())
        if store.head(keys.claimed(one.document["prefix"])) is None:
            store.put(one.exchange, self._sealed(one, credentials))

    def _forget(self, one: _HandedOver) -> None:
        store = self._opened()
        store.delete(one.exchange)
        store.delete(keys.credentials(one.document["prefix"]))

    def _minted(self, one: _HandedOver) -> SessionCredentials:
        storage = self._checked()
        minutes = storage.session_minutes
        for characters in (POLICY_CHARACTERS, POLICY_CHARACTERS // 2):
            policy = self._policy(one, storage, characters)
            try:
                credentials = self._mint(storage.runner_role, policy, one.document["attempt"], minutes * 60)
                break
            except PolicyTooLong:
                if characters < POLICY_CHARACTERS:
                    raise
        one.renew_at = self._clock() + timedelta(minutes=minutes / 2)
        return credentials

    def _policy(self, one: _HandedOver, storage: StorageSettings, characters: int) -> dict[str, Any]:
        bucket, prefix = self._place()
        partition = storage.runner_role.split(":")[1]
        return session_policy(
            bucket,
            prefix,
            scope_of(one.document, one.exchange),
            kms_key=storage.encryption if storage.encryption.startswith("arn:") else "",
            partition=partition if partition.startswith("aws") else "aws",
            characters=characters,
        )

    def _sealed(self, one: _HandedOver, credentials: SessionCredentials) -> bytes:
        sealed = {
            "document": one.document,
            "exchange": one.exchange,
            "connection": Connection.here().model_dump(),
            "credentials": credentials.model_dump(mode="json"),
        }
        return json.dumps(sealed).encode()

    def _ticket(self, exchange: str, storage: StorageSettings) -> str:
        from neurocaas.storage.signing import signed_url

        bucket, prefix = self._place()
        key = f"{prefix}/{exchange}" if prefix else exchange
        return signed_url(bucket, key, "GET", valid=timedelta(hours=storage.ticket_hours))

    def _place(self) -> tuple[str, str]:
        """Bucket and prefix of the store."""
        bucket, _, prefix = self._settings.store_url.removeprefix("s3://").partition("/")
        return bucket, prefix.strip("/")

    def _checked(self) -> StorageSettings:
        storage = self._settings.site.storage
        if not self._settings.store_url.startswith("s3://"):
            raise Refused(
                f'site.json: store: found "{self._settings.site.store}"; for runners beyond this machine that bring '
                "their data with them a store at s3://bucket/prefix is right."
            )
        if not storage.runner_role:
            raise Refused(
                "site.json: storage.runner_role: it is missing; the ARN of the role that runners on S3 take is right."
            )
        return storage

    def _opened(self) -> Store:
        if self._store is None:
            self._store = open_store(self._settings.store_url)
        return self._store

    def _recover(self) -> None:
        """Find what a manager before this one handed over. It is renewed at once, for who knows when it last was."""
        if self._recovered:
            return
        self._recovered = True
        for record in self._settings.work.glob(f"*/{RECORD}"):
            try:
                kept = json.loads(record.read_text(encoding="utf-8"))
                one = _HandedOver(document=kept["document"], exchange=kept["exchange"], renew_at=self._clock())
            except (OSError, ValueError, KeyError):
                continue  # its manager died as it wrote: nothing was sealed yet
            self._handed_over[record] = one
