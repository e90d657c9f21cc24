"""The job manager as a background process: one leads per site, it starts when needed and ends when idle."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from neurocaas.bank import Hint, Providers, Supplier, open_providers
from neurocaas.bell import Bell, ring
from neurocaas.errors import NeurocaasError
from neurocaas.server.logs import log_to
from neurocaas.settings import Settings, read_settings

if TYPE_CHECKING:
    from neurocaas.server.jobs.job_manager import JobManager

log = logging.getLogger(__name__)

SWEEP_SECONDS = 10.0
RECOVER_SECONDS = 2.0
TAKE_OVER_SECONDS = 0.2
PING = "ping"
CANCEL = "cancel"
WAKE = "wake"
STOP = "stop"


def bell_path(settings: Settings) -> Path:
    return settings.run / "manager.bell"


def _lock_path(settings: Settings) -> Path:
    return settings.run / "manager.lock"


def turn_age_seconds(settings: Settings) -> float | None:
    """How long ago a manager last looked at everything; None if none ever did. It does so every SWEEP_SECONDS."""
    try:
        return max(0.0, time.time() - _turn_path(settings).stat().st_mtime)
    except OSError:
        return None


def _turn_path(settings: Settings) -> Path:
    return settings.run / "manager.turn"


def leader(settings: Settings) -> int | None:
    """The process id of the manager that leads this site now; None if none answers."""
    return last_leader(settings) if ring(bell_path(settings), PING) else None


def last_leader(settings: Settings) -> int | None:
    """The same without a ring, for who asks often: a bell that is rung too often is deaf for a moment."""
    try:
        pid = int(json.loads(_lock_path(settings).read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError):
        return None
    return pid if Path(f"/proc/{pid}").exists() else None


def wake(settings: Settings, message: str = WAKE) -> None:
    """Have the site's manager look at the database now; start one if none leads."""
    if not ring(bell_path(settings), message):
        start(settings)


def start(settings: Settings) -> None:
    """Start a manager in the background, unless one leads. Returns at once."""
    if leader(settings) is not None:
        return
    settings.run.mkdir(parents=True, exist_ok=True)
    logs = settings.state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "manager.err").open("ab") as errors:
        subprocess.Popen(
            [sys.executable, "-m", "neurocaas.server.jobs.daemon", str(settings.root)],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            cwd="/",
        )


def stop(settings: Settings, timeout_seconds: float = 10.0) -> bool:
    """Have the manager end; what runs goes on and is adopted by the next one. False if none led."""
    pid = leader(settings)
    if pid is None:
        return False
    ring(bell_path(settings), STOP)
    deadline = time.monotonic() + timeout_seconds
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def main(root: str, *, stay: bool = False) -> int:
    """Lead the site at `root` until it has been idle for a while, or is told to stop.

    stay: idleness is no reason to end, and a manager that leads now has to make place: a served site always has one.
    """
    settings = read_settings(Path(root))
    settings.run.mkdir(parents=True, exist_ok=True)
    with _leadership(settings, insist=stay) as leads:
        if not leads:
            return 0
        log_to(settings.state / "logs" / "manager.log", aloud=stay)
        bell = Bell(bell_path(settings))
        signal.signal(signal.SIGTERM, lambda *_: ring(bell.path, STOP))
        provider = open_providers(settings)
        # The runners' parent gets ready while this process loads Django.
        provider.start()
        try:
            manager = _manager(settings, provider, bell)
            idle = _lead(settings, manager, provider, bell, stay=stay)
        finally:
            provider.close()
            bell.close()
    # What was submitted at the moment of stopping for idleness heard a bell that nobody answers any more.
    if idle and manager.has_work():
        start(settings)
    return 0


