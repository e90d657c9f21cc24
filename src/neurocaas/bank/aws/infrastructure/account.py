"""The AWS account as this site reaches it: its services' clients, and their errors as sentences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from neurocaas.errors import Forbidden, RemoteFailed, Unavailable

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
_STRANGERS = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "SignatureDoesNotMatch", "AuthFailure"}
)
_TIMEOUT_SECONDS = 30


class Account:
    """Reached by the credentials that boto3 finds (AWS_* variables, a profile, an instance's role)."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of a service. Raises Unavailable if boto3 is not installed."""
        if service not in self._clients:
            try:
                import boto3
                from botocore.config import Config
            except ImportError as cause:
                raise Unavailable(
                    "AWS needs boto3, which is not installed.", remedy="pip install 'neurocaas[aws]'"
                ) from cause
            config = Config(
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=_TIMEOUT_SECONDS,
                read_timeout=_TIMEOUT_SECONDS,
            )
            self._clients[service] = boto3.client(service, region_name=self.region, config=config)
        return self._clients[service]

    @cached_property
    def number(self) -> str:
        """The account's twelve digits."""
        return str(self.client("sts").get_caller_identity()["Account"])


@contextlib.contextmanager
def told() -> Iterator[None]:
    """AWS's refusals and silences as one sentence with what to do. Raises Forbidden or RemoteFailed."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
    except ImportError:
        yield  # nothing of AWS's can be raised in here; the first client says what is missing
        return
    try:
        yield
    except NoCredentialsError as cause:
        raise Forbidden(
            "AWS asks who you are, and there are no credentials.",
            remedy="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ) from cause
    except ClientError as cause:
        raise _refusal(cause) from cause
    except BotoCoreError as cause:
        raise RemoteFailed(f"AWS could not be asked: {str(cause).rstrip('.')}.") from cause


def code_of(error: Any) -> str:
    """AWS's own word for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: Any) -> Forbidden | RemoteFailed:
    code, said = code_of(error), str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    if code in _DENIED:
        return Forbidden(
            f"AWS does not let you call {error.operation_name}: {said}.",
            remedy="docs/reference/aws-infrastructure.md says what whoever deploys must be allowed.",
        )
    if code in _STRANGERS:
        return Forbidden(f"AWS does not accept the credentials: {said}.", remedy="Check the AWS_* variables.")
    return RemoteFailed(f"AWS refused {error.operation_name} ({code}): {said}.")
