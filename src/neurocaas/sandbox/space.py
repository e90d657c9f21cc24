"""How much storage a workflow's folders take, watched while it runs."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 512
FIRST_LOOK_SECONDS = 0.5
INTERVAL_SECONDS = 1.0
# A look may take this part of the time: a tree of a million files is looked at less often.
EFFORT = 0.05


@dataclass(frozen=True, kw_only=True)
class Space:
    """Allocated bytes, and the length of the longest file (which a hole can make longer than its blocks)."""

    allocated_bytes: int = 0
    longest_file_bytes: int = 0


def measure(folders: Iterable[Path], pids: Iterable[int] = ()) -> Space:
    """Storage below `folders`, and of files that `pids` hold open there after unlinking them. Follows no link."""
    allocated = longest = 0
    counted: set[int] = set()
    devices: set[int] = set()
    pending: list[str] = []
    for folder in folders:
        with contextlib.suppress(OSError):
            devices.add(os.lstat(folder).st_dev)
            pending.append(str(folder))
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # Gone in the meantime.
                if stat.S_ISDIR(status.st_mode):
                    pending.append(entry.path)
                elif status.st_nlink > 1:
                    if status.st_ino in counted:
                        continue
                    counted.add(status.st_ino)
                allocated += status.st_blocks * BLOCK_BYTES
                longest = max(longest, status.st_size if stat.S_ISREG(status.st_mode) else 0)
    for status in _unlinked(pids, devices, counted):
        allocated += status.st_blocks * BLOCK_BYTES
        longest = max(longest, status.st_size)
    return Space(allocated_bytes=allocated, longest_file_bytes=longest)


def _unlinked(pids: Iterable[int], devices: set[int], counted: set[int]) -> Iterable[os.stat_result]:
    for pid in pids:
        with contextlib.suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    status = file.stat()
                    unlinked = status.st_nlink == 0 and stat.S_ISREG(status.st_mode)
                    if unlinked and status.st_dev in devices and status.st_ino not in counted:
                        counted.add(status.st_ino)
                        yield status


class SpaceWatch:
    """Looks at some folders now and then, and remembers the most they held."""

    def __init__(self, folders: Iterable[Path], *, limit_bytes: int, started: float) -> None:
        """started: when the command started, on the monotonic clock."""
        self._folders = tuple(folders)
        self.limit_bytes = limit_bytes
        self.next_look = started + FIRST_LOOK_SECONDS
        self.last = Space()
        self.peak_bytes = 0

    def look(self, pids: Iterable[int] = ()) -> bool:
        """Measure now. True when the limit is exceeded, or a file grew up to it and was refused more."""
        before = time.monotonic()
        self.last = measure(self._folders, pids)
        after = time.monotonic()
        self.peak_bytes = max(self.peak_bytes, self.last.allocated_bytes)
        self.next_look = after + max(INTERVAL_SECONDS, (after - before) / EFFORT)
        return self.last.allocated_bytes > self.limit_bytes or self.last.longest_file_bytes >= self.limit_bytes
