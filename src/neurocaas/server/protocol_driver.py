"""The program inside a protocol's sandbox: one function of a file is called with JSON, and answers in JSON.

It is started as a script by an interpreter that finds the standard library only, so it imports nothing else. All that
it writes is what the function made of it: who reads the answer trusts none of it.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import math
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

WORKFLOW = "/workflow"
# Written before anything else: a driver that ran can be told from a sandbox in which none could be started.
STARTED = b"\n"
ANSWER_BYTES = 16 * 1024 * 1024
INTEGER_BITS = 64
DEEPEST = 100
KEY_CHARACTERS = 40


class Flaw(NamedTuple):
    """A place in a value that is not JSON, for example "steps[0].seed" and "is of type set"."""

    path: str
    found: str


class Fault(Exception):
    """What the driver itself holds against the function: a sentence's end, and where."""

    def __init__(self, text: str, place: dict[str, Any], known: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.told = {**place, "kind": "", "text": text, "known": known}


def main(file: str, function: str, seconds: float, memory_bytes: int) -> None:
    """Answer {"result": ...} or {"failure": {"file", "line", "name", "kind", "text", "known"}}."""
    own = os.getpid()
    # What the function prints goes to the error stream; the answer has a descriptor of its own.
    answer = os.dup(1)
    os.dup2(2, 1)
    os.write(answer, STARTED)
    # Both write where the function was, in C and without its help, and end the process.
    faulthandler.enable(answer, all_threads=False)
    faulthandler.dump_traceback_later(seconds, exit=True, file=answer)
    told = _answer(file, function, memory_bytes)
    if os.getpid() != own:
        os._exit(1)  # a process that the function forked, and that came back here
    faulthandler.cancel_dump_traceback_later()
    while told:
        told = told[os.write(answer, told) :]
    # No thread, exit handler or destructor of the function's has a say any more.
    os._exit(0)


def _answer(file: str, function: str, memory_bytes: int) -> bytes:
    submission = json.loads(sys.stdin.buffer.read())
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, most))
    place = _place(file)
    try:
        called, place = _find(_load(file), file, function)
        return _encoded(called(submission), place)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the function's
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # room to say that there was none
        return json.dumps({"failure": _told(error, place)}).encode()


def _load(file: str) -> ModuleType:
    sys.path.insert(0, WORKFLOW)
    # A name that no file beside it has: a protocol's file may be called json.py or types.py.
    spec = importlib.util.spec_from_file_location("neurocaas_protocol", f"{WORKFLOW}/{file}")
    if spec is None or spec.loader is None:
        raise Fault("a Python file's name ends with .py", _place(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, file: str, function: str) -> tuple[Callable[[Any], Any], dict[str, Any]]:
    """The function, and where it is defined."""
    called = vars(module).get(function)
    if called is None:
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise Fault(f'there is no function "{function}"', _place(file), own)
    if not callable(called):
        raise Fault(f'"{function}" is not a function but of type {type(called).__name__}', _place(file))
    code = getattr(called, "__code__", None)
    # It may be imported from a file beside it.
    defined = code.co_filename if code is not None and _inside(code.co_filename) else file
    return called, _place(defined, getattr(code, "co_firstlineno", None), function)


def _encoded(result: Any, place: dict[str, Any]) -> bytes:
    found = flaw(result)
    if found is not None:
        raise Fault(f"the result is not JSON: {found.path or 'it'} {found.found}", place)
    told = json.dumps({"result": result}, ensure_ascii=False, allow_nan=False).encode()
    if len(told) > ANSWER_BYTES:
        raise Fault(f"the result is {len(told):,} bytes of JSON; at most {ANSWER_BYTES:,} are right", place)
    return told


def _told(error: BaseException, place: dict[str, Any]) -> dict[str, Any]:
    """place: where the function is defined, for what has no deeper place, as wrong arguments have none."""
    if isinstance(error, Fault):
        return error.told
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)
    except BaseException:  # noqa: BLE001 - its __str__ is the function's too
        text = ""
    where = _deepest(error.__traceback__) or place
    if isinstance(error, SyntaxError) and _inside(error.filename):
        where = _place(str(error.filename), error.lineno)
    return {**where, "kind": type(error).__name__, "text": text, "known": ()}


def _deepest(traceback: TracebackType | None) -> dict[str, Any] | None:
    """The deepest place in the analysis' own files."""
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if _inside(code.co_filename):
            found = _place(code.co_filename, traceback.tb_lineno, code.co_name)
        traceback = traceback.tb_next
    return found


def _inside(filename: str | None) -> bool:
    return str(filename).startswith(f"{WORKFLOW}/")


def _place(file: str, line: int | None = None, name: str = "") -> dict[str, Any]:
    return {"file": file.removeprefix(f"{WORKFLOW}/"), "line": line, "name": name}


class _Step(NamedTuple):
    """One step down into a value; a whole path is written out only for what is wrong."""

    above: _Step | None
    text: str
    depth: int


def flaw(value: Any) -> Flaw | None:
    """The first place in `value` that JSON can't hold, or that not every reader of JSON takes; None if all is well."""
    pending = [iter([(value, _Step(None, "", 0))])]
    while pending:
        one, step = next(pending[-1], (None, None))
        if step is None:
            pending.pop()
            continue
        found = _found(one, step.depth)
        if found:
            return Flaw(_path(step), found)
        if isinstance(one, (dict, list, tuple)):
            pending.append(_below(one, step))
    return None


def _below(value: dict[str, Any] | list[Any] | tuple[Any, ...], step: _Step) -> Iterator[tuple[Any, _Step]]:
    """What a value holds, without the most common of what is well: a plan of 30,000 stacks has half a million parts."""
    if isinstance(value, dict):
        for key, one in value.items():
            if not _plain(one):
                yield one, _Step(step, _key(key), step.depth + 1)
    else:
        for index, one in enumerate(value):
            if not _plain(one):
                yield one, _Step(step, f"[{index}]", step.depth + 1)


def _plain(value: Any) -> bool:
    kind = type(value)
    return value is None or (kind is str and value.isascii()) or (kind is int and -(1 << 31) < value < 1 << 31)


def _found(value: Any, depth: int) -> str:
    """What is wrong with a value itself, apart from what it holds; empty if nothing is."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return "" if _whole(value) else "is text with half a character (a lone surrogate)"
    if isinstance(value, int):
        bits = value.bit_length()
        return "" if bits <= INTEGER_BITS else f"is a whole number of {bits} bits; at most {INTEGER_BITS} are right"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"is {float(value)!r}, a number that JSON does not have"
    if not isinstance(value, (dict, list, tuple)):
        return f"is of type {type(value).__name__}"
    if depth > DEEPEST:
        return f"is nested more than {DEEPEST} deep"
    for key in value if isinstance(value, dict) else ():
        if not isinstance(key, str) or not _whole(key):
            return f"has the key {ascii(key)[:KEY_CHARACTERS]}, which is not text"
    return ""


def _whole(text: str) -> bool:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def _key(key: str) -> str:
    return f".{key}" if key.isidentifier() and len(key) <= KEY_CHARACTERS else f"[{ascii(key)[:KEY_CHARACTERS]}]"


def _path(step: _Step | None) -> str:
    parts: list[str] = []
    while step is not None:
        parts.append(step.text)
        step = step.above
    text = "".join(reversed(parts)).lstrip(".")
    return text if len(text) <= 3 * KEY_CHARACTERS else f"{text[: 3 * KEY_CHARACTERS]}…"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
