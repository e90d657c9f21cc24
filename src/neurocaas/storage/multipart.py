"""Uploads and downloads straight between a person's machine and S3, by links that this site signs (needs boto3).

obstore, which the store itself uses, signs no links for single parts. Endpoint, region and credentials come from the
same AWS_* variables.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from neurocaas.errors import NotFound
from neurocaas.storage import keys
from neurocaas.storage.boto import s3_client, told
from neurocaas.storage.checksums import FileDigest

if TYPE_CHECKING:
    from neurocaas.storage.s3 import S3Store

_MIB = 1 << 20
_LEAST_PART_BYTES = 16 * _MIB
_PARTS = 9_000  # S3 accepts 10,000 of one object
_BLOCK_BYTES = 4 * _MIB


def part_bytes(size_bytes: int) -> int:
    """How large each part but the last of an object of this size is: whole MiB."""
    return max(_LEAST_PART_BYTES, -(-size_bytes // (_PARTS * _MIB)) * _MIB)


def part_count(size_bytes: int) -> int:
    return max(1, -(-size_bytes // part_bytes(size_bytes)))


def part_size(size_bytes: int, number: int) -> int:
    """The bytes of part `number`, which counts from 1."""
    each = part_bytes(size_bytes)
    return min(each, size_bytes - (number - 1) * each)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part that S3 has."""

    size_bytes: int
    etag: str


class Multipart:
    """The multipart uploads of one store. `seconds` is how long a link works."""

    def __init__(self, store: S3Store) -> None:
        self._store_url = store.url
        self._bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def begin(self, key: str) -> str:
        """Begin an object. Returns S3's name for the upload."""
        with self._told(f"begin {key}"):
            begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._path(key))
        return str(begun["UploadId"])

    def part_url(self, key: str, upload: str, number: int, *, seconds: int) -> str:
        """Where to PUT part `number`, which counts from 1. Nothing is sent to S3."""
        named = {"Bucket": self._bucket, "Key": self._path(key), "UploadId": upload, "PartNumber": number}
        return str(self._client.generate_presigned_url("upload_part", Params=named, ExpiresIn=seconds))

    def parts(self, key: str, upload: str) -> dict[int, Part]:
        """What S3 has of the object so far. Raises NotFound for an upload that was completed or aborted."""
        with self._told(f"list the parts of {key}"):
            pages = self._client.get_paginator("list_parts").paginate(
                Bucket=self._bucket, Key=self._path(key), UploadId=upload
            )
            return {
                one["PartNumber"]: Part(size_bytes=one["Size"], etag=one["ETag"])
                for page in pages
                for one in page.get("Parts", ())
            }

    def complete(self, key: str, upload: str, parts: Mapping[int, Part]) -> None:
        """Make the parts one object. Raises NotFound as `parts` does."""
        listed = [{"PartNumber": number, "ETag": parts[number].etag} for number in sorted(parts)]
        with self._told(f"complete {key}"):
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._path(key), UploadId=upload, MultipartUpload={"Parts": listed}
            )

    def abort(self, key: str, upload: str) -> None:
        """Give the upload up; its parts are gone. Quiet if it is already."""
        with contextlib.suppress(NotFound), self._told(f"abort {key}"):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._path(key), UploadId=upload)

    def abandoned(self, prefix: str, before: datetime, known: Collection[str]) -> Sequence[tuple[str, str]]:
        """Key and name of each upload below `prefix + "/"` that began before then and is not one of `known`."""
        with self._told(f"list the uploads to {prefix}"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=f"{self._path(prefix)}/"
            )
            return [
                (one["Key"].removeprefix(self._prefix), one["UploadId"])
                for page in pages
                for one in page.get("Uploads", ())
                if one["Initiated"] < before and one["UploadId"] not in known
            ]

    def size_bytes(self, key: str) -> int | None:
        """How large the object is; None if there is none."""
        try:
            with self._told(f"look at {key}"):
                return int(self._client.head_object(Bucket=self._bucket, Key=self._path(key))["ContentLength"])
        except NotFound:
            return None

    def digest(self, key: str) -> FileDigest:
        """Read the object once."""
        digest, size_bytes = hashlib.sha256(), 0
        with self._told(f"read {key}"):
            body = self._client.get_object(Bucket=self._bucket, Key=self._path(key))["Body"]
            with contextlib.closing(body):
                for block in body.iter_chunks(_BLOCK_BYTES):
                    digest.update(block)
                    size_bytes += len(block)
        return FileDigest(sha256=digest.hexdigest(), size_bytes=size_bytes)

    def head(self, key: str, count: int) -> bytes:
        """The object's first bytes."""
        return self._range(key, f"bytes=0-{count - 1}")

    def tail(self, key: str, count: int) -> bytes:
        """The object's last bytes, or all of it."""
        return self._range(key, f"bytes=-{count}")

    def download_url(self, key: str, filename: str, *, seconds: int) -> str:
        """Where to GET the object, as an attachment of this name."""
        named = {
            "Bucket": self._bucket,
            "Key": self._path(key),
            "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
            "ResponseContentType": "application/octet-stream",
        }
        return str(self._client.generate_presigned_url("get_object", Params=named, ExpiresIn=seconds))

    def _range(self, key: str, wanted: str) -> bytes:
        with self._told(f"read {key}"):
            body = self._client.get_object(Bucket=self._bucket, Key=self._path(key), Range=wanted)["Body"]
            with contextlib.closing(body):
                return bytes(body.read())

    def _path(self, key: str) -> str:
        return self._prefix + keys.checked(key)

    @cached_property
    def _client(self) -> Any:
        return s3_client("Uploads straight to S3")

    @contextlib.contextmanager
    def _told(self, action: str) -> Iterator[None]:
        """Turns botocore's errors into sentences."""
        _ = self._client  # says by itself that boto3 is missing
        with told(action, f"the store {self._store_url}"):
            yield
