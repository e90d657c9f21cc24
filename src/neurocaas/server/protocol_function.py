"""A blueprint's own protocol: a Python function in its folder, run sandboxed, JSON in and JSON out."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, NoReturn

from neurocaas import sandbox
from neurocaas.documents import nearest
from neurocaas.errors import Refused, Unavailable
from neurocaas.reasons import REMEDY, Reason
from neurocaas.server import protocol_driver

MEMORY_BYTES = 512 * sandbox.MIB
PROCESSES = 16
# Of root's platform, below the one of the sample generators. Where the kernel counts a uid's processes, functions
# that run at the same moment would use up each other's, so each takes one of these.
PROTOCOL_UIDS = range(60514, 60577)
# What starting the sandbox and the interpreter may take besides, before the function is killed without a line.
GRACE_SECONDS = 3.0
TEXT_CHARACTERS = 300
DRIVER = "/neurocaas/protocol_driver.py"
VARIABLES = {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
# faulthandler's lines: `  File "/workflow/protocol.py", line 3 in plan`, the innermost first.
FRAME = re.compile(rf'^  File "{protocol_driver.WORKFLOW}/([^"\n]+)", line (\d+) in (\S+)', re.MULTILINE)
THREAD = re.compile(r"^(?:Current thread|Thread|Stack) .*$", re.MULTILINE)
REMEDY_FOR_IMPORTS = "A protocol may import the standard library and the modules beside it."


class _Told(NamedTuple):
    """What came back, as far as it can be read. place: "protocol.py, line 3, in plan", or as much as is known."""

    place: str
    complaint: str = ""
    remedy: str = ""
    answered: bool = False
    result: Any = None


def run_protocol(
    folder: Path,
    file: str,
    function: str,
    submission: Mapping[str, Any],
    *,
    timeout_seconds: float = 10.0,
    where: str = "",
) -> Any:
    """Call `function` of `file` in an analysis' unpacked `folder` with `submission`. Returns the JSON it returned.

    The function sees that folder, the standard library and its argument. where: how sentences call the analysis, as
    in "mean@0123456789ab". Raises Refused, with the file and line, for whatever is wrong with the function or its
    result; Unavailable when this machine can't make the sandbox.
    """
    _check(folder, file, where)
    program, mounts = _interpreter()
    words = (file, function, str(timeout_seconds), str(MEMORY_BYTES))
    view = sandbox.View(
        # -I would also ignore PYTHONHASHSEED, and sets of text would have another order in every run.
        command=(program, "-s", "-P", "-S", "-B", "-X", "utf8", DRIVER, *words),
        mounts=(*mounts, sandbox.Mount(source=folder, target=protocol_driver.WORKFLOW)),
        files={DRIVER: _driver()},
        variables=VARIABLES,
        cwd=protocol_driver.WORKFLOW,
        host_uid=random.choice(PROTOCOL_UIDS) if os.geteuid() == 0 else None,  # noqa: S311 - any will do
    )
    finished = sandbox.run(
        view,
        limits=sandbox.Limits(memory_bytes=MEMORY_BYTES, processes=PROCESSES),
        timeout_seconds=timeout_seconds + GRACE_SECONDS,
        stdin=json.dumps(submission, ensure_ascii=False, allow_nan=False).encode(),
        output_bytes=protocol_driver.ANSWER_BYTES + len(protocol_driver.STARTED) + 1,
    )
    told = _read(finished.stdout, file, function)
    complaint = _complaint(finished, told, timeout_seconds)
    if complaint:
        _refuse(where, told.place, complaint, told.remedy)
    return told.result


def _check(folder: Path, file: str, where: str) -> None:
    parts = PurePosixPath(file).parts
    if not file or file.startswith("/") or ".." in parts or not (folder / file).is_file():
        known = sorted(path.name for path in folder.glob("*.py"))
        _refuse(where, "", f'there is no file "{_line(file)}" in the analysis.{nearest(file, known)}')


def _interpreter() -> tuple[str, tuple[sandbox.Mount, ...]]:
    """The platform's own interpreter, and what of it lies outside of /usr, each at its own place."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    program = Path(sys.base_prefix, "bin", name)
    prefixes = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix))
    libraries = [Path(prefix, library) for prefix in prefixes for library in dict.fromkeys(("lib", sys.platlibdir))]
    needed = [path for path in (program, *libraries) if path.exists() and not path.is_relative_to("/usr")]
    return str(program), tuple(sandbox.Mount(source=path, target=str(path)) for path in needed)


