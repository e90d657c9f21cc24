"""Session credentials from AWS's Security Token Service, or a store that speaks it, such as MinIO (needs boto3)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from neurocaas.errors import StorageFailed, Unavailable
from neurocaas.storage.credentials import Connection, SessionCredentials
from neurocaas.storage.scope import PolicyTooLong, policy_text

NAME_CHARACTERS = 64
_TIMEOUT_SECONDS = 20


def mint(role_arn: str, policy: Mapping[str, Any], session_name: str, seconds: int) -> SessionCredentials:
    """Credentials that may do what both the role and the policy allow, for `seconds` (AWS: 900 to 43,200).

    session_name: shown in the account's trail; what AWS does not accept in it is replaced. The endpoint is that of
    `AWS_ENDPOINT_URL_STS`, else `AWS_ENDPOINT_URL`, else Amazon's own. Raises PolicyTooLong, StorageFailed,
    Unavailable.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as cause:
        raise Unavailable(
            "Credentials for runners on S3 need boto3, which is not installed.", remedy="pip install 'neurocaas[aws]'"
        ) from cause
    named = ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next((os.environ[name] for name in named if os.environ.get(name)), None)
    config = Config(
        retries={"mode": "standard", "max_attempts": 4}, connect_timeout=_TIMEOUT_SECONDS, read_timeout=_TIMEOUT_SECONDS
    )
    try:
        client = boto3.client("sts", region_name=Connection.here().region, endpoint_url=endpoint, config=config)
        answer = client.assume_role(
            RoleArn=role_arn,
            Policy=policy_text(policy),
            RoleSessionName=re.sub(r"[^\w+=,.@-]", "-", session_name, flags=re.ASCII)[-NAME_CHARACTERS:],
            DurationSeconds=seconds,
        )
    except ClientError as error:
        found = error.response.get("Error", {})
        said = str(found.get("Message")).rstrip(".")
        if found.get("Code") == "PackedPolicyTooLarge":
            raise PolicyTooLong(f"A runner's session policy is too long: {said}.") from error
        raise StorageFailed(
            f"Credentials for a runner could not be had from the role {role_arn}: {said}.",
            remedy="The site's own credentials must be allowed sts:AssumeRole on it, and it must trust them.",
        ) from error
    except BotoCoreError as error:
        raise StorageFailed(
            f"Credentials for a runner could not be had from the role {role_arn}: {str(error)[:300].rstrip('.')}."
        ) from error
    given = answer["Credentials"]
    return SessionCredentials(
        access_key_id=given["AccessKeyId"],
        secret_access_key=given["SecretAccessKey"],
        session_token=given["SessionToken"],
        expires_at=given["Expiration"],
    )
