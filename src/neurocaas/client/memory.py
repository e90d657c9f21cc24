"""What the client remembers between two runs: uploads that were not completed, and digests of files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from neurocaas.documents import digest_of
from neurocaas.storage import fingerprint


def state_folder() -> Path:
    """Where a person's programs keep what they can do without."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "neurocaas"


class Memory:
    """One small file for each thing, so that programs running at once do not disturb each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, kind: str, key: str) -> str:
        """What was kept; empty if nothing was."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (self._folder / kind / key).read_text(encoding="utf-8")
        return ""

    def keep(self, kind: str, key: str, value: str) -> None:
        """Forgetful where nothing can be written: then a later run does more than it would need to."""
        with contextlib.suppress(OSError):
            path = self._folder / kind / key
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_name(f".{key}.{os.getpid()}")
            temporary.write_text(value, encoding="utf-8")
            temporary.replace(path)

    def forget(self, kind: str, key: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / kind / key).unlink()

    def digest(self, path: Path) -> str:
        """The SHA-256 of the file if it was digested before and has not changed since; else empty."""
        mark, _, sha256 = self.get("digests", _place(path)).partition(" ")
        return sha256 if mark == fingerprint(path) else ""

    def keep_digest(self, path: Path, mark: str, sha256: str) -> None:
        """mark: the file's fingerprint from before it was digested."""
        self.keep("digests", _place(path), f"{mark} {sha256}")


def _place(path: Path) -> str:
    return digest_of(str(path.absolute()))
