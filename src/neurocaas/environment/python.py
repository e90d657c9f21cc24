"""Environments of kind `python`: the locked wheels, installed by uv in a sandbox, for an interpreter of the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurocaas.environment import interpreter as interpreters_own
from neurocaas.environment import uv
from neurocaas.environment.builder import Placement, Progress
from neurocaas.environment.interpreters import InterpreterStore
from neurocaas.environment.values import Damage, EnvironmentSpec, Interpreter, current_platform
from neurocaas.environment.values import Mount as Mounted
from neurocaas.environment.workbench import lend, run_sandboxed
from neurocaas.errors import EnvironmentBroken
from neurocaas.sandbox import Mount

INSTALL = ("pip", "install", "--python", "/env/bin/python", "--require-hashes", "--verify-hashes", "--no-deps")
# Written by uv beside what was installed; they hold times or paths of this build.
LEFT_BY_UV = ("uv_cache.json", "uv_build.json")
# A program's output is seen at once, its sets have one order, and it does not try to write beside its sources.
VARIABLES = {"PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
ALREADY_INSIDE = ("/usr/", "/etc/ssl/certs")


class PythonBuilder:
    """Builds into a virtual environment seen at /env, with its interpreter at /python."""

    def __init__(self, root: Path) -> None:
        self.interpreters = InterpreterStore(root)
        self._cache = root / "cache" / "uv"

    def asked(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, Any]:
        return {
            "kind": spec.kind,
            "python": spec.python,
            "lock": spec.lock_sha256,
            "platform": current_platform(),
            "allow_sdist": spec.allow_sdist,
            "known": dict(known),
        }

    def identity(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, str]:
        return {"kind": spec.kind, "platform": current_platform(), "lock": spec.lock_sha256, **known}

    def known(self, spec: EnvironmentSpec) -> dict[str, str] | None:
        digest = spec.interpreter or self.interpreters.chosen(spec.python)
        return {"interpreter": digest} if self.interpreters.shelf.has(digest) else None

    def prepare(self, spec: EnvironmentSpec, *, progress: Progress) -> dict[str, str]:
        if not spec.interpreter:
            return {"interpreter": self.interpreters.provide(spec.python, progress=progress).digest}
        if self.interpreters.get(spec.interpreter, progress=progress) is None:
            raise EnvironmentBroken(
                f"The interpreter {spec.interpreter} that the environment names is not at this site.",
                remedy="Import the analysis together with its interpreter, then try again.",
            )
        return {"interpreter": spec.interpreter}

    def build(
        self, spec: EnvironmentSpec, known: Mapping[str, str], *, tree: Path, log: Path, progress: Progress
    ) -> dict[str, str]:
        interpreter = self.interpreters.get(known["interpreter"], progress=progress)
        if interpreter is None:
            raise EnvironmentBroken(f"The interpreter {known['interpreter']} went away during the build; try again.")
        _lay_out(tree, interpreter)
        lock = tree.parent / "requirements.lock"
        lock.write_bytes(spec.lock)
        lend(tree)
        lend_cache = tree.parent / "cache" if spec.allow_sdist else self._cache
        self._install(spec, interpreter, tree=tree, lock=lock, cache=lend_cache, log=log, progress=progress)
        _drop_what_uv_left(tree)
        self._check(interpreter, tree=tree, log=log)
        progress("Compiling.")
        mounts = [*_seen(interpreter, tree, writable=True)]
        interpreters_own.compile_all("/env/lib", interpreter.executable, mounts, interpreter.variables, log)
        return {"python": interpreter.version, "source": "requirements.lock"}

    def _install(
        self,
        spec: EnvironmentSpec,
        interpreter: Interpreter,
        *,
        tree: Path,
        lock: Path,
        cache: Path,
        log: Path,
        progress: Progress,
    ) -> None:
        """Wheels share the store's cache. A build from source runs foreign code, so it gets a cache of its own."""
        if not cache.is_dir():
            cache.mkdir(parents=True)
            lend(cache)
        caller = uv.passed_on(os.environ)
        shown = [path for path in uv.local_paths(caller) if not str(path).startswith(ALREADY_INSIDE)]
        command = ["/uv", *INSTALL, "--link-mode", "copy", "--color", "never", "--no-progress"]
        command += ["--no-python-downloads", "--requirements", "/requirements.lock"]
        command += [] if spec.allow_sdist else ["--only-binary", ":all:"]
        status = run_sandboxed(
            command,
            mounts=[
                *_seen(interpreter, tree, writable=True),
                Mount(source=uv.find_uv(), target="/uv"),
                Mount(source=lock, target="/requirements.lock"),
                Mount(source=cache, target="/cache", writable=True),
                *(Mount(source=path.resolve(), target=str(path)) for path in shown),
            ],
            variables={**caller, **interpreter.variables, "UV_CACHE_DIR": "/cache", "TMPDIR": "/cache"},
            network=True,
            log=log,
            progress=progress,
        )
        _expect_success(status, log)

    def _check(self, interpreter: Interpreter, *, tree: Path, log: Path) -> None:
        """Whether the lock is complete. Packages can run code when Python starts, so no network and no cache here."""
        status = run_sandboxed(
            ["/uv", "pip", "check", "--python", "/env/bin/python", "--no-cache", "--color", "never"],
            mounts=[*_seen(interpreter, tree, writable=False), Mount(source=uv.find_uv(), target="/uv")],
            variables=interpreter.variables,
            log=log,
        )
        _expect_success(status, log)

    def place(self, known: Mapping[str, str], tree: Path, *, progress: Progress) -> Placement | None:
        interpreter = self.interpreters.get(known["interpreter"], progress=progress)
        if interpreter is None:
            return None
        mounts = (Mounted(source=interpreter.tree, target="/python"), Mounted(source=tree, target="/env"))
        return Placement(mounts, {**interpreter.variables, **VARIABLES}, ("/env/bin", "/python/bin"))

    def missing(self, digest: str, known: Mapping[str, str], tree: Path) -> list[Damage]:  # noqa: ARG002
        shelf, interpreter = self.interpreters.shelf, known["interpreter"]
        if shelf.has(interpreter):
            return shelf.damages(interpreter)
        where = str(shelf.folder / interpreter)
        return [Damage(digest=interpreter, where=where, what="is missing, and this environment needs it")]

    def release(self, facts: Mapping[str, str], tree: Path) -> None:
        """Nothing is outside of the store."""


