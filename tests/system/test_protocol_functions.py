"""A blueprint's own protocol in its real sandbox: what it gets, what it can't reach, and how each fault is told."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.environment import interpreter
from neurocaas.errors import NeurocaasError, Refused, Unavailable
from neurocaas.sandbox.bubblewrap import INSIDE_UID
from neurocaas.server import protocol_driver
from neurocaas.server.protocol_function import PROTOCOL_UIDS, run_protocol

if TYPE_CHECKING:
    from conftest import Bench

ORDINARY_USER = "started by an ordinary user"
WHERE = "mean@0123456789ab"
SUBMISSION = {"datasets": [{"name": "mäuse", "size_bytes": 5}], "config": {"rank": 3}, "seed": 7}
SECRET = "only-for-its-owner"
NOBODY = 65534  # the ordinary user of the benches, where root plays both


@pytest.fixture(scope="module")
def private_interpreter() -> Iterator[Path]:
    """This interpreter in the home of an ordinary user, closed to all others."""
    home = Path(tempfile.mkdtemp(prefix="neurocaas-home-"))
    interpreter.copy(interpreter.describe(Path(sys.executable)), home / "python")
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    yield home / "python"
    shutil.rmtree(home)


class Caller:
    """Runs protocols in a process of their own, as the user who starts the platform."""

    def __init__(self, bench: Bench, own_interpreter: Path) -> None:
        self.bench = bench
        self._interpreter = own_interpreter if bench.user is not None else None

    def __call__(self, script: str, *, function: str = "plan", timeout_seconds: float = 10.0, **files: str) -> Any:
        folder = self.bench.file("version/protocol.py", script).parent
        for name, content in files.items():
            self.bench.file(f"version/{name}.py", content)
        answer = self.bench.file("answer.json")

        def call() -> bool:
            if self._interpreter is not None:
                sys.base_prefix = sys.base_exec_prefix = str(self._interpreter)
            told: dict[str, Any] = {}
            try:
                told["result"] = run_protocol(
                    folder, "protocol.py", function, SUBMISSION, timeout_seconds=timeout_seconds, where=WHERE
                )
            except NeurocaasError as error:
                told["error"] = [type(error).__name__, str(error)]
            return bool(answer.write_text(json.dumps(told)))

        self.bench._as_user(call)
        told = json.loads(answer.read_text())
        if "error" in told:
            kind, sentence = told["error"]
            raise {"Refused": Refused, "Unavailable": Unavailable}[kind](sentence)
        return told["result"]

    def refusal(self, script: str, **options: Any) -> str:
        with pytest.raises(Refused) as caught:
            self(script, **options)
        sentence = str(caught.value)
        assert sentence.startswith(f"{WHERE}: ")
        assert "\n" not in sentence
        assert "Traceback" not in sentence
        return sentence.removeprefix(f"{WHERE}: ")


@pytest.fixture
def call(bench: Bench, private_interpreter: Path) -> Caller:
    return Caller(bench, private_interpreter)


def test_a_function_gets_its_submission_and_its_result_comes_back(call: Caller) -> None:
    script = "def plan(submission):\n    return {'got': submission, 'steps': [(1, 2.5, None, True, 'ü')]}"
    assert call(script) == {"got": SUBMISSION, "steps": [[1, 2.5, None, True, "ü"]]}


def test_a_function_may_import_the_modules_beside_it_and_the_standard_library(call: Caller) -> None:
    script = (
        "import statistics\nfrom parts import half\ndef plan(submission):\n    return half(statistics.mean([2, 6]))"
    )
    assert call(script, parts="def half(number):\n    return number / 2") == 2


def test_what_a_function_prints_or_leaves_running_does_not_matter(call: Caller) -> None:
    script = """
import atexit, os, sys, threading, time
print('{"result": "imported"}')
atexit.register(print, "bye")
def plan(submission):
    print('{"result": "printed"}', flush=True)
    os.write(1, b'{"result": "written"}')
    os.write(2, b"x" * 100_000)
    os.system("echo started")
    threading.Thread(target=time.sleep, args=[60]).start()
    if os.fork() == 0:
        return "forked"
    return "returned"
