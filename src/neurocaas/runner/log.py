"""A workflow's output as numbered segments in the store: head and tail are kept, the middle is counted.

Memory is bounded by the tail, whatever a workflow prints: bytes are moved, and decoded only when they are stored.
"""

from __future__ import annotations

import codecs
import json
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from neurocaas.errors import StorageFailed
from neurocaas.storage import Store, keys

MIB = 1024 * 1024
SEGMENT_BYTES = MIB
HEAD_BYTES = 8 * MIB
TAIL_BYTES = 8 * MIB
LAST_LINE_BYTES = 4096
PIECE_BYTES = 64 * 1024


def timestamp() -> str:
    """Now, in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Log:
    """The output of one attempt.

    status: called for the progress, message and usage that go with each segment. stored: called after each.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        status: Callable[[], dict[str, object]],
        stored: Callable[[], None],
        head_bytes: int = HEAD_BYTES,
        tail_bytes: int = TAIL_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._status = status
        self._stored = stored
        self._segment_bytes = segment_bytes
        self._head_left = head_bytes
        self._tail_bytes = tail_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = bytearray()
        self._tail: deque[bytearray] = deque()
        self._tail_held = 0
        self._last = b""
        self._told: tuple[object, object] = (None, "")
        self.segments = 0
        self.dropped_bytes = 0

    @property
    def pending(self) -> bool:
        """Whether there is text that a segment could bring now; the tail waits for the end."""
        return bool(self._pending)

    @property
    def full(self) -> bool:
        """Whether a whole segment is pending."""
        return len(self._pending) >= self._segment_bytes

    def write(self, data: bytes) -> None:
        """Take output, in order. Nothing is stored before `flush`, which is due when `full`."""
        if len(data) >= LAST_LINE_BYTES:
            self._last = data[-LAST_LINE_BYTES:]
        else:
            self._last = (self._last + data)[-LAST_LINE_BYTES:]
        if self._head_left > 0:
            head, data = data[: self._head_left], data[self._head_left :]
            self._head_left -= len(head)
            self._pending += head
        if data:
            self._keep_tail(data)

    def note(self, sentence: str) -> None:
        """Say something of the platform's own, on a line of its own, which never counts as the output's last line."""
        last = self._last
        begin = "\n" if last and not last.endswith(b"\n") else ""
        self.write(f"{begin}[{sentence}]\n".encode())
        self._last = last

    def _keep_tail(self, data: bytes) -> None:
        if self._tail and len(self._tail[-1]) < PIECE_BYTES:
            # A program that prints byte by byte must not fill the memory with small objects.
            self._tail[-1] += data
        else:
            self._tail.append(bytearray(data))
        self._tail_held += len(data)
        while self._tail_held - len(self._tail[0]) >= self._tail_bytes:
            oldest = self._tail.popleft()
            self._tail_held -= len(oldest)
            self.dropped_bytes += len(oldest)

    def flush(self) -> None:
        """Store a segment with the text that is pending, if any: also the heartbeat.

        Raises StorageFailed, after which the text is pending still.
        """
        now = bytes(self._pending[: self._segment_bytes])
        before = self._decoder.getstate()
        try:
            self._segment(self._decoder.decode(now))
        except StorageFailed:
            self._decoder.setstate(before)
            raise
        del self._pending[: len(now)]

    def finish(self) -> None:
        """Store all that is kept and not yet stored: the last lines and the last progress are never lost.

        Raises StorageFailed.
        """
        tail = self._cut_tail()
        while self._pending:
            self.flush()
        if self.dropped_bytes:
            self.dropped_bytes += len(self._decoder.getstate()[0])
            self._decoder.reset()
            self._segment(f"\n[... {self.dropped_bytes:,} bytes of output were dropped here ...]\n")
        for start in range(0, len(tail), self._segment_bytes):
            piece = tail[start : start + self._segment_bytes]
            self._segment(self._decoder.decode(piece, final=start + len(piece) == len(tail)))
        rest = self._decoder.decode(b"", final=True)
        if rest or not self.segments or _news(self._status()) != self._told:
            self._segment(rest)

    def _cut_tail(self) -> bytes:
        """The kept end. If something before it was dropped it begins with a whole character, and is no longer."""
        tail = b"".join(self._tail)
        self._tail.clear()
        surplus = max(0, len(tail) - self._tail_bytes)
        if surplus or self.dropped_bytes:
            continuation = 0
            while continuation < 3 and surplus < len(tail) and tail[surplus] & 0xC0 == 0x80:
                surplus, continuation = surplus + 1, continuation + 1
        self.dropped_bytes += surplus
        return tail[surplus:]

    def last_line(self) -> str:
        """The last line that is not empty; "" if there was none."""
        lines = self._last.decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _segment(self, text: str) -> None:
        number = self.segments + 1
        status = self._status()
        segment = {"sequence": number, "time": timestamp(), **status, "text": text}
        self._store.put(keys.log_segment(self._prefix, number), json.dumps(segment, ensure_ascii=False).encode())
        self.segments = number
        self._told = _news(status)
        self._stored()


def _news(status: dict[str, object]) -> tuple[object, object]:
    """What a reader would miss if no segment told it; usage is in the exit record too."""
    return status["progress"], status["message"]
