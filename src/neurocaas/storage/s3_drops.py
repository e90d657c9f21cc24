"""A bucket that other programs write to. By boto3: obstore lists nothing any more once one key is not to its taste."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage.boto import s3_client, told
from neurocaas.storage.copying import appearing, write_all
from neurocaas.storage.drops import Drop
from neurocaas.storage.faults import why

_BLOCK_BYTES = 4 << 20


class S3Drops:
    """Objects in a bucket, below a prefix."""

    settles = False

    def __init__(self, url: str) -> None:
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not self._bucket:
            raise Refused(f"{url!r} names no bucket; write s3://bucket/prefix.")

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def folders(self) -> list[str]:
        found = (
            one["Prefix"].removeprefix(self._prefix).rstrip("/")
            for page in self._pages(Prefix=self._prefix, Delimiter="/")
            for one in page.get("CommonPrefixes", ())
        )
        return sorted(filter(None, found))

    def listed(self, prefix: str) -> Iterator[Drop]:
        for page in self._pages(Prefix=self._prefix + prefix):
            for one in page.get("Contents", ()):
                if not one["Key"].endswith("/"):  # what consoles put where a folder is to be
                    yield Drop(
                        key=one["Key"].removeprefix(self._prefix),
                        size_bytes=one["Size"],
                        mark=one["ETag"].strip('"'),
                        modified_at=one["LastModified"],
                    )

    def find(self, key: str) -> Drop | None:
        try:
            with self._told(f"look at {key}"):
                found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except NotFound:
            return None
        return Drop(
            key=key,
            size_bytes=found["ContentLength"],
            mark=found["ETag"].strip('"'),
            modified_at=found["LastModified"],
        )

    def read(self, key: str, start: int, end: int) -> bytes:
        # S3 knows no range of nothing, which is what an empty object has, so the beginning is read without one.
        ranged = {"Range": f"bytes={start}-{end - 1}"} if start else {}
        with self._told(f"read {key}"), contextlib.closing(self._get(key, **ranged)) as body:
            return bytes(body.read(end - start))

    def fetch(self, key: str, path: Path) -> None:
        with self._told(f"fetch {key}"), contextlib.closing(self._get(key)) as body:
            try:
                with appearing(path) as target:
                    for block in body.iter_chunks(_BLOCK_BYTES):
                        write_all(target, block)
            except OSError as error:
                raise StorageFailed(f"{path.name} could not be written while it arrived: {why(error)}.") from error

    def put(self, key: str, data: bytes) -> None:
        with self._told(f"write {key}"):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def put_file(self, path: Path, key: str) -> None:
        with self._told(f"write {key}"):
            self._client.upload_file(str(path), self._bucket, self._prefix + key)

    def _get(self, key: str, **more: Any) -> Any:
        return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, **more)["Body"]

    def _pages(self, **what: Any) -> Iterator[dict[str, Any]]:
        with self._told(f"list {what['Prefix'] or 'everything'}"):
            pages: Iterator[dict[str, Any]] = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, **what
            )
            yield from pages

    @cached_property
    def _client(self) -> Any:
        return s3_client("Drop-boxes in S3")

    @contextlib.contextmanager
    def _told(self, action: str) -> Iterator[None]:
        _ = self._client  # says by itself that boto3 is missing
        with told(action, self.url):
            yield
