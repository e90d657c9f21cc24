"""Processor time of everything this process starts, daemons that leave their parents included."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

import psutil

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, so that none escapes the count."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def processor_seconds() -> float:
    """User and system seconds so far, of descendants that ended and of those that live. Call it with no Popen open.

    The ended ones have been waited for by their parents, at the end by this process, and count in its
    RUSAGE_CHILDREN; each living one counts its own time and that of the children it has waited for.
    """
    _reap_orphans()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _reap_orphans() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
