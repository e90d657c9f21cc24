"""The platform as a contender: a site of its own with the analysis `overhead`, its manager stopped or running."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ANALYSIS = Path(__file__).parent / "analysis"
PROGRAM = str(Path(sys.executable).parent / "neurocaas")


class Site:
    """A site made for the measurement. `look` is the same analysis with a workflow that does not read its dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run([PROGRAM, "init", str(folder)])
        shutil.copytree(ANALYSIS, folder / "analyses" / "overhead")
        self._add_look(folder / "analyses" / "look")
        git = ["git", "-C", str(folder), "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
        self.run([*git, "add", "--all"])
        self.run([*git, "commit", "--quiet", "--no-gpg-sign", "--message=Add the benchmark's analyses"])
        for analysis in ("overhead", "look"):
            self.run(self.command("env", "build", analysis))

    def _add_look(self, folder: Path) -> None:
        shutil.copytree(ANALYSIS, folder)
        blueprint = json.loads((folder / "blueprint.json").read_text())
        blueprint |= {
            "name": "look",
            "workflow": {"command": ["python", "/workflow/look.py"], "files": ["look.py"]},
            "outputs": {"size": {"kind": "text", "pattern": "size.txt", "required": True}},
        }
        (folder / "blueprint.json").write_text(json.dumps(blueprint, indent=2))

    def command(self, *arguments: str) -> list[str]:
        return [PROGRAM, "--site", str(self.folder), *arguments]

    def stop_manager(self) -> None:
        self.run(self.command("manager", "stop"))

    def start_manager(self) -> None:
        """By a job, as a person would."""
        if not self.manager_runs():
            dataset = self.folder.parent / "wake.bin"
            dataset.write_bytes(b"wake")
            out = self.folder.parent / "wake"
            shutil.rmtree(out, ignore_errors=True)
            self.run(self.command("run", "overhead", str(dataset), "--out", str(out), "--fresh", "--json"))

    def manager_runs(self) -> bool:
        answer = subprocess.run(
            self.command("manager", "status", "--json"), capture_output=True, text=True, check=False
        )
        return answer.returncode == 0 and bool(json.loads(answer.stdout).get("pid"))

    def run(self, command: list[str]) -> None:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if answer.returncode != 0:
            sys.exit(f"{' '.join(command)} ended with exit code {answer.returncode}:\n{answer.stdout}")


class Platform:
    """`neurocaas run`. Cold: no manager runs, and it is started by the command; warm: it runs already."""

    def __init__(self, site: Site, *, warm: bool) -> None:
        self.site = site
        self.warm = warm
        self.name = f"neurocaas {'warm' if warm else 'cold'}"

    def make_ready(self) -> None:
        if self.warm:
            self.site.start_manager()
        else:
            self.site.stop_manager()

    def command(self, datasets: Sequence[Path], work: Path) -> list[str]:
        return self.site.command(
            "run", "overhead", *map(str, datasets), "--out", str(work / "out"), "--fresh", "--json"
        )

    def digests(self, work: Path) -> list[str]:
        return [path.read_text().strip() for path in (work / "out").rglob("digest.txt")]
