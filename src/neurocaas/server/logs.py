"""Structured logs: one JSON line per event, to standard error and to a rotating file of the site."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

LOG_BYTES = 4 * 1024**2
BACKUPS = 3
request_id: ContextVar[str] = ContextVar("request_id", default="")

# What a line may tell of a request. Nothing else of a record's extras is written: a library's may hold a cookie.
FIELDS = ("user", "group", "method", "path", "route", "status", "ms", "process", "chore", "job")


class JsonLines(logging.Formatter):
    """A record as one line of JSON: when, how grave, who says it, what, and the request that it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if number := request_id.get():
            line["request"] = number
        # `process` of a record is the process id, which logging itself puts there.
        line |= {name: value for name in FIELDS if (value := record.__dict__.get(name)) not in {None, ""}}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _OwnFile(RotatingFileHandler):
    """Readable by its owner only: it says who did what."""

    def _open(self) -> Any:
        stream = super()._open()
        os.fchmod(stream.fileno(), 0o600)
        return stream


def log_to(path: Path, *, aloud: bool = True) -> None:
    """Write this process' events to the file, and to standard error if `aloud`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [_OwnFile(path, maxBytes=LOG_BYTES, backupCount=BACKUPS, encoding="utf-8")]
    if aloud:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.captureWarnings(capture=True)
    # Django repeats each refused request with its full path, which may hold a key of an invitation or a reset.
    logging.getLogger("django.request").addFilter(_without_paths)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs with their signatures


def _without_paths(record: logging.LogRecord) -> bool:
    """Of what Django says of a request, only faults of ours, and those without the path."""
    if getattr(record, "status_code", 500) < 500:
        return False
    if record.args:
        record.msg, record.args = "The request failed unexpectedly.", ()
    return True
