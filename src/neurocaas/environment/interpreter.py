"""An interpreter that stands on its own: copied from one found on this machine, started from /python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from neurocaas.environment.uv import find_uv, last_sentence, passed_on
from neurocaas.environment.workbench import run_sandboxed
from neurocaas.errors import EnvironmentBroken
from neurocaas.sandbox import Mount

# Parts no analysis imports, or that hold what belongs to the machine the interpreter was found on.
LEFT_OUT = frozenset(
    (
        *("test", "tests", "idle_test", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3"),
        *("site-packages", "dist-packages", "__pycache__"),
        *("EXTERNALLY-MANAGED", "sitecustomize.py", "usercustomize.py"),
    )
)
LEFT_OUT_PATTERN = re.compile(
    r"config-.*|_test.*\.so|_xxtestfuzz.*\.so|xxlimited.*\.so|_tkinter.*\.so|_ctypes_test.*\.so"
)
SYSTEM_LIBRARIES = ("/usr/lib", "/lib", "/usr/lib64", "/lib64", "/usr/lib32", "/lib32")
LIBRARY_LINE = re.compile(r"^\s*(\S+) => (/\S+) \(0x", re.MULTILINE)
SECONDS_TO_ANSWER, SECONDS_TO_DOWNLOAD = 60, 900

DESCRIBE = """
import json, os, sys
version = "%d.%d.%d" % sys.version_info[:3]
name = "python%d.%d%s" % (*sys.version_info[:2], getattr(sys, "abiflags", ""))
print(json.dumps({"version": version, "executable": name, "prefix": sys.base_prefix,
    "binary": getattr(sys, "_base_executable", "") or sys.executable, "library": os.path.dirname(os.__file__)}))
"""
# Imports everything the copy can import, tells which shared libraries that took, fails if a part that matters is gone.
TRY_OUT = """
import importlib, json, os, sys, zlib, ctypes, hashlib, socket, select, math, json, subprocess, multiprocessing
parts = os.path.join(os.path.dirname(os.__file__), "lib-dynload")
for name in sorted(os.listdir(parts) if os.path.isdir(parts) else ()):
    try:
        importlib.import_module(name.partition(".")[0])
    except ImportError as cause:
        print("not importable:", name, cause, file=sys.stderr)
assert sys.base_prefix == "/python", sys.base_prefix
print(json.dumps(sorted({line.split()[-1] for line in open("/proc/self/maps") if ".so" in line})))
"""


class Found(NamedTuple):
    """An interpreter of this machine. prefix: where it was installed; library: its standard library's folder."""

    version: str
    executable: str
    prefix: Path
    binary: Path
    library: Path


def locate(request: str, downloads: Path, *, progress: Callable[[str], None]) -> Found:
    """The interpreter uv finds for `request` ("3.11"); if there is none, one that uv downloads below `downloads`."""
    environ = {**os.environ, **passed_on(os.environ), "UV_NO_CONFIG": "1", "UV_NO_CACHE": "1"}
    find = ["python", "find", "--system", "--no-project", "--no-python-downloads", request]
    answer = _uv(find, environ, SECONDS_TO_ANSWER)
    if answer.returncode:
        environ["UV_PYTHON_INSTALL_DIR"] = str(downloads)
        answer = _uv(find, environ, SECONDS_TO_ANSWER)
    if answer.returncode:
        progress(f"Python {request} is not on this machine; downloading it.")
        install = _uv(["python", "install", "--no-bin", request], environ, SECONDS_TO_DOWNLOAD)
        if install.returncode:
            package = f"python{request}" if request[0].isdigit() else "python3"
            raise EnvironmentBroken(
                f"Python {request} is not on this machine and could not be downloaded: "
                f"{last_sentence(install.stderr.splitlines())}",
                remedy=f"Install it (Debian, Ubuntu: apt-get install {package}), then try again.",
            )
        answer = _uv(find, environ, SECONDS_TO_ANSWER)
    return describe(Path(answer.stdout.strip()))


