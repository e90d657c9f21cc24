"""The runner as it travels: this very installation's code and what it imports, for an interpreter of its own."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import IO

import neurocaas
from neurocaas.environment.interpreter import compile_all
from neurocaas.environment.oci import add_bytes, add_parents, add_tree, packing
from neurocaas.environment.values import Interpreter
from neurocaas.environment.workbench import lend
from neurocaas.sandbox import Mount

HOME = "/opt/neurocaas/runner"
ENTRYPOINT = f"{HOME}/bin/neurocaas-runner"
# What the runner imports of this project, and from elsewhere: pydantic reads documents, obstore reaches s3:// stores.
ROOMS = ("runner", "sandbox", "storage")
LIBRARIES = ("pydantic", "obstore")
NAME = re.compile(r"^[A-Za-z0-9._-]+")


def own_python() -> str:
    """The Python that the runner's libraries, which are this installation's, were built for."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def fingerprint() -> str:
    """sha256, hex, of the code and the versions of the libraries: the same runner has the same."""
    total = hashlib.sha256()
    for path, source in own_files():
        total.update(f"{path}\0{hashlib.sha256(source.read_bytes()).hexdigest()}\n".encode())
    for library in libraries():
        total.update(f"{library.metadata['Name']}=={library.version}\n".encode())
    return total.hexdigest()


def own_files() -> Iterator[tuple[str, Path]]:
    """This package's files that the runner needs: the path below its library folder, and where it is here."""
    package = Path(neurocaas.__file__).parent
    rooms = [file for room in ROOMS for file in package.glob(f"{room}/**/*.py")]
    for file in sorted((*package.glob("*.py"), *rooms)):
        if file.name != "testing.py":
            yield f"neurocaas/{file.relative_to(package)}", file


def libraries() -> list[Distribution]:
    """The installed distributions that the runner needs, with all that those need, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(LIBRARIES)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # It is for another platform or Python.
        needed = [one for one in found[name].requires or () if "extra ==" not in one]
        waiting += [match[0] for one in needed if (match := NAME.match(one))]
    return [found[name] for name in sorted(found)]


def lay_out(folder: Path) -> None:
    """Copy the code and the libraries into the new folder."""
    for path, source in own_files():
        _copy(source, folder / path)
    for library in libraries():
        for file in library.files or ():
            # Neither programs, which lie above the library folder, nor what the installation compiled or noted.
            if ".." in file.parts or "__pycache__" in file.parts or file.name in ("RECORD", "INSTALLER", "REQUESTED"):
                continue
            _copy(Path(str(library.locate_file(file))), folder / file)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def write_library(to: IO[bytes], interpreter: Interpreter) -> None:
    """The tar of the runner without its interpreter: its library, compiled, and the program that starts it."""
    with tempfile.TemporaryDirectory(prefix="neurocaas-runner-") as temporary:
        folder = Path(temporary) / "lib"
        lay_out(folder)
        lend(folder)
        mounts = [
            Mount(source=interpreter.tree, target="/python"),
            Mount(source=folder, target=f"{HOME}/lib", writable=True),
        ]
        log = Path(temporary) / "log"
        compile_all(f"{HOME}/lib", interpreter.executable, mounts, interpreter.variables, log)
        with packing(to) as archive:
            add_parents(archive, ENTRYPOINT)
            add_bytes(archive, ENTRYPOINT.lstrip("/"), start_script(interpreter).encode(), mode=0o555)
            add_tree(archive, folder, f"{HOME}/lib")


def start_script(interpreter: Interpreter) -> str:
    variables = {name: value.replace("/python/", f"{HOME}/python/") for name, value in interpreter.variables.items()}
    assignments = " ".join(f"{name}={value}" for name, value in {**variables, "PYTHONPATH": f"{HOME}/lib"}.items())
    program = f"{HOME}/python/bin/{interpreter.executable}"
    return f'#!/bin/sh\nexport {assignments}\nexec {program} -s -B -m neurocaas.runner "$@"\n'
