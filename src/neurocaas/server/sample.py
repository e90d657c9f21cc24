"""Sample data of an analysis: copied, or written by its generator in the analysis' own environment and a sandbox."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from neurocaas import sandbox
from neurocaas.blueprint import Family, Version
from neurocaas.blueprint.model import Sample
from neurocaas.errors import NeurocaasError, Refused
from neurocaas.server.site import Site

GENERATOR_SECONDS = 600
MEMORY_BYTES = 4 * 1024 * sandbox.MIB
PROCESSES = 256
GENERATOR_UID = 60577  # below those of the stacks, which count up from 60578


def write_sample(site: Site, spec: str, folder: Path, progress: Callable[[str], None]) -> list[Path]:
    """Write the sample data of an analysis into `folder`, new or empty. Returns the files.

    Raises Refused when the analysis has no sample data or the folder holds something.
    """
    version = _with_sample(site.analyses.resolve(spec).family)
    sample = version.blueprint.sample
    if not sample.files and not sample.generator:
        raise Refused(f"{version.name} has no sample data; its blueprint's `sample` would name it.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is not an empty folder; a new or empty folder is right for sample data.")
    files = site.analyses.folder(version.name, version.digest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sample-", dir=folder.parent) as temporary:
        made = Path(temporary) / "data"
        made.mkdir()
        for name in sample.files:
            for file in sorted(files.glob(name)):
                shutil.copyfile(file, made / file.name)
        if sample.generator:
            environment = site.environments.build(site.analyses.environment(version), progress=progress)
            view = sandbox.View(
                command=("python", f"/workflow/{sample.generator}", "/data"),
                mounts=(
                    *(sandbox.Mount(source=one.source, target=one.target) for one in environment.mounts),
                    sandbox.Mount(source=files, target="/workflow"),
                    sandbox.Mount(source=made, target="/data", writable=True),
                ),
                variables={**environment.variables, "PATH": ":".join((*environment.path, "/usr/bin", "/bin"))},
                host_uid=GENERATOR_UID if os.geteuid() == 0 else None,
                image=environment.image,
                engine=environment.engine,
            )
            _generate(view, made)
        folder.mkdir(exist_ok=True)
        for file in made.iterdir():
            shutil.move(file, folder / file.name)
    return sorted(folder.iterdir())


def _with_sample(family: Family) -> Version:
    """The version whose sample data is meant: that of the first part that has some, for a composite without its own."""
    candidates = (family, *family.descendants())
    return next((one.version for one in candidates if one.version.blueprint.sample != Sample()), family.version)


def _generate(view: sandbox.View, made: Path) -> None:
    if view.host_uid is not None:
        os.chown(made, view.host_uid, view.host_uid)
    limits = sandbox.Limits(memory_bytes=MEMORY_BYTES, processes=PROCESSES)
    finished = sandbox.run(view, limits=limits, timeout_seconds=GENERATOR_SECONDS, merge=True)
    if not finished.succeeded:
        said = finished.stdout.decode(errors="replace").strip().splitlines()
        raise NeurocaasError(f"The sample generator failed: {said[-1] if said else finished.reason}")
    for file in [made, *made.iterdir()]:
        if file.is_symlink() or not (file.is_file() or file == made):
            raise NeurocaasError(f"The sample generator made {file.name}, which is not a plain file.")
        os.chown(file, os.geteuid(), os.getegid())
