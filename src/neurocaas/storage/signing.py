"""Addresses that let whoever holds them make one request of an S3 bucket for a while."""

from __future__ import annotations

from datetime import timedelta

from neurocaas.errors import Refused, StorageFailed

_VALID = timedelta(hours=1)


def signed_url(bucket: str, key: str, method: str, *, valid: timedelta = _VALID) -> str:
    """A URL for GET or HEAD of one object, signed with the AWS_* variables' credentials.

    It is good for an hour unless said otherwise, and never longer than those credentials or a week.
    """
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    if method not in {"GET", "HEAD"}:
        raise Refused(f"Addresses are signed for reading only, not for {method}.")
    try:
        return obstore.sign(S3Store(bucket), method, key, expires_in=valid)  # type: ignore[call-overload,no-any-return]
    except (BaseError, ValueError) as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise StorageFailed(f"An address of s3://{bucket}/{key[:80]} could not be signed: {reason}.") from error