def _lay_out(tree: Path, interpreter: Interpreter) -> None:
    """A virtual environment by hand: uv's own holds uv's version and shell scripts, which would count in the digest."""
    (tree / "bin").mkdir(parents=True)
    (tree / "lib" / interpreter.executable / "site-packages").mkdir(parents=True)
    (tree / "lib64").symlink_to("lib")
    (tree / "bin" / "python").symlink_to(f"/python/bin/{interpreter.executable}")
    for name in ("python3", interpreter.executable):
        (tree / "bin" / name).symlink_to("python")
    lines = ("home = /python/bin", "include-system-site-packages = false", f"version = {interpreter.version}")
    (tree / "pyvenv.cfg").write_text("".join(f"{line}\n" for line in lines))


def _drop_what_uv_left(tree: Path) -> None:
    """Without it, and its lines in RECORD, a wheel from a local folder gives the same tree each time."""
    (tree / ".lock").unlink(missing_ok=True)
    for name in LEFT_BY_UV:
        for leftover in tree.glob(f"lib/*/site-packages/*.dist-info/{name}"):
            leftover.unlink()
            record = leftover.with_name("RECORD")
            lines = record.read_text().splitlines(keepends=True)
            record.write_text("".join(line for line in lines if f"/{name}," not in line))


def _seen(interpreter: Interpreter, tree: Path, *, writable: bool) -> tuple[Mount, Mount]:
    return Mount(source=interpreter.tree, target="/python"), Mount(source=tree, target="/env", writable=writable)


def _expect_success(status: int, log: Path) -> None:
    if status:
        raise EnvironmentBroken(
            uv.last_sentence(log.read_text(errors="replace").splitlines())
            if status < 128
            else f"It was killed ({status})."
        )
