"""An analysis version as one signed file, with its interpreter, so that it runs the same on another site."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurocaas.blueprint import read_version
from neurocaas.blueprint.version import pack, unpack
from neurocaas.certificate import Outcome, seal_document, verify
from neurocaas.errors import Altered, NotFound, Refused, UnknownKey
from neurocaas.server.analyses import Resolved
from neurocaas.server.site import Site

FORMAT = "neurocaas-analysis/1"
CONTENTS, VERSION, INTERPRETER = "contents.json", "version.tar", "interpreter.tar.gz"
MAX_BYTES = {CONTENTS: 1024**2, VERSION: 512 * 1024**2, INTERPRETER: 1024**3}
Progress = Callable[[str], None]


def export_version(site: Site, resolved: Resolved, to: Path, progress: Progress) -> dict[str, Any]:
    """Write the version to `to`, which appears when it is complete. Returns what the file says of itself.

    The environment is built if it is not there yet: the file names its digest, and carries its interpreter.
    """
    version = resolved.version
    folder = site.analyses.folder(version.name, version.digest)
    environment = site.environments.build(site.analyses.environment(version), progress=progress)
    contents = seal_document(
        {
            "format": FORMAT,
            "site": {"name": site.settings.site.name},
            "analysis": {
                "name": version.name,
                "version": version.digest,
                "execution_digest": version.execution_digest,
                "git_commit": resolved.git_commit,
            },
            "environment": {"digest": environment.digest, "platform": environment.platform},
            "interpreter": {"digest": environment.interpreter, "python": version.blueprint.own_environment.python},
        },
        site.signing_key,
    )
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=to.parent) as temporary:
        interpreter = Path(temporary) / INTERPRETER
        site.environments.interpreters.pack(environment.interpreter, interpreter)
        partial = Path(temporary) / to.name
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, CONTENTS, json.dumps(contents, indent=2).encode())
            _add(archive, VERSION, pack(folder, version))
            _add(archive, INTERPRETER, interpreter.read_bytes())
        partial.rename(to)
    return contents


def import_version(site: Site, file: Path, progress: Progress) -> dict[str, Any]:
    """Take the version into this site's archive. Returns what the file says of itself.

    Raises UnknownKey if the site does not trust who signed it, Altered if its contents are not what was signed,
    Refused if it is no such file.
    """
    contents = read_contents(file)
    verdict = verify(contents, site.trusted_keys, format_=FORMAT)
    if verdict.outcome is Outcome.UNKNOWN_KEY:
        key = contents["seal"]["key_id"]
        raise UnknownKey(
            f"{file} is signed by key {key} of the site {contents['site']['name']!r}, which is not trusted here.",
            remedy=f"If you know that site, and it confirms its key: neurocaas keys trust {file}",
        )
    if verdict.outcome is not Outcome.VALID:
        raise Altered(f"{file} was altered after it was signed: {' '.join(verdict.alterations)}")
    with tempfile.TemporaryDirectory(prefix="neurocaas-import-") as temporary:
        folder = Path(temporary) / "version"
        unpack(_member(file, VERSION), folder)
        version = read_version(folder)
        if (version.name, version.digest) != (contents["analysis"]["name"], contents["analysis"]["version"]):
            raise Altered(f"{file} was altered after it was signed: the analysis' files have another digest.")
        digest = contents["interpreter"]["digest"]
        if digest and site.environments.interpreters.get(digest) is None:
            packed = Path(temporary) / INTERPRETER
            packed.write_bytes(_member(file, INTERPRETER))
            site.environments.interpreters.unpack(packed, digest=digest, progress=progress)
        site.analyses.archive(version, folder, interpreter=digest)
    return contents


def read_contents(file: Path) -> dict[str, Any]:
    """What an exported file says of itself, unchecked."""
    try:
        contents = json.loads(_member(file, CONTENTS))
        well = contents["format"] == FORMAT and {"analysis", "site", "interpreter", "seal"} <= contents.keys()
    except (ValueError, KeyError, TypeError) as cause:
        raise Refused(f"{file} is not an exported analysis.") from cause
    if not well:
        raise Refused(f"{file} is not an exported analysis of the format {FORMAT}.")
    return dict(contents)


def _member(file: Path, name: str) -> bytes:
    try:
        with tarfile.open(file, "r:") as archive:
            entry = archive.getmember(name)
            source = archive.extractfile(entry)
            if source is None or entry.size > MAX_BYTES[name]:
                raise Refused(f"{file} is not an exported analysis: its {name} is too large, or not a file.")
            data = source.read()
            if len(data) != entry.size:
                raise Refused(f"{file} is cut short: {name} is not whole.")
            return data
    except FileNotFoundError:
        raise NotFound(f"{file}: there is no such file.") from None
    except (tarfile.TarError, KeyError, OSError, EOFError) as cause:
        raise Refused(f"{file} is not an exported analysis, or is cut short: {cause}.") from cause


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