"""
    assert call(script) == "returned"


def test_the_same_submission_gives_the_same_order_of_a_set(call: Caller) -> None:
    script = "def plan(submission):\n    return list({'a', 'b', 'c', 'd', 'e', 'f'})"
    assert call(script) == call(script)


# Each script, and the sentence about it.
FAULTS = {
    "def plan(submission):\n    x = 1\n    raise ValueError('too few datasets')": (
        "protocol.py, line 3, in plan: ValueError: too few datasets."
    ),
    "def plan(submission):\n    raise ValueError('two\\nlines \\x1b[31m' + 'x' * 5000)": (
        "protocol.py, line 2, in plan: ValueError: two lines �[31m" + "x" * 284 + "…"
    ),
    "import json\ndef plan(submission):\n    return json.loads('{')": (
        "protocol.py, line 3, in plan: JSONDecodeError: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)."
    ),
    "class Odd(Exception):\n    def __str__(self): return 1 / 0\ndef plan(submission):\n    raise Odd": (
        "protocol.py, line 4, in plan: Odd."
    ),
    "def plan(submission):\n    return 1\n\nx = = 2": "protocol.py, line 4: SyntaxError: invalid syntax.",
    "\ndef plan(submission):\n  x = 1\n    y = 2": "protocol.py, line 4: IndentationError: unexpected indent.",
    "x = 1\nwrong\n": "protocol.py, line 2: NameError: name 'wrong' is not defined.",
    "\nimport numpy\n": (
        "protocol.py, line 2: ModuleNotFoundError: No module named 'numpy'. "
        "A protocol may import the standard library and the modules beside it."
    ),
    "def plam(submission):\n    pass": 'protocol.py: there is no function "plan". Did you mean "plam"?',
    "import os": 'protocol.py: there is no function "plan".',
    "plan = 3": 'protocol.py: "plan" is not a function but of type int.',
    "\ndef plan():\n    pass": (
        "protocol.py, line 2, in plan: TypeError: plan() takes 0 positional arguments but 1 was given."
    ),
    "def plan(submission):\n    return {'steps': [{'seed': float('nan')}]}": (
        "protocol.py, line 1, in plan: the result is not JSON: steps[0].seed is nan, a number that JSON does not have."
    ),
    "def plan(submission):\n    return {'a b': {1, 2}}": (
        "protocol.py, line 1, in plan: the result is not JSON: ['a b'] is of type set."
    ),
    "def plan(submission):\n    return plan": (
        "protocol.py, line 1, in plan: the result is not JSON: it is of type function."
    ),
    "def plan(submission):\n    return [{3: 4}]": (
        "protocol.py, line 1, in plan: the result is not JSON: [0] has the key 3, which is not text."
    ),
    "def plan(submission):\n    return ['\\ud800']": (
        "protocol.py, line 1, in plan: the result is not JSON: [0] is text with half a character (a lone surrogate)."
    ),
    "def plan(submission):\n    return 10 ** 5000": (
        "protocol.py, line 1, in plan: the result is not JSON: "
        "it is a whole number of 16610 bits; at most 64 are right."
    ),
    "def plan(submission):\n    return 'x' * (17 << 20)": (
        "protocol.py, line 1, in plan: the result is 17,825,806 bytes of JSON; at most 16,777,216 are right."
    ),
    "def plan(submission):\n    return 1 + plan(submission)": (
        "protocol.py, line 2, in plan: RecursionError: maximum recursion depth exceeded."
    ),
    "import sys\ndef plan(submission):\n    sys.exit(3)": "protocol.py, line 3, in plan: SystemExit: 3.",
    "import os\ndef plan(submission):\n    os._exit(3)": (
        "protocol.py, in plan: it ended without an answer (exit code 3)."
    ),
    "import os\ndef plan(submission):\n    os.kill(os.getpid(), 9)": (
        "protocol.py, in plan: it was ended by the signal SIGKILL."
    ),
    "import ctypes\ndef plan(submission):\n    x = 1\n    ctypes.string_at(0)": (
        "protocol.py, line 4, in plan: it was ended by the signal SIGSEGV."
    ),
    "def plan(submission):\n    held = []\n    while True:\n        held.append(bytearray(8 << 20))": (
        "protocol.py, line 4, in plan: it takes more than the 512 MiB of memory it may."
    ),
    "def plan(submission):\n    held = []\n    while True:\n        held.append(object())": (
        "protocol.py, line 4, in plan: it takes more than the 512 MiB of memory it may."
    ),
}


@pytest.mark.parametrize("script", FAULTS)
def test_a_fault_is_one_sentence_with_its_line(call: Caller, script: str) -> None:
    assert call.refusal(script) == FAULTS[script]


def test_a_fault_in_a_module_beside_it_names_that_file(call: Caller) -> None:
    script = "import parts\ndef plan(submission):\n    return parts.divide(1)"
    assert call.refusal(script, parts="\ndef divide(number):\n    return number / 0") == (
        "parts.py, line 3, in divide: ZeroDivisionError: division by zero."
    )
    assert call.refusal(script, parts="\n\ndef divide(number)") == "parts.py, line 3: SyntaxError: expected ':'."


def test_a_value_that_holds_itself_is_refused(call: Caller) -> None:
    sentence = call.refusal("def plan(submission):\n    held = {}\n    held['a'] = [held]\n    return held")
    assert sentence.startswith("protocol.py, line 1, in plan: the result is not JSON: a[0].a[0].a[0]")
    assert sentence.endswith("is nested more than 100 deep.")


@pytest.mark.parametrize(
    "loop", ["while True: pass", "sum(range(10 ** 12))", "time.sleep(60)"], ids=["in Python", "in C", "asleep"]
)
def test_a_function_that_does_not_end_is_stopped_at_its_limit_and_its_line_named(call: Caller, loop: str) -> None:
    script = f"import time\ndef plan(submission):\n  try:\n    {loop}\n  except BaseException:\n    plan(1)"
    started = time.monotonic()
    sentence = call.refusal(script, timeout_seconds=0.5)
    assert 0.5 <= time.monotonic() - started < 5
    assert sentence == "protocol.py, line 4, in plan: it did not answer within 0.5 seconds."


def test_a_function_that_puts_off_the_alarm_is_stopped_all_the_same(call: Caller) -> None:
    script = "import faulthandler\ndef plan(_):\n    faulthandler.cancel_dump_traceback_later()\n    while True: pass"
    sentence = call.refusal(script, timeout_seconds=0.5)
    assert sentence == "protocol.py, in plan: it did not answer within 0.5 seconds."


def test_a_fork_bomb_is_contained(call: Caller) -> None:
    script = "import os\ndef plan(submission):\n    while True:\n        os.fork()"
    sentence = call.refusal(script, timeout_seconds=3)
    # Whichever is seen first: that there are too many, or that the kernel refuses one more.
    refused = "protocol.py, line 4, in plan: BlockingIOError: [Errno 11] Resource temporarily unavailable."
    assert sentence == refused or sentence.endswith("it started more processes than the 16 it may."), sentence


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"nonsense",
        b'{"result": 1}{"result": 2}',
        b'{"result": NaN}',
        b'{"result": 1e999}',
        b'{"result": "\xff"}',
        b'{"result": "\\ud800"}',
        b'{"failure": {"file": [1], "line": "x", "name": {}, "kind": 7, "text": null, "known": [[]]}}',
        b'{"failure": 3}',
        b"[" * 100_000,
        b"1" * 10_000,
    ],
    ids=lambda written: written[:24].decode(errors="replace") or "nothing",
)
def test_an_answer_forged_by_the_function_gives_no_more_than_a_refusal(call: Caller, written: bytes) -> None:
    script = (
        "import os\ndef plan(submission):\n    for number in range(3, 20):\n        try:\n"
        f"            os.write(number, {written!r})\n        except OSError:\n            pass\n    os._exit(0)"
    )
    assert call.refusal(script)


def test_a_forged_answer_longer_than_the_limit_is_refused(call: Caller) -> None:
    script = (
        "import os\ndef plan(submission):\n    for number in range(3, 20):\n        try:\n"
        "            for _ in range(17 * 16):\n                os.write(number, b' ' * 65536)\n"
        "        except OSError:\n            pass\n    os._exit(0)"
    )
    assert call.refusal(script) == "protocol.py, in plan: its answer is longer than the 16 MiB that are right."


@pytest.mark.parametrize("what", ["the password file", "another analysis", "a home", "the site", "the platform"])
def test_a_function_cannot_read(call: Caller, what: str) -> None:
    path = {
        "the password file": Path("/etc/shadow"),
        "another analysis": call.bench.file("version-2/protocol.py", SECRET),
        "a home": call.bench.file("home/.ssh/id_ed25519", SECRET),
        "the site": call.bench.file("site/keys/site.pem", SECRET),
        "the platform": Path(__file__),
    }[what]
    assert path.exists()
    sentence = call.refusal(f"def plan(submission):\n    return open({str(path)!r}).read()")
    assert sentence.startswith("protocol.py, line 2, in plan: FileNotFoundError")


@pytest.mark.parametrize(
    "target", ["/workflow/new", "/workflow/protocol.py", "/new", "/tmp/new", "/usr/new", "/etc/passwd"]
)
def test_a_function_cannot_write(call: Caller, target: str) -> None:
    script = f"def plan(submission):\n    open({target!r}, 'w').write('changed')"
    call.bench.file("version/protocol.py").chmod(0o666)
    sentence = call.refusal(script)
    assert sentence.startswith("protocol.py, line 2, in plan: ")
    assert any(word in sentence for word in ("Read-only", "denied", "No such file"))
    assert call.bench.folder.joinpath("version/protocol.py").read_text() == script


def test_a_function_has_no_network(call: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        sentence = call.refusal(f"import socket\ndef plan(_):\n    socket.create_connection({address!r}, 5)")
    assert sentence.startswith("protocol.py, line 3, in plan: ")
    assert "refused" in sentence or "unreachable" in sentence


def test_a_function_sees_no_variables_no_packages_and_is_not_root(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("PYTHONPATH", str(call.bench.folder))
    seen = call("import os, sys\ndef plan(_):\n    return [dict(os.environ), sys.path, os.getuid(), os.listdir('/')]")
    variables, path, uid, root = seen
    assert set(variables) <= {"LANG", "PYTHONHASHSEED", "PWD"}
    assert path[0] == "/workflow"
    assert not [one for one in path if "packages" in one or SECRET in one or str(call.bench.folder) in one]
    assert uid == INSIDE_UID if call.bench.who == ORDINARY_USER else uid in PROTOCOL_UIDS
    assert {"home", "work", "var"}.isdisjoint(root)


def test_a_file_that_is_not_there_is_told_with_a_near_name(own_bench: Bench) -> None:
    folder = own_bench.file("version/protocol.py").parent
    own_bench.file("outside.py", "def plan(submission): pass")
    for file in ("protocl.py", "../outside.py", str(own_bench.folder / "outside.py"), ""):
        with pytest.raises(Refused, match=r"mean@0123456789ab: there is no file .* in the analysis"):
            run_protocol(folder, file, "plan", SUBMISSION, where=WHERE)
    with pytest.raises(Refused, match=r'Did you mean "protocol\.py"'):
        run_protocol(folder, "protocl.py", "plan", SUBMISSION, where=WHERE)


def test_a_machine_that_cannot_start_the_interpreter_is_not_the_functions_fault(
    own_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_bench.file("version/protocol.py", "def plan(submission): return 1").parent
    monkeypatch.setattr(sys, "base_prefix", str(own_bench.folder))
    with pytest.raises(Unavailable, match="The sandbox for a protocol could not be made"):
        run_protocol(folder, "protocol.py", "plan", SUBMISSION, where=WHERE)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_json_holds_has_no_flaw(value: Any) -> None:
    assert protocol_driver.flaw(value) is None


@given(JSON, JSON, st.sampled_from([float("nan"), float("-inf"), {1}, b"x", "\udc00", 2**70, object(), {None: 1}]))
def test_a_flaw_is_found_wherever_it_is(before: Any, after: Any, wrong: Any) -> None:
    found = protocol_driver.flaw({"before": before, "here": [after, {"deep": wrong}, before]})
    assert found is not None
    assert found.path == "here[1].deep"