@functools.cache
def _driver() -> bytes:
    return Path(protocol_driver.__file__).read_bytes()


def _complaint(finished: sandbox.Finished, told: _Told, timeout_seconds: float) -> str:
    """Why there is no result to use; empty if there is one."""
    late = f"it did not answer within {timeout_seconds:g} seconds"
    started = finished.stdout.startswith(protocol_driver.STARTED)
    if finished.reason is Reason.TIMED_OUT and started:
        return late
    if finished.reason is Reason.OUT_OF_MEMORY:
        return _too_much_memory()
    if finished.reason is Reason.TOO_MANY_PROCESSES:
        return f"it started more processes than the {PROCESSES} it may"
    if finished.reason is not Reason.NONE or not started:
        said = _line(finished.stderr.decode(errors="replace")) or "it said nothing"
        raise Unavailable(
            f"The sandbox for a protocol could not be made: {said.rstrip('.')}.",
            remedy=REMEDY[Reason.SANDBOX_FAILED],
        )
    if b"\nTimeout (" in finished.stdout[:1024] and not told.answered:
        return late
    if len(finished.stdout) > protocol_driver.ANSWER_BYTES + len(protocol_driver.STARTED):
        return f"its answer is longer than the {protocol_driver.ANSWER_BYTES // sandbox.MIB} MiB that are right"
    if told.complaint:
        return told.complaint
    if finished.signal is not None:
        return f"it was ended by the signal {_name(finished.signal)}"
    if not told.answered or finished.exit_code != 0:
        return f"it ended without an answer (exit code {finished.exit_code})"
    return ""


def _too_much_memory() -> str:
    return f"it takes more than the {MEMORY_BYTES // sandbox.MIB} MiB of memory it may"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _read(stdout: bytes, file: str, function: str) -> _Told:
    """Make sense of what the driver wrote, or what the function wrote in its place."""
    text = stdout.decode(errors="surrogateescape")
    somewhere = _Told(_in_words({"file": file, "name": function}))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return somewhere._replace(place=_place_in_dump(text) or somewhere.place)
    failure = value.get("failure") if isinstance(value, dict) else None
    if isinstance(failure, dict):
        return _failed(failure, function, somewhere)
    if not isinstance(value, dict) or "result" not in value:
        return somewhere
    found = protocol_driver.flaw(value["result"])
    if found is not None:
        # Only an answer that the driver did not write can hold one.
        return somewhere._replace(complaint=_line(f"the result is not JSON: {found.path or 'it'} {found.found}"))
    return somewhere._replace(answered=True, result=value["result"])


def _failed(failure: dict[str, Any], function: str, somewhere: _Told) -> _Told:
    place = _in_words(failure) or somewhere.place
    kind, text = (_line(str(failure.get(part) or "")) for part in ("kind", "text"))
    if kind == MemoryError.__name__:
        return _Told(place, _too_much_memory())
    known = failure.get("known")
    near = nearest(function, map(str, known)) if isinstance(known, list) else ""
    said = ": ".join(part for part in (kind, text) if part) or "it failed"
    remedy = REMEDY_FOR_IMPORTS if kind == ModuleNotFoundError.__name__ else near.strip()
    return _Told(place, said, _line(remedy))


def _in_words(place: Mapping[str, Any]) -> str:
    """protocol.py, line 3, in plan"""
    file, line, name = (place.get(part) for part in ("file", "line", "name"))
    words = [_line(str(file))] if file else []
    if isinstance(line, int) and line > 0:
        words.append(f"line {line}")
    if name and not str(name).startswith("<"):
        words.append(f"in {_line(str(name))}")
    return ", ".join(words)


def _place_in_dump(text: str) -> str:
    """The deepest place in the analysis' files, in the main thread if it has one: faulthandler lists it last."""
    for stack in reversed(THREAD.split(text)):
        frame = FRAME.search(stack)
        if frame:
            return _in_words({"file": frame[1], "line": int(frame[2][:9]), "name": frame[3]})
    return ""


def _line(text: str) -> str:
    """As one line of bounded length that holds nothing a terminal obeys."""
    words = " ".join(text[: 8 * TEXT_CHARACTERS].split())
    plain = "".join(letter if letter.isprintable() else "�" for letter in words)
    return plain if len(plain) <= TEXT_CHARACTERS else f"{plain[: TEXT_CHARACTERS - 1]}…"


def _refuse(where: str, place: str, complaint: str, remedy: str = "") -> NoReturn:
    sentence = ": ".join(part for part in (where, place, complaint) if part)
    raise Refused(sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}.", remedy=remedy)