def _uv(arguments: list[str], environ: dict[str, str], timeout_seconds: int) -> subprocess.CompletedProcess[str]:
    # From "/", so that no project's .python-version or uv.toml has a say.
    command = [str(find_uv()), *arguments]
    try:
        return subprocess.run(
            command, env=environ, cwd="/", capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as cause:
        raise EnvironmentBroken(f"{' '.join(command)} took longer than {timeout_seconds} s.") from cause


def describe(python: Path) -> Found:
    """Ask an interpreter where its parts are. EnvironmentBroken when it does not answer."""
    try:
        answer = subprocess.run(
            [str(python), "-I", "-S", "-c", DESCRIBE],
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_ANSWER,
            check=True,
        )
        told = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as cause:
        raise EnvironmentBroken(f"The interpreter {python} does not start: {cause}.") from cause
    return Found(
        version=told["version"],
        executable=told["executable"],
        prefix=Path(told["prefix"]).resolve(),
        binary=Path(told["binary"]).resolve(),
        library=Path(told["library"]).resolve(),
    )


def copy(found: Found, tree: Path) -> None:
    """Copy what is needed to run: bin/, the standard library, and the shared libraries that are not the system's."""
    (tree / "bin").mkdir(parents=True)
    shutil.copyfile(found.binary, tree / "bin" / found.executable)
    (tree / "bin" / found.executable).chmod(0o755)
    for name in ("python", "python3"):
        (tree / "bin" / name).symlink_to(found.executable)
    library = tree / _relative_library(found)
    _copy_folder(found.library, library, inside=found.library)
    for name, source in _own_libraries([found.binary, *sorted(found.library.glob("lib-dynload/*.so"))]).items():
        (tree / "lib").mkdir(exist_ok=True)
        shutil.copyfile(source, tree / "lib" / name)


def _relative_library(found: Found) -> Path:
    """lib/python3.11, or lib64/python3.11 where a distribution has it there: that name is built in."""
    try:
        return found.library.relative_to(found.prefix)
    except ValueError:
        return Path("lib", found.library.name)


def _left_out(name: str) -> bool:
    return name in LEFT_OUT or bool(LEFT_OUT_PATTERN.fullmatch(name))


def _copy_folder(source: Path, target: Path, *, inside: Path) -> None:
    """Copy files; a link that stays inside is kept, one that leads out becomes a copy of what it leads to."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if _left_out(entry.name) or entry.suffix == ".pyc":
            continue
        place = target / entry.name
        if entry.is_symlink() and not entry.exists():
            continue
        if entry.is_symlink() and not entry.readlink().is_absolute() and entry.resolve().is_relative_to(inside):
            place.symlink_to(entry.readlink())
        elif entry.is_dir():
            _copy_folder(entry, place, inside=inside)
        elif entry.is_file():
            shutil.copyfile(entry, place)
            place.chmod(0o755 if os.access(entry, os.X_OK) else 0o644)


def _own_libraries(programs: list[Path]) -> dict[str, Path]:
    """Shared libraries the loader takes from outside of the system's folders: pyenv's libpython, conda's OpenSSL."""
    wanted = [str(program) for program in programs if not _left_out(program.name)]
    answer = subprocess.run(["ldd", *wanted], capture_output=True, text=True, timeout=SECONDS_TO_ANSWER)
    found = {name: Path(path).resolve() for name, path in LIBRARY_LINE.findall(answer.stdout)}
    return {
        name: path for name, path in found.items() if not str(path).startswith(tuple(f"{f}/" for f in SYSTEM_LIBRARIES))
    }


def settle(tree: Path, executable: str, log: Path, *, progress: Callable[[str], None]) -> dict[str, str]:
    """Try the copy from /python, with nothing of the original in sight, and compile it.

    Returns the variables it needs: LD_LIBRARY_PATH when the loader does not find its own libraries without.
    """
    own = {f"/python/lib/{each.name}" for each in (tree / "lib").glob("*.so*")}
    for variables in ({}, {"LD_LIBRARY_PATH": "/python/lib"}):
        loaded = _try_out(tree, executable, log, variables)
        if loaded is not None and not _taken_from_elsewhere(own, loaded):
            break
    else:
        raise EnvironmentBroken(
            f"The copied interpreter does not start on its own: {last_sentence(log.read_text().splitlines())}",
            remedy=f"The whole log is {log}.",
        )
    progress("Compiling the standard library.")
    mount = Mount(source=tree, target="/python", writable=True)
    if compile_all("/python/lib", executable, [mount], variables, log):
        progress("Some of the standard library could not be compiled; the log says what.")
    return variables


def _taken_from_elsewhere(own: set[str], loaded: list[str]) -> bool:
    names = {Path(each).name for each in own}
    return any(Path(each).name in names and each not in own for each in loaded)


def _try_out(tree: Path, executable: str, log: Path, variables: dict[str, str]) -> list[str] | None:
    said = [""]
    status = run_sandboxed(
        [f"/python/bin/{executable}", "-I", "-B", "-c", TRY_OUT],
        mounts=[Mount(source=tree, target="/python")],
        variables=variables,
        log=log,
        progress=said.append,
    )
    return [str(each) for each in json.loads(said[-1])] if status == 0 else None


def compile_all(folder: str, executable: str, mounts: list[Mount], variables: dict[str, str], log: Path) -> int:
    """Byte-compile everything below `folder` (a path inside), so that the read-only tree starts fast.

    unchecked-hash: no times of files in it, so that a restored or copied tree needs no recompiling. Returns the exit
    status: not 0 for a file that does not compile (a template, code for another Python), which is its package's matter.
    """
    command = ["-I", "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", folder]
    return run_sandboxed([f"/python/bin/{executable}", *command], mounts=mounts, variables=variables, log=log)