@contextlib.contextmanager
def _leadership(settings: Settings, *, insist: bool) -> Iterator[bool]:
    with _lock_path(settings).open("a+") as lock:
        while not _locked(lock):
            if not insist:
                yield False
                return
            # Who leads now was started by a command; what it runs goes on, and is adopted here.
            ring(bell_path(settings), STOP)
            time.sleep(TAKE_OVER_SECONDS)
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid()}))
        lock.flush()
        yield True


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lead(settings: Settings, manager: JobManager, provider: Supplier, bell: Bell, *, stay: bool) -> bool:
    """Turn after turn, until told to stop (False) or idle for long (True)."""
    recovered = False
    idle_since = time.monotonic()
    swept_at = 0.0
    messages: list[str] = []
    while STOP not in messages:
        try:
            if not recovered:
                manager.recover()
                recovered = True
            now = time.monotonic()
            hints = provider.events() + [Hint(attempt="", what=one) for one in messages if one not in {PING, STOP}]
            due = manager.due is not None and datetime.now(UTC) >= manager.due
            if now - swept_at >= SWEEP_SECONDS or any(hint.what in {WAKE, CANCEL} for hint in hints):
                manager.turn()
                swept_at = now
                _turn_path(settings).touch()
                if stay or manager.has_work():
                    idle_since = now
                elif now - idle_since > settings.site.idle_minutes * 60:
                    return True
            elif hints or due:
                manager.turn(hints)
            wait_seconds = _wait_seconds(manager.due, swept_at)
        except Exception:
            # The rows say what is wanted, so beginning again from them is always right. The log keeps the fault.
            log.exception("the turn failed; recovering")
            _drop_connection()
            recovered, wait_seconds = False, RECOVER_SECONDS
        messages = _wait([bell.fileno(), *provider.filenos()], bell, wait_seconds)
    return False


def _wait_seconds(due: datetime | None, swept_at: float) -> float:
    until_sweep = swept_at + SWEEP_SECONDS - time.monotonic()
    until_due = (due - datetime.now(UTC)).total_seconds() if due else SWEEP_SECONDS
    return max(0.0, min(until_sweep, until_due))


def _wait(descriptors: list[int], bell: Bell, seconds: float) -> list[str]:
    ready, _, _ = select.select(descriptors, [], [], seconds)
    return bell.drain() if bell.fileno() in ready else []


def _manager(settings: Settings, provider: Providers, bell: Bell) -> JobManager:
    """Everything that needs Django is imported here, after it is set up."""
    from neurocaas.server.site import open_site

    site = open_site(settings.root)
    from neurocaas.server.groups.deployed import deployed_profile
    from neurocaas.server.hardware.recording import Recording
    from neurocaas.server.jobs.carrying import Carrying, push_image
    from neurocaas.server.jobs.certify import certify
    from neurocaas.server.jobs.followers import Followers
    from neurocaas.server.jobs.following import Following
    from neurocaas.server.jobs.job_manager import JobManager
    from neurocaas.server.jobs.placing import Placing
    from neurocaas.server.jobs.preparing import Preparation
    from neurocaas.server.jobs.summary import summarize
    from neurocaas.server.jobs.watching import Watching

    followers = Followers(settings)
    return JobManager(
        settings=settings,
        store=site.store,
        provider=provider,
        placing=(placing := Placing(provider)),
        following=Following(analyses=site.analyses, placing=placing, profile=deployed_profile),
        watching=Watching(store=site.store, provider=provider, followers=followers, ticks=time.monotonic),
        preparation=Preparation(
            analyses=site.analyses,
            environments=site.environments,
            carry=Carrying(provider.of, site.store, partial(push_image, site.environments, settings.site.images)),
            wake=lambda: ring(bell.path, WAKE),
        ),
        summarize=partial(summarize, analyses=site.analyses, store=site.store),
        certify=partial(certify, settings=settings, store=site.store, key=site.signing_key),
        look_at_instances=Recording(provider=provider, rules=settings.site.hardware).look,
        followers=followers,
        clock=lambda: datetime.now(UTC),
    )


def _drop_connection() -> None:
    from django.db import connection

    with contextlib.suppress(Exception):
        connection.close()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], stay="--stay" in sys.argv[2:]))
    except NeurocaasError as fault:
        sys.exit(str(fault))
