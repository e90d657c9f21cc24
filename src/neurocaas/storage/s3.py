"""A store in an S3 bucket, or in anything that speaks S3, over obstore.

Endpoint, region, credentials and addressing come from the AWS_* variables (`AWS_ENDPOINT_URL`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID`, `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`, …). An endpoint that says `http://` is taken at its word.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from neurocaas.errors import NotFound, Refused, StorageFailed
from neurocaas.storage import keys
from neurocaas.storage.copying import appearing, open_regular, write_all
from neurocaas.storage.faults import why
from neurocaas.storage.store import Entry

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import S3Config

    from neurocaas.storage.credentials import Renewed

_PART_BYTES = 16 << 20
_PARTS = 9_000  # S3 accepts 10,000 parts of one object
_IN_FLIGHT_BYTES = 256 << 20
_RETRIES = 8  # with the pauses between them, about half a minute without a connection
_NO_BUCKET = "<Code>NoSuchBucket</Code>"
_REQUEST_TIMEOUT = timedelta(minutes=5)


class S3Store:
    """Objects in a bucket, below a prefix. `retries`: how often a lost connection is tried again.

    credentials: of a session that reaches only a part of the store; without, what the AWS_* variables say.
    """

    def __init__(self, url: str, *, retries: int = _RETRIES, credentials: Renewed | None = None) -> None:
        self._bucket_name, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = keys.relative(prefix.strip("/")) + "/" if prefix.strip("/") else ""
        if not self._bucket_name:
            raise Refused(f"{url!r} names no bucket; write s3://bucket/prefix.")
        self._retries = retries
        self._credentials = credentials
        self._bucket: Bucket | None = None
        self._process_id = 0

    @property
    def url(self) -> str:
        return f"s3://{self._bucket_name}/{self._prefix}".rstrip("/")

    def __repr__(self) -> str:
        return f"S3Store({self.url!r})"

    def put(self, key: str, data: bytes) -> None:
        with self._told(f"write {key}"):
            self._put(key, data, "overwrite")

    def create(self, key: str, data: bytes) -> bool:
        # When S3's answer is lost, the repeated request finds our own object and we believe we lost. So on a bad
        # connection nobody may win; two never do.
        with self._told(f"create {key}"):
            try:
                self._put(key, data, "create")
            except AlreadyExistsError:
                return False
            return True

    def get(self, key: str) -> bytes:
        with self._told(f"read {key}", missing=key):
            return bytes(obstore.get(self._opened(), self._path(key)).bytes())

    def blocks(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with self._told(f"read {key}", missing=key):
            whole = start == 0 and end is None
            size = 0 if whole else obstore.head(self._opened(), self._path(key))["size"]
            last = size if end is None else min(end, size)
            if not whole and start >= last:
                return
            options: GetOptions = {} if whole else {"range": (start, last)}
            for block in obstore.get(self._opened(), self._path(key), options=options).stream():
                yield bytes(block)

    def head(self, key: str) -> Entry | None:
        try:
            with self._told(f"look at {key}", missing=key):
                found = obstore.head(self._opened(), self._path(key))
        except NotFound:
            return None
        return Entry(key=key, size_bytes=found["size"])

    def list(self, prefix: str) -> Iterator[Entry]:
        path = self._path(prefix) if prefix else self._prefix.rstrip("/")
        return self._listed(path, prefix)

    def delete(self, key: str) -> None:
        with self._told(f"delete {key}"), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._opened(), self._path(key))

    def delete_below(self, prefix: str) -> None:
        # obstore groups them into requests of 1,000 keys.
        paths = [self._path(entry.key) for entry in self._listed(self._path(prefix), prefix)]
        with self._told(f"delete {prefix}"):
            if paths:
                obstore.delete(self._opened(), paths)

    def put_file(self, path: Path, key: str, *, move: bool = False) -> None:
        try:
            descriptor = open_regular(path, follow=False)
        except FileNotFoundError as error:
            raise NotFound(f"{path} can't be stored: it does not exist.") from error
        except OSError as error:
            raise StorageFailed(f"{path} can't be read: {why(error)}.") from error
        with self._told(f"store {path} as {key}"), os.fdopen(descriptor, "rb") as file:
            size_bytes = os.fstat(descriptor).st_size
            part_bytes = max(_PART_BYTES, -(-size_bytes // _PARTS))
            obstore.put(
                self._opened(),
                self._path(key),
                file,
                use_multipart=size_bytes > part_bytes,
                chunk_size=part_bytes,
                max_concurrency=max(1, _IN_FLIGHT_BYTES // part_bytes),
            )
            if move:
                path.unlink(missing_ok=True)

    def get_file(self, key: str, path: Path) -> None:
        with self._told(f"fetch {key} to {path}", missing=key):
            found = obstore.get(self._opened(), self._path(key))
            with appearing(path) as target:
                for block in found.stream():
                    write_all(target, block)
                arrived_bytes = os.fstat(target).st_size
                if arrived_bytes != found.meta["size"]:
                    raise StorageFailed(
                        f"Only {arrived_bytes} of {found.meta['size']} bytes of {key} arrived from {self.url}."
                    )

    def local_path(self, key: str) -> Path | None:
        keys.checked(key)
        return None

    def _put(self, key: str, data: bytes, mode: Literal["create", "overwrite"]) -> None:
        obstore.put(self._opened(), self._path(key), data, mode=mode, use_multipart=False)

    def _path(self, key: str) -> str:
        return self._prefix + keys.checked(key)

    def _listed(self, path: str, prefix: str) -> Iterator[Entry]:
        with self._told(f"list {prefix or 'everything'}"):
            found = [
                (meta["path"].removeprefix(self._prefix), meta["size"])
                for metas in obstore.list(self._opened(), path or None)
                for meta in metas
            ]
        # Directory buckets list in no order; the others already do in this one.
        return iter([Entry(key=key, size_bytes=size_bytes) for key, size_bytes in sorted(found)])

    def _opened(self) -> Bucket:
        """The connection, made at the first use. obstore's threads do not survive a fork, where it would hang."""
        process_id = os.getpid()
        if self._bucket is None:
            self._bucket = self._connected()
            self._process_id = process_id
        if self._process_id != process_id:
            raise StorageFailed(
                f"The store {self.url} was opened before this process was forked; open it afterwards, "
                "and use no other S3 store in the parent before."
            )
        return self._bucket

    def _connected(self) -> Bucket:
        config: S3Config = {}
        allow_http = _http_is_meant()
        if self._credentials is not None:
            connection = self._credentials.connection
            config = {"region": connection.region, "virtual_hosted_style_request": connection.virtual_hosted}
            if connection.endpoint:
                config["endpoint"] = connection.endpoint
            allow_http = connection.endpoint.startswith("http://")
        return Bucket(
            self._bucket_name,
            config=config,
            client_options={"timeout": _REQUEST_TIMEOUT, "allow_http": allow_http},
            retry_config={"max_retries": self._retries, "retry_timeout": timedelta(minutes=1)},
            credential_provider=self._credentials,
        )

    @contextlib.contextmanager
    def _told(self, action: str, *, missing: str = "") -> Iterator[None]:
        """Turns obstore's errors into sentences. `missing`: the key that "not found" is about."""
        try:
            yield
        except AlreadyExistsError:
            raise
        except FileNotFoundError as error:
            if missing and _NO_BUCKET not in str(error):
                raise NotFound(f"There is no {missing} in the store {self.url}.") from error
            raise StorageFailed(f"Could not {action} in the store {self.url}: {self._why(error)}.") from error
        except (BaseError, OSError, ValueError) as error:
            if missing and isinstance(error, PermissionDeniedError) and self._is_absent(missing):
                raise NotFound(f"There is no {missing} in the store {self.url}.") from error
            raise StorageFailed(f"Could not {action} in the store {self.url}: {self._why(error)}.") from error

    def _is_absent(self, key: str) -> bool:
        """Whether a session that may list only what lies below some prefixes was refused because nothing is there.

        S3 answers 404 only to who may list the whole bucket, so such a session looks beside the key.
        """
        if self._credentials is None:
            return False
        path = self._path(key)
        try:
            found = obstore.list_with_delimiter(self._opened(), path.rpartition("/")[0])
        except (BaseError, OSError, ValueError):
            return False
        return all(meta["path"] != path for meta in found["objects"])

    def _why(self, error: Exception) -> str:
        text = str(error)
        if _NO_BUCKET in text:
            return f"there is no bucket {self._bucket_name}; create it or correct the store's address"
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or "403 Forbidden:" in text:
            if self._credentials is not None:
                return "the credentials of this attempt do not reach so far, or have ended"
            return "the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY do not permit it"
        if "error sending request" in text:
            return "the server does not answer; check AWS_ENDPOINT_URL and the network"
        if isinstance(error, OSError) and error.errno:
            return why(error)
        # The first line is for people; what follows it is the library's own account.
        return text.split("\n", 1)[0][:300].rstrip(".")


def _http_is_meant() -> bool:
    endpoints = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    return any(endpoint.startswith("http://") for endpoint in endpoints)
