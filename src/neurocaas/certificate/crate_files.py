"""The files of a crate: which they are, where they lie in it, and that they are the ones the certificate names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from neurocaas.blueprint import Version, read_version
from neurocaas.certificate.facts import Facts, OutputFacts
from neurocaas.certificate.verification import BESIDE_OUTPUTS, BESIDE_RESULTS
from neurocaas.errors import NotFound, Refused
from neurocaas.storage import digest_file, keys

README = "README.md"
RESULTS = "results"
WORKFLOWS = "workflows"
SHORT = 12
_BUFFER_BYTES = 1 << 20

# A table of its own: the one of Python differs between releases and machines, and a crate's bytes should not.
_MEDIA_TYPES = {
    ".avi": "video/x-msvideo",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".html": "text/html",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".lock": "text/plain",
    ".log": "text/plain",
    ".mat": "application/x-matlab-data",
    ".md": "text/markdown",
    ".mp4": "video/mp4",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".nwb": "application/x-hdf5",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".sh": "text/x-shellscript",
    ".svg": "image/svg+xml",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CrateFile:
    """One file of a crate. path: in the crate, as people write it. source: where its bytes are, or the bytes."""

    path: str
    source: Path | bytes
    sha256: str
    size_bytes: int

    @property
    def id(self) -> str:
        """The path as a URI reference: everything but letters, digits and `-._~/` is percent-encoded."""
        return quote(self.path, safe="/")

    def copy(self, to: IO[bytes]) -> None:
        """Copy the bytes. Raises `Refused` if they are not those with this digest."""
        if isinstance(self.source, bytes):
            to.write(self.source)
            return
        digest = hashlib.sha256()
        with self.source.open("rb") as file:
            while data := file.read(_BUFFER_BYTES):
                digest.update(data)
                to.write(data)
        if digest.hexdigest() != self.sha256:
            raise Refused(f"{self.source}: its SHA-256 is {digest.hexdigest()}; {self.sha256} is right.")


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFiles:
    """An analysis version and its files in the crate, by their paths in the analysis' folder."""

    version: Version
    files: dict[str, CrateFile]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """All files of a crate but its description. outputs, logs: by a stack's index. versions: by digest."""

    versions: dict[str, VersionFiles]
    outputs: dict[int, tuple[CrateFile, ...]]
    logs: dict[int, CrateFile]
    job_outputs: tuple[CrateFile, ...]
    certificates: tuple[CrateFile, ...]
    readme: CrateFile

    def __iter__(self) -> Iterator[CrateFile]:
        """In the order in which they are packed."""
        yield self.readme
        for version in self.versions.values():
            yield from version.files.values()
        for index, outputs in self.outputs.items():
            yield from outputs
            if index in self.logs:
                yield self.logs[index]
        yield from self.job_outputs
        yield from self.certificates


def contents(facts: Facts, results: Path, workflows: Mapping[str, Path]) -> Contents:
    """Find every file of the crate. Raises `NotFound` for a missing one, `Refused` for files of another version."""
    versions = _versions(facts, workflows)
    logs = ((stack.index, f"{stack.folder}/{BESIDE_OUTPUTS}") for stack in facts.stacks)
    return Contents(
        versions=versions,
        outputs={
            stack.index: tuple(_output(results, stack.folder, one) for one in stack.outputs) for stack in facts.stacks
        },
        logs={index: _found(results, path) for index, path in logs if (results / path).is_file()},
        job_outputs=tuple(_output(results, "", one) for one in facts.outputs),
        certificates=tuple(_found(results, name) for name in sorted(BESIDE_RESULTS) if (results / name).is_file()),
        readme=_readme(facts, versions[facts.analysis.version].version),
    )


def in_words(facts: Facts) -> str:
    """What the crate is of."""
    job = facts.job
    succeeded = sum(stack.status == "succeeded" for stack in facts.stacks)
    return (
        f"{facts.analysis.label} on {len(facts.datasets)} dataset(s) in {len(facts.stacks)} run(s), "
        f"of which {succeeded} succeeded; job {job.id} of {job.user or 'unknown user'} at {facts.site.name}."
    )


def media_type(path: str) -> str:
    """What a file is, by its ending."""
    return _MEDIA_TYPES.get(Path(path).suffix.lower(), "application/octet-stream")


def _readme(facts: Facts, version: Version) -> CrateFile:
    text = f"""# {version.blueprint.title}: job {facts.job.id}

{in_words(facts)}

- `results/`: what the job wrote, the log of each run, and `certificate.json`, the signed record of it all. Submitted
  data is not here; the record names it by its SHA-256.
- `workflows/`: the files of each analysis version that ran, with the locks of their environments.
- `ro-crate-metadata.json`: the same for programs, as a Workflow Run RO-Crate.

To check that the results are those of the record: `neurocaas verify results/certificate.json results`
"""
    data = text.encode()
    return CrateFile(path=README, source=data, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def _versions(facts: Facts, workflows: Mapping[str, Path]) -> dict[str, VersionFiles]:
    wanted = {facts.analysis.version: facts.analysis.name} | {step.version: step.analysis for step in facts.steps}
    return {digest: _version(name, digest, workflows) for digest, name in wanted.items()}


def _version(name: str, digest: str, workflows: Mapping[str, Path]) -> VersionFiles:
    label = f"{name}@{digest[:SHORT]}"
    if digest not in workflows:
        raise NotFound(f"The files of {label} are missing; a folder with them is right.")
    folder = workflows[digest]
    version = read_version(folder)
    if version.digest != digest:
        raise Refused(f"{folder} holds {version.short}; the files of {label} are right.")
    files = {
        one.path: CrateFile(
            path=f"{WORKFLOWS}/{name}-{digest[:SHORT]}/{one.path}",
            source=folder / one.path,
            sha256=one.sha256,
            size_bytes=(folder / one.path).stat().st_size,
        )
        for one in version.files
    }
    return VersionFiles(version=version, files=files)


def _output(results: Path, folder: str, output: OutputFacts) -> CrateFile:
    path = f"{folder}/{output.path}" if folder else output.path
    keys.relative(path)
    source = results / path
    if not source.is_file():
        raise NotFound(f"The result {path!r} that the certificate names is not in {results}.")
    return CrateFile(path=f"{RESULTS}/{path}", source=source, sha256=output.sha256, size_bytes=output.size_bytes)


def _found(results: Path, path: str) -> CrateFile:
    """A file that the certificate doesn't name, as it is."""
    digest = digest_file(results / path)
    return CrateFile(
        path=f"{RESULTS}/{path}", source=results / path, sha256=digest.sha256, size_bytes=digest.size_bytes
    )
