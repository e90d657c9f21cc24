"""Bytes of one connection on their way to one file: written in large batches, digested meanwhile."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from neurocaas.errors import Refused

_BLOCKS_AT_ONCE = 512  # the system takes 1,024 in one call
_REMEMBERED = 256


class Digest(Protocol):
    """A SHA-256 that is being computed."""

    def update(self, data: bytes, /) -> None: ...
    def copy(self) -> Digest: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


class Digests:
    """How far the digests of growing files have come. Forgotten with the process; then the file is read at the end."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, Digest]] = OrderedDict()

    def take(self, file: str, offset: int) -> Digest | None:
        """The digest of the file's first `offset` bytes, if it is known. It is the caller's from now on."""
        known, digest = self._known.pop(file, (0, hashlib.sha256()))
        return digest if known == offset else None

    def keep(self, file: str, offset: int, digest: Digest | None) -> None:
        if digest is not None:
            self._known[file] = (offset, digest)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


class Receiver:
    """Writes at the end of an open file. `offset`: how many bytes are in it. Not for two threads at once.

    checksum: SHA-256 of what this connection will bring, if the sender says so; what does not fit it is taken back.
    """

    def __init__(self, descriptor: int, digest: Digest | None, checksum: bytes | None) -> None:
        self._descriptor = descriptor
        self._checksum = checksum
        self._start = self.offset = os.fstat(descriptor).st_size
        self.digest = digest
        self._before = digest.copy() if digest is not None and checksum is not None else None
        self._own = hashlib.sha256() if checksum is not None else None

    def write(self, blocks: Sequence[bytes]) -> None:
        """Raises OSError; then `offset` still says what is in the file, and the digest is forgotten."""
        try:
            for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
                self._write_some([memoryview(block) for block in blocks[start : start + _BLOCKS_AT_ONCE]])
        except OSError:
            self.digest = None
            raise
        for digest in (self.digest, self._own):
            if digest is not None:
                for block in blocks:
                    digest.update(block)

    def settle(self, *, whole: bool) -> bool:
        """At the end: keep what came, unless its checksum does not fit or, not `whole`, can't be told."""
        if self._own is None or self._checksum is None:
            return True
        if whole and hmac.compare_digest(self._own.digest(), self._checksum):
            return True
        os.ftruncate(self._descriptor, self._start)
        self.offset, self.digest = self._start, self._before
        return False

    def _write_some(self, blocks: list[memoryview]) -> None:
        while blocks:
            written = os.pwritev(self._descriptor, blocks, self.offset)
            self.offset += written
            while blocks and written >= len(blocks[0]):
                written -= len(blocks.pop(0))
            if blocks:
                blocks[0] = blocks[0][written:]


def read_checksum(header: str) -> bytes | None:
    """The digest in an Upload-Checksum header; None for no header. Raises Refused."""
    if not header:
        return None
    algorithm, _, encoded = header.partition(" ")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if algorithm != "sha256" or len(digest) != hashlib.sha256().digest_size:
        raise Refused(f"Upload-Checksum: found {header[:80]!r}; `sha256` and the digest in base64 are right.")
    return digest
