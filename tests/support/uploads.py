"""A group's staged data for tests: a desk with a store of its own, and a real server. Import with Django set up."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvicorn

from neurocaas.protocol import Dataset
from neurocaas.server.uploads import arriving, beginning, completing, expiry, items, models, quotas, staging
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.direct import DirectProtocol
from neurocaas.server.uploads.tus import Tus
from neurocaas.storage import Store, open_store

GROUP, USER = "lab", "ada"
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Lab:
    """One group at a desk."""

    store: Store
    limit_bytes: int | None = None
    expires_after: timedelta | None = None
    group: str = GROUP
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.desk = Desk(
            store=self.store,
            quota_bytes=lambda group: self.limit_bytes,
            expires_after=self.expires_after,
            clock=lambda: self.now,
        )

    def begin(self, name: str, *sizes: int, digests: Sequence[str] = (), **more: Any) -> models.Upload:
        """Begin a file of this size, or with `paths` a folder."""
        paths = more.pop("paths", [name])
        files = [{"path": path, "size_bytes": size} for path, size in zip(paths, sizes, strict=True)]
        for file, digest in zip(files, digests, strict=False):
            file["sha256"] = digest
        form = "folder" if paths != [name] else "file"
        return beginning.begin(self.desk, self.group, USER, {"name": name, "form": form, "files": files, **more})

    def bring(self, name: str, content: bytes, **more: Any) -> models.Item:
        """Upload a file, whole."""
        upload = self.begin(name, len(content), **more)
        for row in upload.files.filter(done=False):
            self.desk.partial(row).write_bytes(content)
        return self.finished(upload)

    def bring_folder(self, name: str, files: dict[str, bytes], **more: Any) -> models.Item:
        upload = self.begin(name, *map(len, files.values()), paths=list(files), **more)
        for row in upload.files.filter(done=False):
            self.desk.partial(row).write_bytes(files[row.path])
        return self.finished(upload)

    def finished(self, upload: models.Upload) -> models.Item:
        item = self.complete(upload).item
        assert item is not None
        return item

    def complete(self, upload: models.Upload) -> models.Upload:
        return completing.complete(self.desk, self.group, str(upload.id))

    def describe(self, upload: models.Upload) -> dict[str, Any]:
        return arriving.describe(self.desk, upload)

    def used(self) -> int:
        return quotas.quota(self.desk, self.group).used_bytes

    def delete(self, item: models.Item) -> None:
        items.delete(self.desk, self.group, str(item.id))

    def stage(self, blueprint: Any, *ids: object, **more: object) -> tuple[Dataset, ...]:
        named = {name: str(one) for name, one in more.items()}
        return staging.stage_items([self.group], blueprint, [str(one) for one in ids], named)

    def sweep(self) -> expiry.Swept:
        return expiry.chore_expire(self.desk)

    def stored(self) -> list[str]:
        return [entry.key for entry in self.store.list("")]


def file_lab(root: Path, **more: Any) -> Lab:
    return Lab(store=open_store((root / "store").as_uri()), **more)


def s3_lab(**more: Any) -> Lab:
    return Lab(store=open_store(f"s3://contract/uploads/{uuid.uuid4().hex}"), **more)


@dataclass(frozen=True)
class Person:
    """Who a request is by, in tests: as its headers say."""

    user: str
    group: str


def by_header(scope: Any) -> Person | None:
    headers = dict(scope["headers"])
    group = headers.get(b"x-group", GROUP.encode()).decode()
    return Person(user=USER, group=group) if group else None


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def offset(self) -> int:
        return int(self.headers["Upload-Offset"])


@dataclass
class Client:
    """A tus client that says exactly what a test wants."""

    port: int

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """`headers`: with underscores for dashes; one that is "" is left out."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name: one for name, one in (TUS | sent).items() if one})
            answer = connection.getresponse()
            return Answer(status=answer.status, headers=answer.headers, body=answer.read())

    def patch(self, path: str, offset: int, body: bytes, **headers: str) -> Answer:
        kind = "application/offset+octet-stream"
        return self("PATCH", path, body, **{"Upload_Offset": str(offset), "Content_Type": kind, **headers})

    def cut_off(self, path: str, offset: int, body: bytes, length: int) -> None:
        """Send less than was announced, and go away."""
        with self.half_open(path, offset, body, length):
            pass

    @contextlib.contextmanager
    def half_open(self, path: str, offset: int, body: bytes, length: int) -> Iterator[socket.socket]:
        head = (
            f"PATCH {path} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
            f"Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(head.encode() + body)
            yield connection


@contextlib.contextmanager
def served(lab: Lab, **options: Any) -> Iterator[Client]:
    """A real server in a thread of this process."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = Tus(lab.desk, by_header, **options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", http=DirectProtocol))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Client(port=listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@dataclass
class ServerProcess:
    """A real server in a process of its own, which a test may kill. Its port stays, whichever process serves it."""

    database_url: str
    store_url: str

    def __post_init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.client = Client(port=self.listening.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        number = self.listening.fileno()
        command = [
            sys.executable,
            str(Path(__file__).with_name("upload_server.py")),
            self.database_url,
            self.store_url,
            str(number),
        ]
        self.process = subprocess.Popen(command, pass_fds=[number])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.kill()
        self.listening.close()


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()
