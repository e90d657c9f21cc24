"""A site that speaks the API's contract over real HTTP, with faults on demand; for tests of the client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ncs_secret-of-the-tests"
PART_BYTES = 1 << 20


@dataclass
class RemoteSite:
    """What the site has, what it was asked, and what is to go wrong: `faults` holds how often each still will."""

    method: str = "tus"
    url: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, str]] = field(default_factory=list)
    received: int = 0  # bytes of file content
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, name: str) -> bool:
        with self.lock:
            self.faults[name] -= 1
            return self.faults[name] >= 0

    def count(self, method: str, part: str) -> int:
        return sum(one == method and part in path for one, path in self.asked)


def job(job_id: str = "20260101-00000001", status: str = "running") -> dict[str, Any]:
    """A job as the API shows it."""
    attempt = {
        "number": 1,
        "status": status,
        "reason": "",
        "message": "",
        "provider": "local",
        "instance_type": "local",
        "price": "standard",
        "started_at": "2026-01-01T00:00:00.000Z",
        "ended_at": None,
        "exit_code": None,
        "usage": None,
        "cost_dollars": "0",
    }
    stack = {
        "index": 0,
        "step": "copy",
        "name": "d000",
        "dataset": "d000.txt",
        "label": "",
        "folder": "d000",
        "status": status,
        "reason": "",
        "message": "",
        "remedy": "",
        "progress": 0.5,
        "note": "",
        "started_at": "2026-01-01T00:00:00.000Z",
        "ended_at": "2026-01-01T00:00:01.000Z" if status != "running" else None,
        "seconds": 1.0,
        "reused_from": None,
        "not_reused": "",
        "cost_dollars": "0",
        "attempts": [attempt],
    }
    return {
        "job": job_id,
        "analysis": "copy@000000000000",
        "status": status,
        "reason": "",
        "message": "",
        "user": "ada",
        "submitted_at": "2026-01-01T00:00:00.000Z",
        "started_at": None,
        "ended_at": None,
        "version": "0" * 64,
        "git_commit": None,
        "config": {},
        "sweep": [],
        "seed": 0,
        "price": "standard",
        "retry_of": None,
        "bound_dollars": "0",
        "held_dollars": "0",
        "cost_dollars": "0",
        "steps": [{"name": "copy", "analysis": "copy@000000000000", "version": "0" * 64, "environment": None}],
        "outputs": [],
        "stacks": [stack],
        "said_by_a_newer_site": True,
    }


@contextmanager
def remote_site(method: str = "tus") -> Iterator[RemoteSite]:
    site = RemoteSite(method=method)

    class Handler(_Handler):
        state = site

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: RemoteSite
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_HEAD = do_PATCH = do_PUT = do_DELETE = do_GET

    def _handle(self) -> None:
        site, parts = self.state, urlsplit(self.path)
        site.asked.append((self.command, self.path))
        site.headers.append(dict(self.headers.items()))
        if site.fault("busy"):
            self._body()
            self._problem(503, "unavailable", "The site is busy.", {"Retry-After": "7"})
            return
        if parts.path.startswith("/s3/"):
            self._put_part(parts.path)
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._body()
            self._problem(401, "unauthenticated", "Nobody is signed in; an API token is right.")
            return
        words = parts.path.removeprefix("/api/v1/").strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/uploads/"):
            self._tus(*parts.path.split("/")[2:4])
        else:
            self._api(words, query)

    def _api(self, words: list[str], query: dict[str, str]) -> None:
        site = self.state
        body = json.loads(self._body() or b"null")
        match [self.command, *words]:
            case ["GET", "me"]:
                self._json({"user": "ada", "groups": ["lab"], "group": "lab", "site": "Test", "newer": 1})
            case ["POST", "uploads"]:
                self._begin(body)
            case ["GET", "uploads", upload]:
                self._upload(upload)
            case ["POST", "uploads", upload, "complete"]:
                self._complete(upload)
            case ["POST", "uploads", upload, "parts"]:
                index = [one["path"] for one in site.uploads[upload]["files"]].index(body["path"])
                self._json([{"number": n, "url": f"{site.url}/s3/{upload}/{index}/{n}"} for n in body["numbers"]])
            case ["GET", "uploads", upload, "parts"]:
                file = next(one for one in site.uploads[upload]["files"] if one["path"] == query["path"])
                self._json({"numbers": sorted(file["parts"])})
            case ["GET", "items", item] if item in site.items:
                self._json(site.items[item])
            case ["GET", "items"]:
                ids = sorted(site.items)
                start = int(query.get("cursor", 0))
                following = str(start + 1) if start + 1 < len(ids) else None
                self._json({"items": [site.items[one] for one in ids[start : start + 1]], "next": following})
            case ["POST", "jobs"]:
                if site.fault("no budget"):
                    self._problem(422, "refused", "budget: it is spent.\nminutes: too many.", remedy="Raise it.")
                    return
                key = self.headers["Idempotency-Key"]
                made = site.jobs.setdefault(key, job(f"job-{len(site.jobs)}", "waiting"))
                if site.fault("hang up after submitting"):
                    self._hang_up()
                    return
                self._json(made, 201)
            case ["GET", "jobs", job_id]:
                self._json(site.jobs[job_id])
            case ["GET", "jobs", job_id, "events"]:
                self._events(job_id)
            case ["GET", "jobs", _, "stacks", "0", "log"]:
                pages = {"": ("one\n", "1:0", False), "1:0": ("", "1:0", False)}
                second = site.count("GET", "log?after=1%3A0") > 1
                pages["1:0"] = ("two\n", "1:1", True) if second else pages["1:0"]
                text, after, ended = pages.get(query.get("after", ""), ("", "1:1", True))
                self._json({"text": text, "after": after, "ended": ended})
            case ["GET", "jobs", _, "files"]:
                self._json(
                    [
                        {
                            "path": path,
                            "size_bytes": len(data),
                            "sha256": None if path.endswith("log.txt") else hashlib.sha256(data).hexdigest(),
                            "url": f"/api/v1/files/{path}",
                        }
                        for path, data in site.results.items()
                    ]
                )
            case ["GET", "files", *path]:
                data = site.results["/".join(path)]
                self._send(200, b"x" * len(data) if site.fault("damage") else data)
            case _:
                self._problem(404, "not-found", f"There is no {'/'.join(words)}.", remedy="Look at the list.")

    def _begin(self, offer: dict[str, Any]) -> None:
        site = self.state
        known = [one for one in site.items.values() if [one["sha256"]] == [two["sha256"] for two in offer["files"]]]
        upload = f"u{len(site.uploads)}"
        files = [{**one, "data": bytearray(), "parts": {}} for one in offer["files"]]
        site.uploads[upload] = {"offer": offer, "files": files, "item": known[0]["id"] if known else None}
        self._upload(upload, 201)

    def _upload(self, upload: str, status: int = 200) -> None:
        if upload not in self.state.uploads:
            self._problem(404, "not-found", "There is no such upload.")
            return
        kept = self.state.uploads[upload]
        files = [
            {"path": one["path"], "tus_url": f"/uploads/{upload}/{index}", "offset": len(one["data"])}
            if self.state.method == "tus"
            else {"path": one["path"], "part_bytes": PART_BYTES}
            for index, one in enumerate(kept["files"])
        ]
        self._json({"id": upload, "method": self.state.method, "files": files, "item": kept["item"]}, status)

    def _tus(self, upload: str, index: str) -> None:
        site, data = self.state, self.state.uploads[upload]["files"][int(index)]["data"]
        if self.command == "HEAD":
            self._send(200, b"", {"Upload-Offset": str(len(data))})
            return
        assert self.headers["Content-Type"] == "application/offset+octet-stream"
        assert int(self.headers["Upload-Offset"]) == len(data)
        left = int(self.headers["Content-Length"])
        if site.fault("drop"):
            left //= 2
            self.close_connection = True
        while left:
            block = self.rfile.read(min(left, 65536))
            if not block:
                return
            data += block
            site.received += len(block)
            left -= len(block)
        if self.close_connection:
            self._hang_up()
            return
        self._send(204, b"", {"Upload-Offset": str(len(data))})

    def _put_part(self, path: str) -> None:
        _, _, upload, index, number = path.split("/")
        data = self._body()
        if self.state.fault("drop"):
            self._hang_up()
            return
        if self.state.fault("expired"):
            self._send(403, b"<Error/>")
            return
        self.state.received += len(data)
        self.state.uploads[upload]["files"][int(index)]["parts"][int(number)] = data
        self._send(200, b"", {"ETag": '"e"'})

    def _complete(self, upload: str) -> None:
        site, kept = self.state, self.state.uploads[upload]
        if site.fault("still checking"):
            self._json({"id": upload, "state": "checking"})
            return
        if site.fault("missing"):
            kept["files"][0]["data"].clear()
            self._problem(409, "not-now", "Not everything has arrived yet.")
            return
        whole = [one["data"] or b"".join(one["parts"][n] for n in sorted(one["parts"])) for one in kept["files"]]
        digests = [hashlib.sha256(one).hexdigest() for one in whole]
        if site.fault("wrong digest"):
            self._problem(422, "refused", "The content is not what the sender said.")
            return
        item = f"i{len(site.items)}"
        site.items[item] = {
            "id": item,
            "name": kept["offer"]["name"],
            "form": kept["offer"]["form"],
            "size_bytes": sum(map(len, whole)),
            "sha256": digests[0],
            "tags": kept["offer"]["tags"],
            "uploaded_by": "ada",
            "created_at": "2026-01-01T00:00:00.000Z",
            "expires_at": None,
            "keep": True,
        }
        self._json({"id": upload, "state": "done", "item": item})

    def _events(self, job_id: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": alive\n\nid: 4\nevent: changed\ndata: {}\n\n")
        if self.state.fault("stream breaks off"):
            self.wfile.write(b"event: ended\nda")
            self._hang_up()
            return
        self.state.jobs[job_id] = job(job_id, "succeeded")
        self.wfile.write(b"event: ended\ndata: {}\n\n")
        self.close_connection = True

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raise AssertionError("the client announces how much it sends")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _problem(
        self, status: int, name: str, detail: str, headers: dict[str, str] | None = None, remedy: str = ""
    ) -> None:
        told = {"type": f"/api/v1/docs#{name}", "title": "", "status": status, "detail": detail, "remedy": remedy}
        content_type = {"Content-Type": "application/problem+json"}
        self._send(status, json.dumps(told).encode(), content_type | (headers or {}))

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
