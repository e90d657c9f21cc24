"""The AWS client of this room, for what obstore lacks (needs boto3): its making, and its errors as sentences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from neurocaas.errors import NotFound, StorageFailed, Unavailable
from neurocaas.storage.credentials import Connection

_NOT_THERE = frozenset({"NoSuchUpload", "NoSuchKey", "404"})


def s3_client(purpose: str) -> Any:
    """A client of S3 as the AWS_* variables say. purpose: what needs boto3, for whoever lacks it (Unavailable)."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as cause:
        raise Unavailable(
            f"{purpose} need boto3, which is not installed.", remedy="pip install 'neurocaas[aws]'"
        ) from cause
    connection = Connection.here()
    style = "virtual" if connection.virtual_hosted else "path" if connection.endpoint else "auto"
    return boto3.client(
        "s3",
        region_name=connection.region,
        endpoint_url=connection.endpoint or None,
        config=Config(
            signature_version="s3v4",
            retries={"mode": "standard", "max_attempts": 8},
            # Checksums of the SDK's own would be signed into the links, and no browser computes them.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Custom endpoints are seldom reached by a name of the bucket's own.
            s3={"addressing_style": style},
        ),
    )


@contextlib.contextmanager
def told(action: str, where: str) -> Iterator[None]:
    """Turns botocore's errors into sentences. Raises NotFound for what is not there, else StorageFailed."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        found = error.response.get("Error", {})
        if found.get("Code") in _NOT_THERE:
            raise NotFound(f"Could not {action} in {where}: it is not there.") from error
        raise StorageFailed(f"Could not {action} in {where}: {str(found.get('Message')).rstrip('.')}.") from error
    except (Boto3Error, BotoCoreError) as error:
        raise StorageFailed(f"Could not {action} in {where}: {str(error)[:300]}.") from error
