"""A site for tests: made by the real command, with small analyses in bash, its environments shared by all tests."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from neurocaas.certificate import SigningKey, TrustedKeys
from neurocaas.settings import read_settings

PATIENCE_SECONDS, MOST_SECONDS = 90.0, 300.0
NAME = "Test site"
Seen = TypeVar("Seen")
NEUROCAAS = Path(sys.executable).with_name("neurocaas")


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class TestSite:
    """The command line, bound to one site."""

    __test__ = False

    root: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *arguments: str | Path, expect: int | None = 0, cwd: Path | None = None, seconds: float = MOST_SECONDS
    ) -> Answer:
        command = [str(NEUROCAAS), "--site", str(self.root), *map(str, arguments)]
        environment = os.environ | self.variables
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=cwd or self.folder,
            timeout=seconds,
        )
        answer = Answer(code=done.returncode, out=done.stdout, err=done.stderr)
        assert "Traceback" not in answer.out + answer.err, answer.err
        if expect is not None:
            assert answer.code == expect, f"{command} ended with {answer.code}: {answer.out}{answer.err}"
        return answer

    def analysis(self, name: str, script: str, *, commit: bool = True, **changes: Any) -> None:
        """Declare an analysis whose workflow is a bash script."""
        folder = self.root / "analyses" / name
        folder.mkdir(parents=True, exist_ok=True)
        blueprint = {
            "name": name,
            "title": name,
            "summary": "An analysis for tests.",
            "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
            "workflow": {"command": ["bash", "/workflow/workflow.sh"], "files": ["workflow.sh"]},
            "inputs": {"data": {"title": "Data", "kinds": [".txt"]}},
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "size": {"type": "integer", "default": 3, "minimum": 1, "maximum": 9, "description": "A number."}
                },
            },
            "hardware": {"vcpus": 1, "memory_gib": "0.25", "storage_gib": "0.1"},
            "limits": {"timeout_minutes": 5, "attempts": 9},
        }
        (folder / "blueprint.json").write_text(json.dumps(blueprint | changes, indent=1))
        (folder / "requirements.lock").write_text("")
        (folder / "workflow.sh").write_text(script)
        if commit:
            self.git("add", "--all")
            self.git("commit", "--quiet", "--message", f"Declare {name}")

    def composite(
        self, name: str, *, pages: dict[str, Any] | None = None, more: dict[str, Any] | None = None, **protocol: Any
    ) -> None:
        """Declare an analysis that consists of others, pinned to them as they are. pages: whose files are there. more:
        inputs beside the main one."""
        folder = self.root / "analyses" / name
        folder.mkdir(parents=True, exist_ok=True)
        blueprint = {
            "name": name,
            "title": name,
            "summary": "An analysis of analyses.",
            "inputs": {"data": {"title": "Data", "kinds": [".txt"]}, **(more or {})},
            "protocol": protocol,
            "pages": pages or {},
        }
        (folder / "blueprint.json").write_text(json.dumps(blueprint, indent=1))
        self("analysis", "pin", name)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Declare {name}")

    def declare(self, **entries: Any) -> None:
        """Let the site's settings hold these, committed."""
        path = self.root / "site.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries, indent=1))
        self.git("commit", "--quiet", "--all", "--message", "Declare the site")

    def price(self, dollars_per_hour: str) -> None:
        """Let an instance of this machine cost something."""
        path = self.root / "site.json"
        document = json.loads(path.read_text()) | {"local": {"price_per_hour": dollars_per_hour}}
        path.write_text(json.dumps(document))

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "safe.directory=*")
        command = ["git", *identity, "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def data(self, count: int = 1, folder: str = "data") -> list[Path]:
        paths = [self.folder / folder / f"d{index:03d}.txt" for index in range(count)]
        for index, path in enumerate(paths):
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"dataset {index}\n")
        return paths

    def manager_pid(self) -> int | None:
        pid: int | None = self("manager", "status", "--json").json["pid"]
        return pid

    def processes(self) -> dict[int, str]:
        """All processes of this site: its manager, the runners' parent, runners, and what runs in sandboxes."""
        mark = str(self.root).encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes()
                    descriptors = [str(one.readlink()) for one in (entry / "fd").iterdir()]
                except OSError:
                    continue
                if mark in words or any(str(self.root / ".neurocaas") in one for one in descriptors):
                    found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
        return found

    def wait(self, job: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The job, once it has ended; a manager that is gone is started again."""
        described: dict[str, Any] = self("wait", job, "--json", expect=None, seconds=seconds).json
        return described

    def end(self) -> None:
        self("manager", "stop", expect=None)
        for pid in self.processes():
            kill(pid)


def kill(pid: int) -> None:
    """Kill at once. Quiet if it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def until(what: Callable[[], Seen], seconds: float = PATIENCE_SECONDS) -> Seen:
    """What was seen first that is true; a second look might see another state."""
    deadline = time.monotonic() + seconds
    while not (seen := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return seen


def make_site(folder: Path, environments: Path, *, bundled: bool = False, **variables: str) -> TestSite:
    """A new site in `folder`, whose environments are those of all tests of this session. bundled: with the analyses
    that `init` brings, instead of none."""
    site = TestSite(root=folder / "site", folder=folder, variables=variables)
    shutil.copytree(_new_site(), site.root, symlinks=True)
    settings = read_settings(site.root)
    settings.key.parent.mkdir(mode=0o700)
    TrustedKeys(settings.trusted_keys).add(SigningKey.create(settings.key).public_path, NAME)
    if not bundled:
        shutil.rmtree(site.root / "analyses")
    state = site.root / ".neurocaas"
    (state / "environments").symlink_to(environments)
    return site


ALL_TABLES = """
import sys
from pathlib import Path
from neurocaas.server.serving.configuration import connect_fully
from neurocaas.settings import read_settings
connect_fully(read_settings(Path(sys.argv[1])))
"""


@cache
def _new_site() -> Path:
    """A site as `init` and the first start of its website make it, but for its keys. Made once for each test process:
    making the tables of the database takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="neurocaas-new-site-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    site = TestSite(root=folder / "site", folder=folder)
    site("init", site.root, "--name", NAME)
    subprocess.run([sys.executable, "-c", ALL_TABLES, site.root], check=True)
    shutil.rmtree(read_settings(site.root).key.parent)
    return site.root
