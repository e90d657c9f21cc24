"""A warm parent from which runners are forked: a fresh Python costs a tenth of a second, a fork a few milliseconds.

`python -m neurocaas.runner.nursery FD` serves one job manager over the SOCK_SEQPACKET socket FD. Each request is the
path of an attempt document; the reply is {"path", "pid", "start_ticks"}. A runner that ends is told as {"gone": pid,
"status": exit status}. When the manager is gone the nursery is too, at once; the runners live on.

One thread only: a fork copies no other. So nothing here may start any, nor import what does.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from neurocaas.runner.attempt import host, sandbox_record
from neurocaas.runner.runner import REFUSED, perform, read_document, start_ticks
from neurocaas.sandbox import bubblewrap, choose_cage, seccomp
from neurocaas.storage import files  # noqa: F401 - loaded before the first fork

REQUEST_BYTES = 65536
CRASHED = 70
DYING_SECONDS = 0.5


def main(descriptor: int) -> int:
    """Serve until the manager closes its end."""
    line = socket.socket(fileno=descriptor)
    line.set_inheritable(False)
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _warm_up()
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Ctrl-C at a terminal means the command that watches, and the manager; the runners are not for it to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        left_cages = False
        while True:
            ready = selector.select(DYING_SECONDS if left_cages else None)
            if not ready:
                choose_cage().remove_stale()
                left_cages = False
            for key, _ in ready:
                if key.fd == wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 4096)
                    left_cages |= _tell_ended(line)
                elif not _serve(line):
                    return 0


def _warm_up() -> None:
    """Do once, before any fork, what every attempt would do again."""
    choose_cage().remove_stale()
    seccomp.program()
    bubblewrap.ways_into_usr()
    host()
    sandbox_record(None)
    gc.collect()
    # What is here now is never collected, so that the children do not copy its pages by counting references.
    gc.freeze()


def _serve(line: socket.socket) -> bool:
    """Take one request; False when the manager is gone."""
    try:
        request = line.recv(REQUEST_BYTES)
    except ConnectionError:
        return False
    if not request:
        return False
    path = request.decode(errors="surrogateescape")
    pid = os.fork()
    if pid == 0:
        _become_runner(line, path)
    _send(line, {"path": path, "pid": pid, "start_ticks": start_ticks(pid)})
    return True


def _tell_ended(line: socket.socket) -> bool:
    """Tell of every runner that has ended. True if one was killed: its cage is left, with what still dies inside."""
    killed = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return killed
        if pid == 0:
            return killed
        code = os.waitstatus_to_exitcode(status)
        _send(line, {"gone": pid, "status": code})
        killed |= code < 0


def _send(line: socket.socket, message: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # The manager is gone; the next read ends this process.
        line.send(json.dumps(message).encode())


def _become_runner(line: socket.socket, path: str) -> NoReturn:
    """The child's part: a session of its own, so that nothing sent to the manager's terminal or group reaches it."""
    status = CRASHED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        line.close()
        try:
            document = read_document(Path(path))
        except (OSError, ValueError):
            traceback.print_exc()
            status = REFUSED
        else:
            _redirect(document.work / "runner.log")
            status = perform(document)
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - nothing of the parent's code may run on in the child
        traceback.print_exc()
    finally:
        os._exit(status)


def _redirect(log: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.close(nothing)
    os.close(written)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit("Usage: python -m neurocaas.runner.nursery SOCKET_DESCRIPTOR")
    sys.exit(main(int(sys.argv[1])))
