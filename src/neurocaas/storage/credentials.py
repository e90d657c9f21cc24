"""Credentials that end: what a runner beyond this machine works with, and how it gets the next before they end."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import NotRequired, TypedDict
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationError

from neurocaas.documents import Document

RENEW_BEFORE = timedelta(minutes=10)  # obstore asks again from five minutes before the end on
ASK_AGAIN = timedelta(seconds=15)
READ_SECONDS = 20
MOST_BYTES = 1 << 16
_EMPTY = hashlib.sha256(b"").hexdigest()


class SessionCredentials(Document):
    """Of one session, until `expires_at`."""

    access_key_id: str
    secret_access_key: str = Field(repr=False)
    session_token: str = Field(repr=False)
    expires_at: datetime


class ForObstore(TypedDict):
    """What obstore's credential providers return."""

    access_key_id: str
    secret_access_key: str
    token: NotRequired[str | None]
    expires_at: datetime | None


class Connection(Document):
    """How S3 is reached. endpoint: "" for Amazon's own. virtual_hosted: the endpoint names the bucket itself."""

    endpoint: str = ""
    region: str = "us-east-1"
    virtual_hosted: bool = False

    @classmethod
    def here(cls) -> Connection:
        """As the AWS_* variables of this process say."""
        named = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
        return cls(
            endpoint=next((os.environ[name] for name in named if os.environ.get(name)), ""),
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            virtual_hosted=os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() == "true",
        )

    def address(self, bucket: str, path: str) -> str:
        """The URL of an object."""
        base = self.endpoint.rstrip("/") or f"https://s3.{self.region}.amazonaws.com"
        return f"{base}/{quote(path if self.virtual_hosted and self.endpoint else f'{bucket}/{path}', safe='/~')}"


class Renewed:
    """The credentials of a session, and those that the job manager has put in their place at `key` of the store.

    Called by obstore for each request that is made when they are about to end; any thread may call.
    """

    def __init__(self, first: SessionCredentials, connection: Connection, *, store: str, key: str) -> None:
        """store: its URL. key: where renewed ones are."""
        self.connection = connection
        bucket, _, prefix = store.removeprefix("s3://").partition("/")
        self._address = connection.address(bucket, f"{prefix.strip('/')}/{key}".lstrip("/"))
        self._current = first
        self._asked = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def __call__(self) -> ForObstore:
        with self._lock:
            now = datetime.now(UTC)
            if self._current.expires_at - now < RENEW_BEFORE and now - self._asked > ASK_AGAIN:
                self._asked = now
                self._current = self._renewed()
            current = self._current
        return {
            "access_key_id": current.access_key_id,
            "secret_access_key": current.secret_access_key,
            "token": current.session_token,
            "expires_at": current.expires_at,
        }

    def _renewed(self) -> SessionCredentials:
        # Not by obstore: it is in the middle of a request of its own when it asks.
        request = urllib.request.Request(self._address, headers=self._signature(datetime.now(UTC)))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=READ_SECONDS) as answer:  # noqa: S310 - the store's own
                found = SessionCredentials.model_validate(json.loads(answer.read(MOST_BYTES)))
        except (OSError, ValueError, ValidationError):
            # They may not have been written yet. As long as the old ones hold nobody needs to know.
            return self._current
        return max(found, self._current, key=lambda one: one.expires_at)

    def _signature(self, now: datetime) -> dict[str, str]:
        return get_headers(self._address, self._current, self.connection.region, now)


def get_headers(address: str, credentials: SessionCredentials, region: str, now: datetime) -> dict[str, str]:
    """The headers that sign GET of an object's address (AWS Signature Version 4)."""
    parts = urlsplit(address)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": parts.netloc,
        "x-amz-content-sha256": _EMPTY,
        "x-amz-date": stamp,
        "x-amz-security-token": credentials.session_token,
    }
    signed = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"GET\n{parts.path}\n\n{lines}\n{signed}\n{_EMPTY}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    name = f"{credentials.access_key_id}/{scope}"
    return headers | {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={name}, SignedHeaders={signed}, Signature={signature}"
    }
