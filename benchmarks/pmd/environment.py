"""The environment of the analysis, with what localmd imports, kept between runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

ANALYSIS = Path(__file__).parents[2] / "analyses" / "pmd"
LOCALMD = "localmd==0.0.4"


class Environment:
    """python: an interpreter with what the analysis locks and its tests add. localmd: a folder with that alone, since
    it declares some 5 GB which it does not need (analyses/pmd/peer_localmd.py)."""

    def __init__(self, folder: Path) -> None:
        self.python, self.localmd = folder / "venv" / "bin" / "python", folder / "localmd"
        complete = folder / "complete"
        wanted = "\n".join([LOCALMD, *(path.read_text() for path in self._requirements())])
        if complete.is_file() and complete.read_text() == wanted:
            return
        lock, extra = self._requirements()
        _uv("venv", "--clear", "--python", "3.11", str(folder / "venv"))
        into = ["--python", str(self.python)]
        _uv("pip", "install", *into, "--require-hashes", "-r", str(lock))
        _uv("pip", "install", *into, "-r", str(extra), "--constraint", str(lock))
        _uv("pip", "install", *into, "--no-deps", "--target", str(self.localmd), LOCALMD)
        complete.write_text(wanted)

    @staticmethod
    def _requirements() -> tuple[Path, Path]:
        return ANALYSIS / "requirements.lock", ANALYSIS / "requirements-test.txt"


def _uv(*arguments: str) -> None:
    import uv

    subprocess.run([uv.find_uv_bin(), "--quiet", *arguments], check=True)
