"""`neurocaas serve`: web, job manager and housekeeping under one process that starts again what dies.

It holds the listening socket, so no connection is refused while the web process is started again. It keeps no state:
what it starts finds everything in the database. Runners are not its children and live on without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

from neurocaas.errors import NeurocaasError, Refused
from neurocaas.server.logs import log_to
from neurocaas.server.serving.children import Child, Running, spawn
from neurocaas.server.serving.notify import notify
from neurocaas.settings import Settings

log = logging.getLogger(__name__)

BACKLOG = 2048
STOP_SECONDS = 15.0
ENDING = {signal.SIGTERM, signal.SIGINT}
HEARD = (*ENDING, signal.SIGHUP, signal.SIGCHLD)


def serve(settings: Settings, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the site until SIGTERM or SIGINT; SIGHUP starts the web process anew. `say` is told the URL.

    Raises Refused if the site is served already or the address can't be had, NeurocaasError if a part can't be kept
    running.
    """
    settings.run.mkdir(parents=True, exist_ok=True)
    with _only_one(settings) as note, _bound(host, port) as listener:
        url = _url(host, listener)
        note({"pid": os.getpid(), "url": url})
        log_to(settings.state / "logs" / "serve.log")
        Supervisor(settings, listener, lambda: say(f"Serving {settings.site.name} at {url}")).run()


class Supervisor:
    """The three processes of a served site."""

    def __init__(self, settings: Settings, listener: socket.socket, answers: Callable[[], None]) -> None:
        self._root = str(settings.root)
        self._listener = listener
        self._answers: Callable[[], None] | None = answers
        self._web = Child(name="web", start=self._start_web)
        self._children = [
            self._web,
            Child(name="manager", start=lambda: self._start("neurocaas.server.jobs.daemon", self._root, "--stay")),
            Child(name="housekeeping", start=lambda: self._start("neurocaas.server.serving.housekeeping", self._root)),
        ]
        self._next_web: Running | None = None
        self._leaving: dict[subprocess.Popen[bytes], float] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Until told to end. Raises NeurocaasError if a process dies again and again."""
        with _signals() as heard, self._selector:
            self._selector.register(heard, selectors.EVENT_READ)
            try:
                while not ENDING & (signals := self._turn(heard)):
                    if signal.SIGHUP in signals:
                        self._renew_web()
            finally:
                notify("STOPPING=1")
                self._stop(heard)

    def _turn(self, heard: socket.socket) -> set[int]:
        """Start what is due, wait until something happens, and look who died. Returns the signals that came."""
        for child in self._children:
            if child.now is None and child.start_at <= time.monotonic():
                child.now = child.start()
                log.info("%s started", child.name)
        for key, _ in self._selector.select(self._wait_seconds()):
            if key.data is not None:
                self._hear_ready(key.data)
        now = time.monotonic()
        for child in self._children:
            if child.now is not None and child.now.process.poll() is not None:
                self._forget(child.now)
                child.died(now)
                log.warning("%s ended unexpectedly (%s)", child.name, _ending(child.last_status))
                if child.hopeless:
                    raise NeurocaasError(
                        f"{child.name} ended {child.deaths} times in a row right after its start, "
                        f"last with {_ending(child.last_status)}, so the site is served no longer.",
                        remedy=f"Why it did stands above, and in {self._root}/.neurocaas/logs.",
                    )
        self._look_after_others(now)
        return set(_drain(heard))

    def _wait_seconds(self) -> float | None:
        times = [child.start_at for child in self._children if child.now is None] + list(self._leaving.values())
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _look_after_others(self, now: float) -> None:
        """The web process that is to come, if it died, and those that were told to go."""
        if self._next_web is not None and self._next_web.process.poll() is not None:
            log.error("the new web process ended (%s); the old one goes on", _ending(self._next_web.process.returncode))
            self._forget(self._next_web)
            self._next_web = None
        for process, kill_at in list(self._leaving.items()):
            if process.poll() is not None:
                del self._leaving[process]
            elif kill_at <= now:
                process.kill()
                self._leaving[process] = now + STOP_SECONDS

    # The web process

    def _start_web(self) -> Running:
        ready, told = os.pipe()
        try:
            inherited = (self._listener.fileno(), told)
            process = spawn(
                self._root, "neurocaas.server.serving.web", [str(one) for one in inherited], inherited=inherited
            )
        finally:
            os.close(told)
        running = Running(process=process, ready=ready)
        self._selector.register(ready, selectors.EVENT_READ, running)
        return running

    def _renew_web(self) -> None:
        """Start another one; the old one is told to go when that answers, so nobody waits in between."""
        if self._next_web is None and self._web.now is not None:
            self._next_web = self._start_web()

    def _hear_ready(self, running: Running) -> None:
        assert running.ready is not None
        answers = os.read(running.ready, 1) == b"1"
        self._forget(running)
        if not answers:
            return
        if running is self._next_web:
            self._next_web = None
            if self._web.now is not None:
                self._web.now.process.terminate()
                self._leaving[self._web.now.process] = time.monotonic() + STOP_SECONDS
            self._web.now = running
            log.info("web started anew")
        if self._answers is not None:
            self._answers()
            self._answers = None
            notify("READY=1")

    def _forget(self, running: Running) -> None:
        """No longer wait for its word."""
        if running.ready is not None:
            self._selector.unregister(running.ready)
            os.close(running.ready)
            running.ready = None

    # The others

    def _start(self, module: str, *arguments: str) -> Running:
        return Running(process=spawn(self._root, module, arguments))

    def _stop(self, heard: socket.socket) -> None:
        """Tell all to end, and kill those that have not after a while, or at a second signal."""
        running = [one for one in (*(child.now for child in self._children), self._next_web) if one is not None]
        processes = [*(one.process for one in running), *self._leaving]
        for process in processes:
            process.terminate()
        give_up = time.monotonic() + STOP_SECONDS
        while any(process.poll() is None for process in processes):
            heard.settimeout(max(0.01, give_up - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                again = ENDING & set(heard.recv(64))
                if not again and time.monotonic() < give_up:
                    continue
            for process in processes:
                process.kill()
        for one in running:
            self._forget(one)


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket from which the numbers of arriving signals are read, so that one select waits for everything."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in HEARD}
        written = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(written)
            for number, handler in before.items():
                signal.signal(number, handler)


def _drain(heard: socket.socket) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return heard.recv(4096)
    return b""


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[Callable[[dict[str, object]], None]]:
    """Hold the site's lock. The function given writes into it what a second `serve` tells its person."""
    with (settings.run / "serve.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"The site {settings.root} is served already{_by_whom(settings)}.") from None
        lock.truncate(0)

        def note(what: dict[str, object]) -> None:
            lock.write(json.dumps(what))
            lock.flush()

        yield note


def _by_whom(settings: Settings) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        holder = json.loads((settings.run / "serve.lock").read_text(encoding="utf-8"))
        return f", by process {holder['pid']} at {holder['url']}"
    return ""


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Refused if the address can't be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as cause:
        why = getattr(cause, "strerror", None) or str(cause)
        raise Refused(
            f"The address {host}:{port} can't be had: {why.lower()}.", remedy="Another one: --host HOST --port PORT"
        ) from cause


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
