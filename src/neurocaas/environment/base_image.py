"""What images stand on: an image that the site names, or a minimal Debian made from the distribution's packages."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from neurocaas.environment.locks import locked
from neurocaas.environment.oci import BLOCK_BYTES, Blobs, Layer
from neurocaas.errors import EnvironmentBroken, Unavailable

Progress = Callable[[str], None]

# The sandbox (bubblewrap, setpriv, prlimit), the authorities that servers are trusted by, and the shared libraries
# that Debian's own Python and most wheels are linked to.
PACKAGES = ("bubblewrap", "ca-certificates", "libgomp1", "libpython3-stdlib", "util-linux")
MINUTES = 15
GZIP = b"\x1f\x8b"


def base_layers(blobs: Blobs, base: str, engine: str, *, progress: Progress) -> list[Layer]:
    """The layers of the image `base`, read from `engine`'s storage; of a minimal Debian where `base` is empty."""
    return _layers_of(blobs, base, engine, progress) if base else [_debian(blobs, progress)]


def _debian(blobs: Blobs, progress: Progress) -> Layer:
    suite = _suite()
    with locked(blobs.root / "base.lock", waiting=lambda: progress("Waiting for the base image, made at this moment.")):

        def write(to: IO[bytes]) -> None:
            if shutil.which("mmdebstrap") is None:
                raise Unavailable(
                    "mmdebstrap, which makes the base of images from Debian's packages, was not found.",
                    remedy="Install it (apt-get install mmdebstrap), or name a base in site.json: images.base.",
                )
            progress(f"Making a minimal Debian {suite} from its packages.")
            with tempfile.TemporaryDirectory(prefix="neurocaas-base-") as folder:
                made = Path(folder) / "base.tar"
                _mmdebstrap(suite, made)
                with made.open("rb") as archive:
                    shutil.copyfileobj(archive, to, BLOCK_BYTES)

        return blobs.layer(f"debian-{suite}", write)


def _suite() -> str:
    """This machine's own release, since the interpreters that are put on the base were taken from this machine."""
    found = re.search(r'^VERSION_CODENAME="?(\w+)"?$', Path("/etc/os-release").read_text(), re.MULTILINE)
    if found is None or not Path("/etc/debian_version").exists():
        raise Unavailable(
            "This machine is not a Debian, so no base for images can be made from its packages.",
            remedy="Name a base image with bubblewrap and util-linux in it, in site.json: images.base.",
        )
    return found[1]


def _mmdebstrap(suite: str, to: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(to)]
    try:
        answer = subprocess.run(
            command,
            # The same packages give the same bytes.
            env={**os.environ, "SOURCE_DATE_EPOCH": "0"},
            capture_output=True,
            text=True,
            timeout=MINUTES * 60,
            check=False,
        )
    except subprocess.TimeoutExpired as cause:
        raise EnvironmentBroken(f"mmdebstrap took longer than {MINUTES} minutes.") from cause
    if answer.returncode:
        said = answer.stderr.strip().splitlines()
        raise EnvironmentBroken(f"mmdebstrap could not make the base image: {said[-1] if said else 'it said nothing'}.")


def _layers_of(blobs: Blobs, base: str, engine: str, progress: Progress) -> list[Layer]:
    """Layers taken out of what `podman save` or `docker save` writes: manifest.json and tars."""
    progress(f"Reading the base image {base}.")
    with tempfile.TemporaryDirectory(prefix="neurocaas-base-") as folder:
        saved = Path(folder) / "saved.tar"
        answer = subprocess.run(
            [engine, "save", "--output", str(saved), base], capture_output=True, text=True, check=False
        )
        if answer.returncode:
            said = answer.stderr.strip().splitlines()
            raise EnvironmentBroken(
                f"The base image {base} can't be read from {engine}: {said[-1] if said else 'it said nothing'}.",
                remedy=f"Bring it first with: {engine} pull {base}",
            )
        with tarfile.open(saved) as archive:
            listing = archive.extractfile("manifest.json")
            names = json.loads(listing.read())[0]["Layers"] if listing else []
            return [_layer_from(blobs, archive, name) for name in names]


def _layer_from(blobs: Blobs, archive: tarfile.TarFile, name: str) -> Layer:
    member = archive.getmember(name)
    if member.issym():  # Docker writes a layer that occurs twice once.
        member = archive.getmember(os.path.normpath(Path(name).parent / member.linkname))
    found = archive.extractfile(member)
    assert found is not None

    def write(to: IO[bytes]) -> None:
        zipped = found.read(len(GZIP)) == GZIP
        found.seek(0)
        shutil.copyfileobj(gzip.GzipFile(fileobj=found) if zipped else found, to, BLOCK_BYTES)

    return blobs.layer(f"base-{re.sub(r'[^A-Za-z0-9]', '-', name)}", write)
