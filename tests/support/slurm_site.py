"""Sites whose only provider is the test session's Slurm cluster: whoever runs the tests has one, nobody another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurocaas
from support.aws import Aws
from support.sites import MOST_SECONDS, Answer, TestSite, make_site
from support.slurm import Cluster

NOBODY = 65534


@pytest.fixture(scope="module")
def slurm_site(slurm_session: Cluster, shared_environments: Path) -> Iterator[TestSite]:
    """One for all tests of a module."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-slurm-site-"))
    folder.chmod(0o755)
    site = make_site(folder, shared_environments, **slurm_session.variables)
    use_slurm(site)
    yield site
    site.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm_site_on_s3(slurm: Cluster, aws: Aws, shared_environments: Path) -> Iterator[TestSite]:
    """Its nodes share no files with it: all goes through a bucket, and a folder of the nodes' own."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-slurm-s3-"))
    folder.chmod(0o755)
    bucket = aws.bucket()
    site = make_site(folder, shared_environments, **slurm.variables, **aws.variables)
    use_slurm(site, shared=False, work=str(folder / "scratch"))
    document = json.loads((site.root / "site.json").read_text())
    document |= {"store": f"s3://{bucket}/site", "storage": {"runner_role": aws.runner_role(bucket)}}
    (site.root / "site.json").write_text(json.dumps(document, indent=1))
    yield site
    site.end()
    shutil.rmtree(folder, ignore_errors=True)


def use_slurm(site: TestSite, **settings: object) -> None:
    document = json.loads((site.root / "site.json").read_text())
    document |= {"providers": ["slurm"], "slurm": settings}
    (site.root / "site.json").write_text(json.dumps(document, indent=1))


class NobodysSite(TestSite):
    """A site that an ordinary user runs: its commands, its manager, and what it has in Slurm."""

    __test__ = False

    def __call__(
        self, *arguments: str | Path, expect: int | None = 0, cwd: Path | None = None, seconds: float = MOST_SECONDS
    ) -> Answer:
        run = "from neurocaas.cli.main import main; main()"
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [*as_nobody, self.folder / "python", "-c", run, "--site", self.root, *arguments]
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"} | self.variables
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            check=False,
            env=variables,
            cwd=cwd or self.folder,
            timeout=seconds,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return Answer(code=done.returncode, out=done.stdout, err=done.stderr)

    def own(self) -> None:
        """Give the user what the tests have written."""
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@pytest.fixture
def nobodys_site(slurm: Cluster) -> Iterator[NobodysSite]:
    """With an interpreter and environments of its own: the tester's may lie where nobody else may look."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-nobody-"))
    folder.chmod(0o755)
    site = NobodysSite(root=folder / "site", folder=folder, variables=dict(slurm.variables))
    _give_python(folder)
    site.own()
    try:
        site("init", site.root, "--name", "Test site")
        use_slurm(site, python=str(folder / "python"))
        yield site
    finally:
        site.end()
        subprocess.run(["chmod", "-R", "u+w", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _give_python(folder: Path) -> None:
    """A copy of this interpreter without what was installed into it, and `python`, which finds what tests import."""
    base, version = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    copied = folder / "interpreter"
    unneeded = shutil.ignore_patterns(
        "site-packages", "dist-packages", "test", "tests", "*.a", "__pycache__", "idlelib"
    )
    shutil.copytree(base / "lib" / version, copied / "lib" / version, ignore=unneeded, symlinks=True)
    for library in (base / "lib").glob("libpython3*.so*"):
        shutil.copy2(library, copied / "lib", follow_symlinks=False)
    (copied / "bin").mkdir()
    shutil.copy2(base / "bin" / version, copied / "bin" / version)
    (copied / "bin" / "python3").symlink_to(version)
    installed = [Path(neurocaas.__file__).parents[1], *(Path(one) for one in sys.path if one.endswith("site-packages"))]
    paths = ":".join(str(_reachable(one, folder)) for one in installed)
    script = folder / "python"
    script.write_text(
        "#!/bin/sh\n"
        f"export PYTHONHOME={copied} LD_LIBRARY_PATH={copied}/lib PYTHONPATH={paths}\n"
        f"export PYTHONDONTWRITEBYTECODE=1 PATH={copied}/bin:$PATH\n"
        f'exec {copied}/bin/{version} "$@"\n'
    )
    script.chmod(0o755)


def _reachable(installed: Path, folder: Path) -> Path:
    """The same, or a copy where the folders above it are closed to others."""
    look = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "test", "-r", str(installed)]
    if subprocess.run(look, check=False).returncode == 0:
        return installed
    copy = folder / "installed" / f"{len(list((folder / 'installed').glob('*')))}"
    shutil.copytree(installed, copy, symlinks=True)
    return copy
