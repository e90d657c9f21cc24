"""A site's source repo: the git repository that declares its analyses (paper §5.1.1), and its history."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from neurocaas.blueprint.version import BLUEPRINT_FILE, Version, read_version, unpack
from neurocaas.errors import NeurocaasError, NotFound, Unavailable

GITIGNORE = "# What the platform writes: database, store, keys, environments.\n/.neurocaas/\n__pycache__/\n"
GIT_TIMEOUT_SECONDS = 60


class SourceRepo:
    """The analyses declared at `root`, as files now and as commits before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.analyses = root / "analyses"

    def names(self) -> list[str]:
        """Every analysis folder with a blueprint, sorted."""
        return sorted(one.parent.name for one in self.analyses.glob(f"*/{BLUEPRINT_FILE}"))

    def folder(self, name: str) -> Path:
        folder = self.analyses / name
        if "/" in name or name.startswith(".") or not (folder / BLUEPRINT_FILE).is_file():
            raise NotFound(f"There is no analysis {name!r} in {self.analyses}.")
        return folder

    def commit_of(self, version: Version) -> str | None:
        """The commit at HEAD if it holds exactly these files; None if any of them is not committed as it is."""
        if not (self.root / ".git").exists():
            return None
        lines = self._git("ls-tree", "-r", "-z", "HEAD", f"analyses/{version.name}/", check=False).split("\0")
        committed = {}
        for line in filter(None, lines):
            entry, _, path = line.partition("\t")
            mode, _, blob = entry.split(" ")
            committed[path.removeprefix(f"analyses/{version.name}/")] = (mode == "100755", blob)
        folder = self.folder(version.name)
        if any(committed.get(file.path) != (file.executable, _blob(folder / file.path)) for file in version.files):
            return None
        return self._git("rev-parse", "HEAD").strip()

    def history(self, name: str) -> Iterator[tuple[str, Path]]:
        """Each commit that changed the analysis, newest first, with its folder as it was; unreadable ones are left out.

        The folder is there only until the next step of the iteration.
        """
        commits = self._git("log", "--format=%H", "--", f"analyses/{name}", check=False).split()
        for commit in commits:
            with tempfile.TemporaryDirectory(prefix="neurocaas-history-") as temporary:
                folder = Path(temporary) / name
                folder.mkdir()
                archive = self._git_bytes("archive", "--format=tar", f"{commit}:analyses/{name}")
                if archive is None:
                    continue
                try:
                    unpack(archive, folder)
                except NeurocaasError:
                    continue
                yield commit, folder

    def last_change(self, name: str) -> str:
        """The newest commit that changed the analysis; "" if none did."""
        return self._git("log", "-1", "--format=%H", "--", f"analyses/{name}", check=False).strip()

    def told(self, commits: Sequence[str]) -> dict[str, tuple[datetime, str]]:
        """When each of these commits was made, and the first line of its message."""
        if not commits:
            return {}
        lines = self._git("log", "--no-walk=unsorted", "--format=%H%x00%cI%x00%s", *commits).splitlines()
        told = (line.split("\0", 2) for line in lines)
        return {commit: (datetime.fromisoformat(at), subject) for commit, at, subject in told}

    def create(self, bundled: Path, site: dict[str, object]) -> None:
        """Make the repository with the bundled analyses and a first commit."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "site.json").write_text(json.dumps(site, indent=2) + "\n", encoding="utf-8")
        (self.root / ".gitignore").write_text(GITIGNORE, encoding="utf-8")
        for source in sorted(bundled.glob(f"*/{BLUEPRINT_FILE}")):
            ignore = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")
            shutil.copytree(source.parent, self.analyses / source.parent.name, dirs_exist_ok=True, ignore=ignore)
        self._git("init", "--quiet", "--initial-branch=main")
        self.commit("Begin the site with the bundled analyses")

    def commit(self, message: str, path: Path | None = None) -> str:
        """Commit everything, or `path` alone; the author is git's configured one, else the platform.

        Returns the commit.
        """
        what = ("--", str(path)) if path else ("--all",)
        self._git("add", *what)
        identity: tuple[str, ...] = ()
        if not self._git("config", "user.email", check=False).strip():
            identity = ("-c", "user.name=NeuroCAAS", "-c", "user.email=neurocaas@localhost")
        only = ("--", str(path)) if path else ()
        self._git(*identity, "commit", "--quiet", "--no-gpg-sign", "--allow-empty", "--message", message, *only)
        return self._git("rev-parse", "HEAD").strip()

    def uncommitted(self, *paths: str) -> list[str]:
        """Which files at these paths are not in the last commit as they are."""
        if not (self.root / ".git").exists():
            return []
        lines = self._git("status", "--porcelain", "-z", "--untracked-files=all", "--", *paths).split("\0")
        return [line[3:] for line in lines if line]

    def _git(self, *arguments: str, check: bool = True) -> str:
        result = self._run(arguments)
        if check and result.returncode:
            command = next(one for one in arguments if not one.startswith(("-", "user.")))
            raise NeurocaasError(f"git {command} failed in {self.root}: {result.stderr.decode().strip()}")
        return result.stdout.decode(errors="surrogateescape")

    def _git_bytes(self, *arguments: str) -> bytes | None:
        result = self._run(arguments)
        return None if result.returncode else result.stdout

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
        # The operator may start the platform as another user than the one who cloned the repo.
        command = ("git", "-c", "safe.directory=*", "-C", str(self.root), *arguments)
        try:
            return subprocess.run(command, capture_output=True, check=False, timeout=GIT_TIMEOUT_SECONDS)
        except FileNotFoundError:
            raise Unavailable("git is not installed on this machine.", remedy="apt-get install git") from None


def read_commit(folder: Path, name: str) -> Version | None:
    """The version in a folder out of history, or None where that commit was not a valid one."""
    try:
        return read_version(folder, name)
    except NeurocaasError:
        return None


def _blob(path: Path) -> str:
    """The name git gives these bytes (SHA-1 of a header and the contents)."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
