"""The words of this room: what is asked for, what is in the store, what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import platform as host
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from neurocaas.blueprint.model import Environment as Declared
from neurocaas.blueprint.model import ImageEnvironment
from neurocaas.documents import Document
from neurocaas.errors import Refused

PYTHON_REQUEST = re.compile(r"3\.\d{1,2}(\.\d{1,2})?|>=3\.\d{1,2},<3\.\d{1,2}")
LOCK_MAX_BYTES = 16 * 1024**2


class Mount(Document):
    """A folder of this machine, and where the workflow sees it (read-only)."""

    source: Path
    target: str


class Interpreter(Document):
    """A Python that stands on its own: `tree` is mounted read-only at /python.

    digest: of its files, `executable` and `variables`; version: 3.11.7; variables: what a process needs to start it.
    """

    digest: str
    version: str
    executable: str
    variables: dict[str, str]
    source: str
    size_bytes: int
    built_at: str
    tree: Path


class Environment(Document):
    """An immutable analysis environment that is built and whole (paper §2.1.1). Everything in `mounts` is read-only.

    path: what goes first on PATH; size_bytes: of its own files, without the interpreter's; built_at: ISO-8601 UTC.
    image: the OCI image that it is, as NAME@sha256:… or by its id; "" for other kinds. engine: what has it.
    """

    kind: str
    digest: str
    platform: str
    mounts: tuple[Mount, ...]
    variables: dict[str, str]
    path: tuple[str, ...]
    size_bytes: int
    built_at: str
    python: str = ""
    interpreter: str = ""
    lock_sha256: str = ""
    request: str = ""
    image: str = ""
    engine: str = ""


class Damage(Document):
    """One thing that is not as it was built. digest: whose it is; where: the path; what: the rest of the sentence."""

    digest: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Where an image comes from: one that exists, as NAME@sha256:…, or a Containerfile and the files it may copy.

    files: (path below the build's context, content), sorted; network: whether the build may use it.
    """

    reference: str = ""
    containerfile: bytes = b""
    files: tuple[tuple[str, bytes], ...] = ()
    network: bool = False

    def asked(self) -> dict[str, Any]:
        """What two requests for the same image agree in."""
        if self.reference:
            return {"reference": self.reference}
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in self.files}
        containerfile = hashlib.sha256(self.containerfile).hexdigest()
        return {"containerfile": containerfile, "files": digests, "network": self.network}


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """What a blueprint asks for.

    python: "3.11", "3.11.7" or ">=3.11,<3.14"; lock: the bytes of a requirements file with a hash for every line;
    interpreter: digest of the one interpreter to use ("" takes this site's for `python`); allow_sdist: whether a
    package that has no wheel may be built (in the sandbox) from its source. image: for kind `image`, instead of these.
    """

    lock: bytes = b""
    kind: str = "python"
    python: str = "3.11"
    interpreter: str = ""
    allow_sdist: bool = False
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        if not PYTHON_REQUEST.fullmatch(self.python):
            raise Refused(
                f"environment.python is {self.python!r}; it must be a version such as 3.11 or 3.11.7, "
                "or a range such as >=3.11,<3.14."
            )

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        lock: str,
        python: str = "3.11",
        kind: str = "python",
        interpreter: str = "",
        allow_sdist: bool = False,
    ) -> Self:
        """Read the lock (a relative path) from the analysis folder. Refused when it is missing or outside."""
        path = folder / lock
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"environment.lock is {lock!r}, which is outside the analysis folder {folder}.")
        try:
            data = path.read_bytes()
        except OSError as cause:
            raise Refused(
                f"environment.lock names {lock!r}, which can't be read in {folder}: {cause.strerror}."
            ) from cause
        if len(data) > LOCK_MAX_BYTES:
            raise Refused(f"The lock {path} is {len(data)} bytes; a lock has at most {LOCK_MAX_BYTES}.")
        return cls(lock=data, python=python, kind=kind, interpreter=interpreter, allow_sdist=allow_sdist)

    @classmethod
    def from_version(cls, declared: Declared, folder: Path, *, interpreter: str = "") -> Self:
        """What a blueprint declares, with the files that it names in the analysis' folder."""
        if isinstance(declared, ImageEnvironment):
            paths = {path for pattern in declared.files for path in folder.glob(pattern) if path.is_file()}
            image = ImageSource(
                reference=declared.reference,
                containerfile=(folder / declared.containerfile).read_bytes() if declared.containerfile else b"",
                files=tuple((str(path.relative_to(folder)), path.read_bytes()) for path in sorted(paths)),
                network=declared.network,
            )
            return cls(kind=declared.kind, image=image)
        return cls.from_folder(
            folder, lock=declared.lock, python=declared.python, kind=declared.kind, interpreter=interpreter
        )

    @property
    def lock_sha256(self) -> str:
        return hashlib.sha256(self.lock).hexdigest()


def image_platform() -> str:
    """This machine as far as images can tell, which bring their own C library: `linux-x86_64`."""
    return f"linux-{host.machine()}"


def current_platform() -> str:
    """This machine as far as binary packages can tell: `linux-x86_64-glibc_2.36`."""
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION") or "musl"
    except (OSError, ValueError):
        library = "musl"
    return f"linux-{host.machine()}-{library.replace(' ', '_')}"
