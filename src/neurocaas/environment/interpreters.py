"""The interpreters of a store: one object each, named by digest, chosen once per request and then kept to."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from neurocaas.environment import interpreter, pack
from neurocaas.environment import tree as trees
from neurocaas.environment.locks import locked
from neurocaas.environment.shelf import LOG, Shelf
from neurocaas.environment.values import Interpreter, current_platform
from neurocaas.environment.workbench import lend
from neurocaas.errors import EnvironmentBroken

Progress = Callable[[str], None]


class InterpreterStore:
    """Interpreters below `root`/interpreters."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shelf = Shelf(root / "interpreters", tree="python", damaged=root / "damaged")

    def get(self, digest: str, *, progress: Progress = lambda _: None) -> Interpreter | None:
        """The interpreter if it is here and whole. A damaged one is moved away and None returned."""
        if not self.shelf.has(digest):
            return None
        damages = self.shelf.damages_if_changed(digest)
        if damages:
            progress(f"The interpreter {digest[:12]} was damaged ({damages[0]}) and is not used.")
            self.shelf.quarantine(digest, damages)
            return None
        self.shelf.stamp(digest)
        return self._read(digest)

    def _read(self, digest: str) -> Interpreter:
        record = self.shelf.record(digest)
        return Interpreter(
            digest=digest,
            source=record["facts"]["source"],
            size_bytes=record["size_bytes"],
            built_at=record["built_at"],
            tree=self.shelf.tree(digest),
            **record["identity"],
        )

    def list(self) -> list[Interpreter]:
        """Those with a readable record; whether they are whole is `verify`'s to say."""
        found = []
        for digest in self.shelf.digests():
            try:
                found.append(self._read(digest))
            except EnvironmentBroken:
                continue
        return found

    def chosen(self, request: str) -> str:
        """Digest of the one this store took for `request` ("3.11") before, so that an upgraded system changes nothing.

        Empty when there is none; whether it is whole is for `get` to say.
        """
        try:
            return self._choice(request).read_text().strip()
        except OSError:
            return ""

    def _choice(self, request: str) -> Path:
        return self.root / "by-request" / f"{_file_name(request)}-{current_platform()}"

    def provide(self, request: str, *, progress: Progress) -> Interpreter:
        """The chosen one, else a copy of what is found on this machine or downloaded."""
        name = _file_name(request)
        waiting = f"Waiting for Python {request}, which is being prepared at this moment."
        with locked(self.root / "locks" / f"{name}.lock", waiting=lambda: progress(waiting)):
            ready = self.get(self.chosen(request), progress=progress)
            if ready:
                return ready
            found = interpreter.locate(request, self.root / "cache" / "pythons", progress=progress)
            progress(f"Copying Python {found.version} from {found.prefix}.")
            digest = self._shelve(name, found, progress)
            choice = self._choice(request)
            choice.parent.mkdir(parents=True, exist_ok=True)
            temporary = choice.with_name(f".{choice.name}.{secrets.token_hex(4)}")
            temporary.write_text(digest)
            temporary.rename(choice)
            return self._read(digest)

    def _shelve(self, name: str, found: interpreter.Found, progress: Progress) -> str:
        built = self.root / "building" / f"{name}.{secrets.token_hex(4)}"
        try:
            built.mkdir(parents=True)
            interpreter.copy(found, built / "python")
            return self._settle(built, found.version, found.executable, str(found.prefix), progress)
        finally:
            trees.remove(built)

    def _settle(self, built: Path, version: str, executable: str, source: str, progress: Progress) -> str:
        lend(built / "python")
        variables = interpreter.settle(built / "python", executable, built / LOG, progress=progress)
        identity = {"version": version, "executable": executable, "variables": variables}
        return self.shelf.put(built, identity=identity, facts={"source": source})

    def pack(self, digest: str, to: Path) -> None:
        """Write the interpreter as one file, the same bytes each time, that another site can `unpack`."""
        ready = self.get(digest)
        if ready is None:
            raise EnvironmentBroken(f"The interpreter {digest} is not in the store {self.root}, or is damaged.")
        header = {"version": ready.version, "executable": ready.executable, "variables": ready.variables}
        pack.write(to, header=header, tree=ready.tree)

    def unpack(self, file: Path, *, digest: str, progress: Progress = lambda _: None) -> Interpreter:
        """Take in a packed interpreter. EnvironmentBroken, and nothing kept, when it is not the one named `digest`."""
        here = self.get(digest)
        if here:
            return here
        name = f"python-{digest}"
        built = self.root / "building" / f"{name}.{secrets.token_hex(4)}"
        with locked(self.root / "locks" / f"{name}.lock"):
            try:
                built.mkdir(parents=True)
                header = pack.read(file, tree=built / "python")
                entries = trees.read_tree(built / "python")
                if trees.content_digest(entries, **header) != digest:
                    raise EnvironmentBroken(
                        f"{file} does not hold the interpreter {digest}; it was altered or is another."
                    )
                lend(built / "python")
                variables = interpreter.settle(
                    built / "python", str(header["executable"]), built / LOG, progress=progress
                )
                if json.dumps(variables) != json.dumps(header["variables"]):
                    progress(f"It starts here with {variables}, there with {header['variables']}.")
                taken = self.shelf.put(built, identity=header, facts={"source": file.name})
                if taken != digest:
                    raise EnvironmentBroken(f"{file} changed itself while it was tried out; it is not trusted.")
                return self._read(digest)
            finally:
                trees.remove(built)


def _file_name(request: str) -> str:
    """ "python-3.11" for 3.11, "python-from-3.11-below-3.14" for a range."""
    return f"python-{request.replace('>=', 'from-').replace(',<', '-below-')}"
