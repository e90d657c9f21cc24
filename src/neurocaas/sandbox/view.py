"""What a workflow can see: a frozen value, independent of how it is enforced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A file or folder of this machine at an absolute path inside; read-only unless said otherwise."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class View:
    """All that a sandboxed command sees and may touch. What is not listed here does not exist for it.

    files: small read-only files that exist only inside, by their absolute path.
    host_uid: the uid (and gid) it has on this machine when the platform is started by root; never 0. An ordinary
    user's platform leaves it out and the command keeps that user's uid, inside a user namespace.
    temporary: folders inside that live in memory, `temporary_bytes` each, and vanish with the command.
    devices: device files that exist besides the harmless ones (null, zero, full, random, urandom, tty, pts).
    image: what the root is, NAME@sha256:… or the id of an image that the engine has; without one, this machine's /usr.
    engine: what runs the image, podman or docker; the first that is found if left out.
    """

    command: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    network: bool = False
    host_uid: int | None = None
    temporary: tuple[str, ...] = ()
    temporary_bytes: int = 16 * MIB
    devices: tuple[str, ...] = ()
    image: str = ""
    engine: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a sandboxed command may use. None: not limited here."""

    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None

    @property
    def shared_memory_bytes(self) -> int:
        """Size of /dev/shm: half of the memory limit, as Linux itself gives half of the machine's."""
        return (self.memory_bytes or 512 * MIB) // 2
