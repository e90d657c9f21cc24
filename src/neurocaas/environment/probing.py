"""Whether this machine's container engine can run a container, tried with an image of one of its own programs."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from neurocaas.environment.oci import Blobs, add_parents, packing
from neurocaas.errors import Unavailable
from neurocaas.sandbox import MIB, Limits, View, find_engine, run
from neurocaas.sandbox.engine import Engine, call, last_words

NAME = "localhost/neurocaas/probe:1"
PROGRAM = "/usr/bin/true"
NOBODY = 65534
SECONDS = 60.0
LIBRARY = re.compile(r"(/\S+) \(0x")


def probe_engine(wanted: str = "") -> str:
    """One sentence about the engine, once a container has run in it. Raises Unavailable with what stood in the way."""
    engine = find_engine(wanted)
    image = _image(engine)
    view = View(command=(PROGRAM,), image=image, engine=engine.name, host_uid=NOBODY if os.geteuid() == 0 else None)
    finished = run(view, limits=Limits(memory_bytes=64 * MIB, processes=32), timeout_seconds=SECONDS, merge=True)
    if not finished.succeeded:
        words = last_words(finished.stdout.decode(errors="replace"))
        raise Unavailable(
            f"{engine.name} {engine.version} is here, but could not run a container: {words}",
            remedy=f"Try by hand: {engine.name} run --rm {NAME}",
        )
    return f"{engine.name} {engine.version} runs containers"


def _image(engine: Engine) -> str:
    """The id of an image that holds one program of this machine's and its libraries."""
    with tempfile.TemporaryDirectory(prefix="neurocaas-probe-") as folder:
        blobs = Blobs(Path(folder))
        image = blobs.image([blobs.layer("probe", _write)], {"Cmd": [PROGRAM]})
        archive = Path(folder) / "image.tar"
        with archive.open("wb") as file:
            blobs.write_archive(image, file, tag=NAME)
        answer = call([engine.program, "load", "--input", str(archive)])
        if answer.returncode:
            raise Unavailable(f"{engine.name} {engine.version} does not take an image: {last_words(answer.stderr)}")
        return image.id.removeprefix("sha256:")


def _write(to: IO[bytes]) -> None:
    found = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
    with packing(to) as archive:
        for path in (PROGRAM, *LIBRARY.findall(found)):
            add_parents(archive, path)
            member = archive.gettarinfo(str(Path(path).resolve()), path.lstrip("/"))
            member.uid = member.gid = member.mtime = 0
            member.uname = member.gname = ""
            with Path(path).open("rb") as file:
                archive.addfile(member, file)
