"""From an address as a person gives it to the requests that bring the file: plain, S3 or DANDI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neurocaas.errors import Refused
from neurocaas.server.fetching import dandi
from neurocaas.server.fetching.network import Web
from neurocaas.storage.signing import signed_url

_AMAZON = "https://s3.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a file is. `url_for`: a method (GET, HEAD) to a URL that answers it; what else is known stands beside it.

    shown: the address without secrets.
    """

    url_for: Callable[[str], str]
    shown: str
    name: str = ""
    size_bytes: int | None = None
    sha256: str = ""
    etag: str = ""


def locate(url: str, web: Web) -> Source:
    """The source that an address names. Raises Refused, NotFound or RemoteFailed."""
    if url.startswith("s3://"):
        return _in_s3(url, web)
    named = dandi.named(url, web.limits)
    if named is None:
        return Source(url_for=lambda _: url, shown=url)
    asset = dandi.find(named, web)
    return Source(
        url_for=lambda _: asset.download_url,
        shown=asset.download_url,
        name=asset.path.rpartition("/")[2],
        size_bytes=asset.size_bytes,
        sha256=asset.sha256,
        etag=asset.etag,
    )


def _in_s3(url: str, web: Web) -> Source:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not bucket or not key or key.endswith("/"):
        raise Refused(f"{url[:200]!r} names no file in a bucket; s3://bucket/folder/file is right.")
    if not bucket.replace("-", "").replace(".", "").isalnum() or not bucket.isascii():
        raise Refused(f"{bucket[:80]!r} can't be a bucket's name; lower-case letters, digits, - and . are right.")
    name = key.rpartition("/")[2]
    if bucket in web.limits.allowed_buckets:
        # Signed anew for every request, since a signature may run out while a large file arrives.
        return Source(url_for=lambda method: signed_url(bucket, key, method), shown=url, name=name)
    # As it stands, except what the request line can't hold: `place` would take % for an escape that was meant.
    path = key.replace("%", "%25").replace("?", "%3F").replace("#", "%23").replace("\\", "%5C").replace(" ", "%20")
    public = f"{_endpoint(bucket, web)}/{bucket}/{path}"
    return Source(url_for=lambda _: public, shown=url, name=name)


def _endpoint(bucket: str, web: Web) -> str:
    """Where a public bucket is asked. Amazon's general address tells the region; a bucket answers in its own only."""
    endpoint = web.limits.s3_endpoint.rstrip("/")
    if endpoint != _AMAZON:
        return endpoint
    with web.open("HEAD", f"{endpoint}/{bucket}") as answer:
        region = answer.headers.get("x-amz-bucket-region", "us-east-1")
    if not region.replace("-", "").isalnum():
        raise Refused(f"The bucket {bucket} says that it is in the region {region[:40]!r}, which can't be one.")
    return f"https://s3.{region}.amazonaws.com"
