"""What a workflow reports about itself while it runs: lines written to a FIFO."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

LINE_BYTES = 4096
READ_BYTES = 65536


class Report:
    """The reading end of the FIFO. Lines that are too long or not understood are passed over.

    It is open for writing too, so that the end of one `echo` is not the end of the report.
    """

    def __init__(self, path: Path, *, owner: int | None) -> None:
        """owner: the host uid that may write, where that is not this process' own."""
        os.mkfifo(path, 0o600)
        if owner is not None:
            os.chown(path, owner, owner)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        self._skipping = False
        self.progress: float | None = None
        self.message = ""
        self.failure = ""
        self.checkpoints = 0  # how many were asked for

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> bool:
        """Take the lines that have arrived; True if one changed the progress or the message."""
        before = (self.progress, self.message)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._descriptor, READ_BYTES):
                self._take(data)
                if len(data) < READ_BYTES:
                    break
        return (self.progress, self.message) != before

    def close(self) -> None:
        os.close(self._descriptor)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._skipping and len(line) <= LINE_BYTES:
                self._understand(line.decode(errors="replace").strip())
            self._skipping = False
        if len(self._rest) > LINE_BYTES:
            self._rest, self._skipping = b"", True

    def _understand(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word == "progress":
            self._take_progress(rest)
        elif word == "message":
            self.message = rest
        elif word == "failure" and rest:
            self.failure = rest
        elif line == "checkpoint":
            self.checkpoints += 1

    def _take_progress(self, rest: str) -> None:
        value, _, message = rest.partition(" ")
        try:
            progress = float(value)
        except ValueError:
            return
        if math.isnan(progress):
            return
        self.progress = min(1.0, max(0.0, progress))
        self.message = message.strip() or self.message
