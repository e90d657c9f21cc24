"""The connection to an AWS account: clients that retry by themselves, and their errors as sentences."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

from neurocaas.errors import RemoteFailed, Unavailable

# botocore's own: exponential pauses with jitter, up to 20 seconds each, for what may pass.
RETRIES = {"mode": "standard", "total_max_attempts": 6}
CONNECT_SECONDS = 5
READ_SECONDS = 40  # longer than a long poll
PASSING = frozenset({"ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"})


class NotAnswering(RemoteFailed):
    """AWS did not answer, or had too much to do, however often it was asked. What was asked may have been done."""


class Account:
    """Clients of AWS's services in one region, each made when first asked for. Any thread may ask."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Raises Unavailable where boto3 is not installed."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._connected(service)
            return self._clients[service]

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _connected(self, service: str) -> Any:
        # Half a second and 40 MB: only sites on AWS pay for it, and of those only the processes that ask.
        try:
            import boto3
            from botocore.config import Config
        except ImportError as cause:
            raise Unavailable(
                "boto3 is not installed here.", remedy="Install it: pip install neurocaas[aws]"
            ) from cause
        # It tells at each start where it found credentials and addresses, which no operator of a site asked.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        config = Config(retries=RETRIES, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        return boto3.client(service, region_name=self.region, config=config)


@contextlib.contextmanager
def told(action: str) -> Iterator[None]:
    """Turns botocore's errors into sentences. Raises NotAnswering for what may pass, else RemoteFailed.

    action: what AWS would not do, as in "run the stack".
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        message = f"AWS would not {action}: {str(said.get('Message') or said.get('Code') or error)[:300].rstrip('.')}."
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or said.get("Code") in PASSING:
            raise NotAnswering(message) from error
        raise RemoteFailed(message) from error
    except HTTPClientError as error:
        raise NotAnswering(f"AWS did not answer when asked to {action}.") from error
    except BotoCoreError as error:
        raise RemoteFailed(f"AWS could not be asked to {action}: {str(error)[:300].rstrip('.')}.") from error
