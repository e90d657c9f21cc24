"""An analysis version as one signed file, with its interpreter, so that it runs the same on another site."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurocaas.blueprint import Version, read_version
from neurocaas.blueprint.model import PythonEnvironment
from neurocaas.blueprint.version import pack, unpack
from neurocaas.certificate import Outcome, seal_document, verify
from neurocaas.errors import Altered, NotFound, Refused, UnknownKey
from neurocaas.server.analyses import Resolved
from neurocaas.server.site import Site

FORMAT = "neurocaas-analysis/2"
CONTENTS = "contents.json"
MAX_CONTENTS_BYTES, MAX_VERSION_BYTES, MAX_INTERPRETER_BYTES = 1024**2, 512 * 1024**2, 1024**3
Progress = Callable[[str], None]


def export_version(site: Site, resolved: Resolved, to: Path, progress: Progress) -> dict[str, Any]:
    """Write the version to `to`, with those that it consists of; the file appears when it is complete.

    Environments are built if they are not there yet: the file names their digests, and carries their interpreters.
    Returns what the file says of itself.
    """
    versions = {one.version.digest: one.version for one in resolved.family.everyone}
    described = [_described(site, version, progress) for version in versions.values()]
    contents = seal_document(
        {
            "format": FORMAT,
            "site": {"name": site.settings.site.name},
            "analysis": {
                "name": resolved.version.name,
                "version": resolved.version.digest,
                "execution_digest": resolved.version.execution_digest,
                "git_commit": resolved.git_commit,
            },
            "versions": described,
        },
        site.signing_key,
    )
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=to.parent) as temporary:
        partial = Path(temporary) / to.name
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, CONTENTS, json.dumps(contents, indent=2).encode())
            for version in versions.values():
                folder = site.analyses.folder(version.name, version.digest)
                _add(archive, _version_member(version.digest), pack(folder, version))
            for digest in {one["interpreter"]["digest"]: 0 for one in described if one["interpreter"]}:
                packed = Path(temporary) / digest
                site.environments.interpreters.pack(digest, packed)
                _add(archive, _interpreter_member(digest), packed.read_bytes())
        partial.rename(to)
    return contents


def import_version(site: Site, file: Path, progress: Progress) -> dict[str, Any]:
    """Take the version, and those that it consists of, into this site's archive. Returns what the file says of itself.

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
    # Parts first: whoever finds the composite finds them too.
    for described in reversed(contents["versions"]):
        _import_one(site, file, described, progress)
    return contents


def _described(site: Site, version: Version, progress: Progress) -> dict[str, Any]:
    """One version with its environment, which an analysis that consists of others does not have."""
    described: dict[str, Any] = {
        "name": version.name,
        "version": version.digest,
        "environment": None,
        "interpreter": None,
    }
    declared = version.blueprint.environment
    if declared is None:
        return described
    environment = site.environments.build(site.analyses.environment(version), progress=progress)
    described["environment"] = {"digest": environment.digest, "platform": environment.platform}
    if isinstance(declared, PythonEnvironment):
        described["interpreter"] = {"digest": environment.interpreter, "python": declared.python}
    return described


def _import_one(site: Site, file: Path, described: dict[str, Any], progress: Progress) -> None:
    interpreter = (described["interpreter"] or {}).get("digest", "")
    with tempfile.TemporaryDirectory(prefix="neurocaas-import-") as temporary:
        folder = Path(temporary) / "version"
        unpack(_member(file, _version_member(described["version"]), MAX_VERSION_BYTES), folder)
        version = read_version(folder)
        if (version.name, version.digest) != (described["name"], described["version"]):
            raise Altered(f"{file} was altered after it was signed: the analysis' files have another digest.")
        if interpreter and site.environments.interpreters.get(interpreter) is None:
            packed = Path(temporary) / "interpreter"
            packed.write_bytes(_member(file, _interpreter_member(interpreter), MAX_INTERPRETER_BYTES))
            site.environments.interpreters.unpack(packed, digest=interpreter, progress=progress)
        site.analyses.archive(version, folder, interpreter=interpreter)


def _version_member(digest: str) -> str:
    return f"versions/{digest}.tar"


def _interpreter_member(digest: str) -> str:
    return f"interpreters/{digest}.tar.gz"


def read_contents(file: Path) -> dict[str, Any]:
    """What an exported file says of itself, unchecked."""
    try:
        contents = json.loads(_member(file, CONTENTS, MAX_CONTENTS_BYTES))
        well = contents["format"] == FORMAT and {"analysis", "site", "versions", "seal"} <= contents.keys()
    except (ValueError, KeyError, TypeError) as cause:
        raise Refused(f"{file} is not an exported analysis.") from cause
    if not well:
        raise Refused(f"{file} is not an exported analysis of the format {FORMAT}.")
    return dict(contents)


def _member(file: Path, name: str, max_bytes: int) -> bytes:
    try:
        with tarfile.open(file, "r:") as archive:
            entry = archive.getmember(name)
            source = archive.extractfile(entry)
            if source is None or entry.size > max_bytes:
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
